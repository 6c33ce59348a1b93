// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/command_line.h"

#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "app/options.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/support/test_name.h"

namespace nfmeter::app {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::Eq;
using ::testing::HasSubstr;

TEST(CommandLineTest, ListensOnTheDefaultSocketWhenNotTold) {
  const auto invocation = ParseCommandLine({});
  ASSERT_OK(invocation);
  EXPECT_EQ(invocation->action, Invocation::Action::kServe);
  ASSERT_EQ(invocation->config.listen.listeners.size(), 1u);
  EXPECT_EQ(invocation->config.listen.listeners[0].address.ToString(),
            "unix:/run/nfmeter/nfmeter.sock");
}

TEST(CommandLineTest, FlagsWinOverTheFile) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "c.yaml") << "listen: [unix:/run/file.sock]\n"
                                   "state_dir: /file\n"
                                   "hostname: file\n"
                                   "reflection: false\n"
                                   "log: {level: error}\n";
  const auto invocation = ParseCommandLine(
      {"--listen", "unix:/run/flag.sock", "--config", dir / "c.yaml",
       "--state-dir", "", "--reflection", "--socket-mode", "600",
       "--socket-group=adm", "--listen=127.0.0.1:0"});
  ASSERT_OK(invocation);
  const Config& config = invocation->config;
  ASSERT_EQ(config.listen.listeners.size(), 2u);
  EXPECT_EQ(config.listen.listeners[0].address.path, "/run/flag.sock");
  EXPECT_EQ(config.listen.listeners[0].mode, 0600u);
  EXPECT_EQ(config.listen.listeners[0].group, "adm");
  EXPECT_EQ(config.listen.listeners[1].address.ToString(), "127.0.0.1:0");
  EXPECT_EQ(config.state_dir, "");
  EXPECT_EQ(config.hostname, "file");
  EXPECT_TRUE(config.reflection);
  EXPECT_EQ(config.log_level, telemetry::LogLevel::kError);
}

TEST(CommandLineTest, SocketAccessAppliesToTheFilesListeners) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "c.yaml")
      << "listen: [{address: unix:/run/a.sock, mode: 0600, group: adm}]\n";
  const auto invocation =
      ParseCommandLine({"--config", dir / "c.yaml", "--socket-mode", "0666"});
  ASSERT_OK(invocation);
  EXPECT_EQ(invocation->config.listen.listeners[0].mode, 0666u);
  EXPECT_EQ(invocation->config.listen.listeners[0].group, "adm");
}

TEST(CommandLineTest, SwitchesHaveAnOppositeAndAValue) {
  EXPECT_FALSE(ParseCommandLine({"--no-reflection"})->config.reflection);
  EXPECT_FALSE(ParseCommandLine({"--reflection=false"})->config.reflection);
  EXPECT_TRUE(ParseCommandLine({"--insecure-loopback"})
                  ->config.listen.insecure_loopback);
}

TEST(CommandLineTest, HelpNamesEveryOptionWithItsDefaultAndTheExitCodes) {
  const auto invocation = ParseCommandLine({"--help"});
  ASSERT_OK(invocation);
  EXPECT_EQ(invocation->action, Invocation::Action::kPrint);
  for (const Option& option : AllOptions()) {
    EXPECT_THAT(invocation->text, HasSubstr(option.flag));
    EXPECT_THAT(invocation->text, HasSubstr(option.default_text));
  }
  EXPECT_THAT(invocation->text, HasSubstr("Exit status: 0"));
  EXPECT_THAT(invocation->text, HasSubstr("--listen"));
}

TEST(CommandLineTest, VersionIsOneLine) {
  const auto invocation = ParseCommandLine({"--version"});
  ASSERT_OK(invocation);
  EXPECT_EQ(invocation->text, "nfmeterd 0.1.0\n");
}

struct BadLine {
  std::vector<std::string> arguments;
  const char* message;
};

void PrintTo(const BadLine& bad, std::ostream* out) {
  ::nfmeter::testing::PrintInTestName(absl::StrJoin(bad.arguments, "_"), out);
}

class BadCommandLineTest : public ::testing::TestWithParam<BadLine> {};

