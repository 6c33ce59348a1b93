// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/config_file.h"

#include <fstream>
#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/support/test_name.h"
#include "tests/unit/app/read_config.h"

namespace nfmeter::app {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(ConfigFileTest, EveryOptionIsRead) {
  const auto config = Read(R"(
listen:
  - unix:/run/a.sock
  - {address: "unix:/run/b.sock", mode: 0600, group: adm, role: viewer}
  - tcp:0.0.0.0:7443
tls:
  certificate: /c.pem
  key: /k.pem
  client_ca: /ca.pem
  reload_interval: 5s
insecure_loopback: true
state_dir: ''
hostname: node7
policy: /p.yaml
audit: {file: /a.log}
reflection: false
channelz: False
log: {level: debug, format: json}
limits:
  max_batch_size: 11
  max_page_size: 12
  max_streams: 13
  max_streams_per_caller: 18
  max_calls_per_second: 0
  max_streams_per_connection: 14
  max_threads: 15
  max_request_bytes: 16000
  max_counters: 17
  min_snapshot_interval: 250ms
  lock_timeout: 1m30s
  max_lock_timeout: 2m
)");
  ASSERT_OK(config);
  const auto& listeners = config->listen.listeners;
  ASSERT_EQ(listeners.size(), 3u);
  EXPECT_EQ(listeners[0].address.path, "/run/a.sock");
  EXPECT_EQ(listeners[0].mode, 0660u);
  EXPECT_EQ(listeners[1].address.path, "/run/b.sock");
  EXPECT_EQ(listeners[1].mode, 0600u);
  EXPECT_EQ(listeners[1].group, "adm");
  EXPECT_EQ(listeners[0].role, std::nullopt);
  EXPECT_EQ(listeners[1].role, security::Role::kViewer);
  EXPECT_EQ(listeners[2].address.ToString(), "0.0.0.0:7443");
  ASSERT_TRUE(config->listen.tls.has_value());
  EXPECT_EQ(config->listen.tls->certificate, "/c.pem");
  EXPECT_EQ(config->listen.tls->key, "/k.pem");
  EXPECT_EQ(config->listen.tls->client_ca, "/ca.pem");
  EXPECT_EQ(config->reload_interval, absl::Seconds(5));
  EXPECT_TRUE(config->listen.insecure_loopback);
  EXPECT_EQ(config->state_dir, "");
  EXPECT_EQ(config->hostname, "node7");
  EXPECT_EQ(config->policy, "/p.yaml");
  EXPECT_EQ(config->audit_file, "/a.log");
  EXPECT_FALSE(config->reflection);
  EXPECT_FALSE(config->channelz);
  EXPECT_EQ(config->log_level, telemetry::LogLevel::kDebug);
  EXPECT_EQ(config->log_format, telemetry::LogFormat::kJson);
  EXPECT_EQ(config->limits.max_batch_size, 11u);
  EXPECT_EQ(config->limits.max_page_size, 12u);
  EXPECT_EQ(config->limits.max_streams, 13u);
  EXPECT_EQ(config->limits.max_streams_per_caller, 18u);
  EXPECT_EQ(config->limits.max_calls_per_second, 0u);
  EXPECT_EQ(config->max_streams_per_connection, 14u);
  EXPECT_EQ(config->max_threads, 15u);
  EXPECT_EQ(config->limits.max_request_bytes, 16000u);
  EXPECT_EQ(config->limits.max_counters, 17u);
  EXPECT_EQ(config->limits.min_snapshot_interval, absl::Milliseconds(250));
  EXPECT_EQ(config->limits.default_rule_change_time, absl::Seconds(90));
  EXPECT_EQ(config->limits.max_rule_change_time, absl::Minutes(2));
}

TEST(ConfigFileTest, NothingChangesNothing) {
  for (const char* text : {"", "# only a comment\n", "log:\nlimits:\n"}) {
    const auto config = Read(text);
    ASSERT_OK(config) << text;
    EXPECT_EQ(config->state_dir, "/var/lib/nfmeter");
    EXPECT_TRUE(config->listen.listeners.empty());
    EXPECT_EQ(config->limits.max_batch_size, 20'000u);
  }
}

struct BadFile {
  const char* text;
  const char* message;
};

void PrintTo(const BadFile& bad, std::ostream* out) {
  ::nfmeter::testing::PrintInTestName(bad.text, out);
}

// Which they are is not repeated here.
TEST(ConfigFileTest, AnUnknownKeyLikeNoOtherIsToldWithThoseThatAreKnown) {
  EXPECT_THAT(Read("volume: 11"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(StartsWith("f:1:1: unknown key 'volume'; known "
                                        "are: listen, tls, "),
                             EndsWith(", limits"))));
}

TEST(ConfigFileTest, AValueInThePlaceOfAMapIsToldWithTheKeysOfTheMap) {
  EXPECT_THAT(Read("limits: 5"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(StartsWith("f:1:9: 'limits' must be a map with: "
                                        "max_batch_size, "),
                             HasSubstr(", lock_timeout"))));
}

class BadConfigFileTest : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadConfigFileTest, SaysWhereAndWhatIsWrong) {
  EXPECT_THAT(Read(GetParam().text),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq(std::string(GetParam().message))));
}

