// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector with real nfmeterds and a SQLite file, as in the first
// minutes of docs/fleet.md.
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/client.h"
#include "tests/collector/collector_process.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/iptables.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/certificates.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::testing::AllOf;
using testing::CollectorProcess;
using testing::Eventually;
using testing::FaultServer;
using ::testing::HasSubstr;
using testing::kPacketBytes;
using testing::RunCollector;
using testing::SendPackets;

constexpr uint16_t kPort = 20'000;

// nfmeterd with a counter of UDP packets to kPort, in the test's namespace.
class CollectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.Start());
    const auto client = server_.Connect();
    ASSERT_OK(client->CreateCounter("counted").status());
    v1::Rule rule;
    rule.set_chain("OUTPUT");
    rule.set_counter("counted");
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kPort);
    v1::BatchCreateRulesRequest rules;
    *rules.add_rules() = rule;
    ASSERT_OK(client->BatchCreateRules(rules).status());
    std::ofstream(targets_) << "targets:\n  - {name: gw1, address: \""
                            << server_.target() << "\"}\n";
  }
  // And has them in the ledger: a reset is in it before it is answered.
  void Send(size_t packets) {
    ASSERT_OK(SendPackets(packets, kPort, 1));
    sent_ += packets;
    ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
  }
  std::string Query(const std::string& sql) const {
    return testing::Run({"sqlite3", database_, sql}).out;
  }
  // Until usage_total says what was sent.
  void AwaitTotal() {
    const std::string expected =
        absl::StrCat("gw1|counted|", sent_, "|", sent_ * kPacketBytes, "\n");
    std::string answer;
    EXPECT_TRUE(Eventually([&] {
      answer = Query("SELECT node, counter, packets, bytes FROM usage_total");
      return answer == expected;
    })) << answer
        << " instead of " << expected;
  }

  testing::TemporaryDirectory dir_;
  const std::string targets_ = dir_ / "nodes.yaml";
  const std::string database_ = dir_ / "usage.db";
  FaultServer server_;
  uint64_t sent_ = 0;
};

TEST_F(CollectorTest, UsageIsInTheDatabaseWithoutNamingASink) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  CollectorProcess collector({"--targets", targets_},
                             {"STATE_DIRECTORY=" + dir_.path()});
  ASSERT_NO_FATAL_FAILURE(AwaitTotal());
  ASSERT_NO_FATAL_FAILURE(Send(5));
  ASSERT_NO_FATAL_FAILURE(AwaitTotal());
  EXPECT_EQ(Query("SELECT uncertain FROM usage_total"), "0\n");
  EXPECT_EQ(collector.Stop(), 0) << collector.Log();
}

TEST_F(CollectorTest, KilledAndStartedItGoesOn) {
  const std::vector<std::string> arguments = {"--targets", targets_, "--sink",
                                              "sqlite:" + database_};
  for (int round = 0; round < 4; ++round) {
    CollectorProcess collector(arguments);
    ASSERT_NO_FATAL_FAILURE(Send(7));
    // The first time it is killed wherever it is.
    if (round > 0) {
      ASSERT_NO_FATAL_FAILURE(AwaitTotal());
    }
    collector.Kill();
    ASSERT_NO_FATAL_FAILURE(Send(3));
    if (round == 2) {
      ASSERT_OK(server_.Start());
    }
  }
  CollectorProcess collector(arguments);
  ASSERT_NO_FATAL_FAILURE(AwaitTotal());
  EXPECT_EQ(Query("SELECT count(*) FROM nodes"), "1\n");
}