TEST_P(BadCommandLineTest, SaysWhatIsWrong) {
  EXPECT_THAT(
      ParseCommandLine(GetParam().arguments),
      StatusIs(absl::StatusCode::kInvalidArgument, Eq(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, BadCommandLineTest,
    ::testing::Values(
        BadLine{{"--lisen", "unix:/a"},
                "unknown flag '--lisen'; did you mean '--listen'?"},
        BadLine{{"--frobnicate=3"}, "unknown flag '--frobnicate'; see --help"},
        BadLine{{"serve"},
                "unexpected argument 'serve'; all options are flags, see "
                "--help"},
        BadLine{{"--listen", "nowhere"},
                "--listen: 'nowhere' is neither unix:/PATH nor "
                "tcp:HOST:PORT"},
        BadLine{{"--listen", ""},
                "--listen: '' is neither unix:/PATH nor tcp:HOST:PORT"},
        BadLine{{"--socket-role", "root"},
                "--socket-role: must be viewer, operator, admin or none, not "
                "'root'"},
        BadLine{{"--socket-mode", "rw"},
                "--socket-mode: must be an octal mode such as 0660, not 'rw'"},
        BadLine{{"--socket-mode", "77777777777777777777"},
                "--socket-mode: must be an octal mode such as 0660, not "
                "'77777777777777777777'"},
        BadLine{{"--max-batch-size", "1e9"},
                "--max-batch-size: must be a number from 1 to 1000000, not "
                "'1e9'"},
        BadLine{{"--reflection=maybe"},
                "--reflection: must be true or false, not 'maybe'"},
        BadLine{{"--tls-reload-interval", "1500ms"},
                "--tls-reload-interval: must be a duration from 1s to 24h in "
                "whole seconds, with its unit, not '1500ms'"},
        BadLine{{"--log-format", "xml"},
                "--log-format: must be text or json, not 'xml'"},
        BadLine{{"--tls-key", ""},
                "--tls-key: must be the name of a file, not ''"},
        BadLine{{"--config", "/nonexistent/nfmeter.yaml"},
                "/nonexistent/nfmeter.yaml: cannot be read: No such file or "
                "directory"},
        BadLine{{"--config", ""},
                "--config: must be the name of a file, not ''"},
        BadLine{{"--check-policy", ""},
                "--check-policy: must be the name of a file, not ''"},
        BadLine{{"--max-streams"}, "--max-streams: 1 required N missing"}));

TEST(CommandLineTest, TheSocketRoleIsNotThatOfListenersWithTls) {
  const std::vector<std::string> line = {
      "--listen",      "unix:/a",  "--listen",           "127.0.0.1:1",
      "--socket-role", "operator", "--insecure-loopback"};
  auto invocation = ParseCommandLine(line);
  ASSERT_OK(invocation);
  for (const auto& each : invocation->config.listen.listeners) {
    EXPECT_EQ(each.role, security::Role::kOperator);
  }
  std::vector<std::string> with_tls = line;
  with_tls.insert(with_tls.end(), {"--tls-key", "/k"});
  invocation = ParseCommandLine(with_tls);
  ASSERT_OK(invocation);
  EXPECT_EQ(invocation->config.listen.listeners[0].role,
            security::Role::kOperator);
  EXPECT_EQ(invocation->config.listen.listeners[1].role, std::nullopt);
}

TEST(CommandLineTest, CheckPolicyNeedsNoConfiguration) {
  const auto invocation =
      ParseCommandLine({"--check-policy", "/p", "--config", "/nonexistent"});
  ASSERT_OK(invocation);
  EXPECT_EQ(invocation->action, Invocation::Action::kCheckPolicy);
  EXPECT_EQ(invocation->text, "/p");
}

TEST(CheckConfigTest, TlsMustBeWhole) {
  auto invocation = ParseCommandLine(
      {"--listen", "tcp:0.0.0.0:1", "--tls-certificate", "/c"});
  ASSERT_OK(invocation);
  EXPECT_THAT(CheckConfig(invocation->config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("tls.key is missing; mutual TLS needs certificate, "
                          "key and client_ca")));
}

TEST(CheckConfigTest, AGlobThatNothingMatchesIsRefused) {
  const auto invocation = ParseCommandLine({"--metrics-counters", "web-[a"});
  ASSERT_OK(invocation);
  EXPECT_THAT(CheckConfig(invocation->config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("metrics.counters 'web-[a' has a '[' without its "
                          "']', which no name matches")));
}

TEST(CheckConfigTest, LockTimeoutsMustFit) {
  auto invocation =
      ParseCommandLine({"--lock-timeout", "2s", "--max-lock-timeout", "1s"});
  ASSERT_OK(invocation);
  EXPECT_THAT(CheckConfig(invocation->config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("limits.lock_timeout must not be longer than "
                          "limits.max_lock_timeout")));
}

}  // namespace
}  // namespace nfmeter::app