// Errors go to the log and, those of a policy, to callers.
TEST(ConfigFileTest, WhatAnErrorQuotesIsBounded) {
  const absl::Status status =
      Read("read_only: " + std::string(100'000, 'x')).status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("f:1:12: 'read_only' must be true or false, not "
                              "'xxx"),
                    SizeIs(Lt(600u))));
  std::string many;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&many, "k", i, ": 1\n");
  EXPECT_THAT(std::string(Read(many).status().message()),
              AllOf(HasSubstr("f:100:1: unknown key 'k99'"),
                    Not(HasSubstr("f:101:1")), EndsWith("\nf: and 900 more")));
}

INSTANTIATE_TEST_SUITE_P(
    Files, BadConfigFileTest,
    ::testing::Values(
        BadFile{"limit: {}",
                "f:1:1: unknown key 'limit'; did you mean "
                "'limits'?"},
        BadFile{"\n\nlimits:\n  max_batchsize: 3",
                "f:4:3: unknown key 'limits.max_batchsize'; did you mean "
                "'max_batch_size'?"},
        BadFile{"log: {level: loud}",
                "f:1:14: 'log.level' must be info or debug or warning or "
                "error or off, not 'loud'"},
        BadFile{"limits:\n  max_batch_size: many",
                "f:2:19: 'limits.max_batch_size' must be a number from 1 to "
                "1000000, not 'many'"},
        BadFile{"limits: {max_batch_size: 0}",
                "f:1:26: 'limits.max_batch_size' must be a number from 1 to "
                "1000000, not '0'"},
        BadFile{"limits: {max_batch_size: -1}",
                "f:1:26: 'limits.max_batch_size' must be a number from 1 to "
                "1000000, not '-1'"},
        BadFile{"limits: {min_snapshot_interval: 5}",
                "f:1:33: 'limits.min_snapshot_interval' must be a duration "
                "from 1ms to 1h, with its unit, not '5'"},
        BadFile{"limits: {lock_timeout: inf}",
                "f:1:24: 'limits.lock_timeout' must be a duration from 1ms "
                "to 1h, with its unit, not 'inf'"},
        BadFile{"reflection: maybe",
                "f:1:13: 'reflection' must be true or false, not 'maybe'"},
        BadFile{"state_dir:", "f:1:1: 'state_dir' has no value"},
        BadFile{"hostname: [a]", "f:1:11: 'hostname' must be one value"},
        BadFile{"- a", "f:1:1: must be a map of options"},
        BadFile{"hello", "f:1:1: must be a map of options"},
        BadFile{"listen: unix:/a",
                "f:1:9: 'listen' must be a list: - unix:/PATH"},
        BadFile{"listen: []",
                "f:1:9: 'listen' has no address; name one, or leave 'listen' "
                "out for the default"},
        BadFile{"listen: [unix:a]",
                "f:1:10: 'unix:a' must have an absolute path: unix:/PATH"},
        BadFile{"listen:\n  - {mode: 0600}",
                "f:2:5: a listener needs an address"},
        BadFile{"listen:\n  - {address: unix:/a, mode: 999}",
                "f:2:30: 'listen.mode' must be an octal mode such as 0660, "
                "not '999'"},
        BadFile{"listen:\n  - {address: unix:/a, user: me}",
                "f:2:24: unknown key 'listen.user'; known are: address, "
                "mode, group, role, flows"},
        BadFile{"listen:\n  - {address: 'tcp:127.0.0.1:1', mode: 0600}",
                "f:2:5: mode and group are for unix sockets only"},
        BadFile{"listen:\n  - {address: unix:/a, role: root}",
                "f:2:30: 'listen.role' must be viewer, operator, admin or "
                "none, not 'root'"},
        BadFile{"channelz: true\nchannelz: false",
                "f:2:1: 'channelz' is there twice"},
        BadFile{"a: b\n---\nc: d", "f:3:1: only one document is allowed"},
        BadFile{"[a]: b", "f:1:1: a key must be a word"},
        BadFile{"a: [b", "f:1:1: not YAML: end of sequence flow not found"},
        BadFile{"hostnam: x\nlog: {levl: info}",
                "f:1:1: unknown key 'hostnam'; did you mean 'hostname'?\n"
                "f:2:7: unknown key 'log.levl'; did you mean 'level'?"}));