TEST_F(CollectorTest, StatusAndMetricsTellWhoCollectsWhat) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  const std::string sink = "sqlite:" + database_;
  CollectorProcess collector({"--targets", targets_, "--sink", sink, "--name",
                              "one", "--metrics", "127.0.0.1:0"});
  ASSERT_NO_FATAL_FAILURE(AwaitTotal());
  EXPECT_THAT(collector.Metrics(),
              AllOf(HasSubstr("nfmeter_collector_node_up{node=\"gw1\"} 1"),
                    HasSubstr("nfmeter_collector_shards_held 256"),
                    HasSubstr("nfmeter_collector_node_lag_seconds")));
  std::string table;
  EXPECT_TRUE(Eventually([&] {
    table = RunCollector({"status", "--sink", sink}).out;
    return absl::StrContains(table, "ok");
  }));
  EXPECT_THAT(table, AllOf(HasSubstr("1 collector, 256 of 256 shards held"),
                           HasSubstr("gw1"), HasSubstr("one")));
  EXPECT_THAT(RunCollector({"status", "--sink", sink, "-o", "json"}).out,
              HasSubstr("\"node\":\"gw1\""));
}

TEST_F(CollectorTest, ItSpeaksMutualTlsWithNodesAndTakesNewerCertificates) {
  testing::Certificates certificates;
  certificates.Issue("collector", {.days = "-1"});
  std::vector<std::string> flags = certificates.ServerFlags();
  std::ofstream(dir_ / "policy.yaml")
      << "version: 1\nrules:\n  - {principals: ['cn:collector'], role: "
         "viewer}\n";
  flags.insert(flags.end(), {"--policy", dir_ / "policy.yaml"});
  testing::NfmeterdProcess node({.arguments = flags});
  ASSERT_OK(node.WaitUntilReady());
  const std::string address = node.TcpAddress("127.0.0.1");
  const std::string port = address.substr(address.rfind(':'));
  std::ofstream(targets_) << "defaults: {ca: " << certificates.Certificate("ca")
                          << ", cert: " << certificates.Certificate("collector")
                          << ", key: " << certificates.Key("collector")
                          << "}\ntargets:\n  - {name: gw2, address: \"localhost"
                          << port << "\"}\n";
  CollectorProcess collector(
      {"--targets", targets_, "--sink", "sqlite:" + database_});
  ASSERT_TRUE(Eventually(
      [&] { return absl::StrContains(collector.Log(), "node not followed"); }));
  certificates.Issue("collector");
  EXPECT_TRUE(Eventually([&] {
    return Query("SELECT n.name FROM nodes n JOIN cursors USING (node)") ==
           "gw2\n";
  })) << collector.Log();
}

TEST_F(CollectorTest, TargetsAreReadAgainWhenTheFileChanges) {
  std::ofstream(targets_) << "targets:\n  - {name: gone, address: \"unix:"
                          << dir_ / "none.sock"
                          << "\"}\n";
  CollectorProcess collector(
      {"--targets", targets_, "--sink", "sqlite:" + database_});
  ASSERT_NO_FATAL_FAILURE(Send(4));
  const auto logs = [&](const std::string& what) {
    return Eventually([&] { return absl::StrContains(collector.Log(), what); });
  };
  EXPECT_TRUE(logs("targets read"));
  std::ofstream(targets_) << "";
  EXPECT_TRUE(logs(targets_ + " is empty")) << collector.Log();
  std::ofstream(targets_) << "targets:\n  - {name: gw1, address: \""
                          << server_.target() << "\"}\n";
  ASSERT_NO_FATAL_FAILURE(AwaitTotal());
}

TEST_F(CollectorTest, ATargetThatWentMeanwhileIsToldAsNone) {
  const std::string sink = "sqlite:" + database_;
  const auto shows = [&](const std::string& what) {
    return Eventually([&] {
      return absl::StrContains(RunCollector({"status", "--sink", sink}).out,
                               what);
    });
  };
  const std::vector<std::string> arguments = {"--targets", targets_, "--sink",
                                              sink};
  ASSERT_NO_FATAL_FAILURE(Send(1));
  {
    CollectorProcess collector(arguments);
    ASSERT_NO_FATAL_FAILURE(AwaitTotal());
    EXPECT_TRUE(shows("ok"));
    collector.Kill();
  }
  std::ofstream(targets_) << "targets:\n  - {name: other, address: \"unix:"
                          << dir_ / "none.sock"
                          << "\"}\n";
  const CollectorProcess collector(arguments);
  EXPECT_TRUE(shows("no target any more")) << collector.Log();
}