TEST(ConfigFileTest, AFileThatCannotBeReadSaysWhy) {
  testing::TemporaryDirectory dir;
  Config config;
  EXPECT_THAT(ReadConfigFile(dir / "none", config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq(dir / "none" +
                          std::string(": cannot be read: No such file or "
                                      "directory"))));
  EXPECT_THAT(ReadConfigFile(dir.path(), config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("cannot be read: it is a folder")));
}

TEST(ConfigFileTest, AnEmptyFileIsAFile) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "empty");
  Config config;
  EXPECT_OK(ReadConfigFile(dir / "empty", config));
}

TEST(ConfigFileTest, TheExampleSaysTheDefaults) {
  Config config;
  ASSERT_OK(ReadConfigFile(NFMETER_EXAMPLE_CONFIG, config));
  const Config defaults;
  EXPECT_EQ(config.state_dir, defaults.state_dir);
  EXPECT_EQ(config.hostname, defaults.hostname);
  EXPECT_EQ(config.policy, defaults.policy);
  EXPECT_EQ(config.audit_file, defaults.audit_file);
  EXPECT_EQ(config.limits.max_streams_per_caller,
            defaults.limits.max_streams_per_caller);
  EXPECT_EQ(config.limits.max_calls_per_second,
            defaults.limits.max_calls_per_second);
  EXPECT_EQ(config.reflection, defaults.reflection);
  EXPECT_EQ(config.channelz, defaults.channelz);
  EXPECT_EQ(config.log_level, defaults.log_level);
  EXPECT_EQ(config.log_format, defaults.log_format);
  EXPECT_EQ(config.max_threads, defaults.max_threads);
  EXPECT_EQ(config.max_streams_per_connection,
            defaults.max_streams_per_connection);
  EXPECT_EQ(config.limits.max_batch_size, defaults.limits.max_batch_size);
  EXPECT_EQ(config.limits.max_page_size, defaults.limits.max_page_size);
  EXPECT_EQ(config.limits.max_streams, defaults.limits.max_streams);
  EXPECT_EQ(config.limits.max_request_bytes, defaults.limits.max_request_bytes);
  EXPECT_EQ(config.limits.max_counters, defaults.limits.max_counters);
  EXPECT_EQ(config.limits.min_snapshot_interval,
            defaults.limits.min_snapshot_interval);
  EXPECT_EQ(config.limits.default_rule_change_time,
            defaults.limits.default_rule_change_time);
  EXPECT_EQ(config.limits.max_rule_change_time,
            defaults.limits.max_rule_change_time);
  ASSERT_EQ(config.listen.listeners.size(), 1u);
  EXPECT_EQ(config.listen.listeners[0].address.ToString(),
            DefaultListener().address.ToString());
  EXPECT_EQ(config.listen.listeners[0].mode, DefaultListener().mode);
}

}  // namespace
}  // namespace nfmeter::app