TEST_F(CollectorTest, ConfigurationIsCheckedBeforeItIsUsed) {
  const std::string sink = "sqlite:" + database_;
  const auto good =
      RunCollector({"--targets", targets_, "--sink", sink, "--check-config"});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("1 node, 0 names to discover"));

  const auto no_sink = RunCollector(
      {"--targets", targets_, "--sink", "mysql://x", "--check-config"});
  EXPECT_EQ(no_sink.exit_code, 2);
  EXPECT_THAT(no_sink.err, HasSubstr("postgresql://"));

  ASSERT_EQ(testing::Run({"sqlite3", database_, "PRAGMA user_version = 99"})
                .exit_code,
            0);
  const auto newer =
      RunCollector({"--targets", targets_, "--sink", sink, "--check-config"});
  EXPECT_EQ(newer.exit_code, 2);
  EXPECT_THAT(newer.err, HasSubstr("schema version 99"));

  const auto name =
      RunCollector({"--targets", targets_, "--sink", sink, "--name", "a b"});
  EXPECT_EQ(name.exit_code, 2);
  EXPECT_THAT(name.err, HasSubstr("--name 'a b': must be one word"));

  std::ofstream(targets_) << "";
  const auto empty = RunCollector({"--targets", targets_, "--check-config"});
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_THAT(empty.err, HasSubstr("must have 'targets:'"));

  std::ofstream(targets_) << "targets:\n  - {name: gw1}\n";
  const auto bad = RunCollector({"--targets", targets_, "--check-config"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr(targets_ + ":2: "));
}

TEST_F(CollectorTest, FlagsAreCheckedBeforeAnythingIsStored) {
  const struct {
    std::vector<std::string> flags;
    const char* sentence;
  } cases[] = {
      {{"--metrics", "nowhere"}, "--metrics nowhere: must be HOST:PORT"},
      // Not the port 34463, which is left of it in 16 bits.
      {{"--metrics", "127.0.0.1:99999"}, "with a port up to 65535"},
      {{"--metrics", "127.0.0.1:http"}, "with a port up to 65535"},
      {{"--consumer", "a b"}, "--consumer 'a b': must be 1 to 63 of"},
      {{"--consumer", ""}, "--consumer '': must be 1 to 63 of"},
      {{"--lease", "0s"}, "--lease 0s: must be from 1s to 1h"},
      {{"--events", "nats://127.0.0.1:4222"}, "keeps no events"},
  };
  for (const auto& each : cases) {
    for (const bool check : {true, false}) {
      std::vector<std::string> arguments = {"--targets", targets_, "--sink",
                                            "sqlite:" + database_};
      arguments.insert(arguments.end(), each.flags.begin(), each.flags.end());
      if (check) arguments.emplace_back("--check-config");
      const auto result = RunCollector(arguments);
      EXPECT_EQ(result.exit_code, 2) << each.sentence;
      EXPECT_THAT(result.err, HasSubstr(each.sentence));
    }
  }
}

TEST_F(CollectorTest, ASqliteFileIsForOneCollector) {
  const std::string sink = "sqlite:" + database_;
  CollectorProcess collector({"--targets", targets_, "--sink", sink});
  ASSERT_NO_FATAL_FAILURE(Send(1));
  ASSERT_NO_FATAL_FAILURE(AwaitTotal());
  const auto second = RunCollector({"--targets", targets_, "--sink", sink});
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_THAT(second.err, HasSubstr("another nfmeter-collector"));
}

}  // namespace
}  // namespace nfmeter
