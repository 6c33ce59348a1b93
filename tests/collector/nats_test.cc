// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector with a real cluster of three nats-servers.
#include <signal.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/collector/collector_process.h"
#include "tests/collector/fake_fleet.h"
#include "tests/collector/nats_cluster.h"
#include "tests/collector/nats_reader.h"
#include "tests/collector/postgres_process.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using testing::Eventually;
using testing::FakeFleet;
using ::testing::HasSubstr;
using testing::NatsCluster;
using testing::ReadStream;
using testing::RunCollector;
using testing::StreamContents;

constexpr int kNatsNodes = 3;
constexpr int kCounters = 4;
constexpr absl::Duration kLease = absl::Seconds(2);
constexpr absl::Duration kPatience = absl::Seconds(60);

class NatsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(cluster_.Start());
    std::ofstream(targets_) << fleet_.Targets();
  }
  std::unique_ptr<CollectorProcess> Start(const std::string& name) {
    return std::make_unique<CollectorProcess>(std::vector<std::string>{
        "--targets", targets_, "--sink", cluster_.url(), "--name", name,
        "--lease", absl::FormatDuration(kLease)});
  }
  void Count(uint64_t packets) {
    for (int i = 0; i < kNatsNodes; ++i) {
      for (int c = 1; c <= kCounters; ++c) {
        fleet_.node(i).Count(c, packets + c);
      }
      fleet_.node(i).Tick();
    }
  }
  // Until the nodes have heard that all of it is durable.
  void AwaitAcknowledged() {
    for (int i = 0; i < kNatsNodes; ++i) {
      const testing::FakeNode& node = fleet_.node(i);
      ASSERT_TRUE(Eventually(
          [&] { return node.acknowledged() >= node.sequence(); }, kPatience))
          << FakeFleet::NameOf(i);
    }
  }
  void CheckStream() {
    const StreamContents contents = ReadStream(cluster_.url());
    int64_t packets = 0;
    for (const auto& [key, amounts] : contents.totals) packets += amounts.first;
    EXPECT_EQ(packets, static_cast<int64_t>(fleet_.Total()));
    EXPECT_EQ(contents.totals.size(), size_t{kNatsNodes * kCounters});
    EXPECT_EQ(contents.doubled, 0);
  }

  testing::TemporaryDirectory dir_;
  const std::string targets_ = dir_ / "nodes.yaml";
  NatsCluster cluster_{3};
  FakeFleet fleet_{kNatsNodes, kCounters};
};

TEST_F(NatsTest, EachRecordIsOneEventOfItsNodesSubject) {
  auto collector = Start("one");
  Count(3);
  ASSERT_NO_FATAL_FAILURE(AwaitAcknowledged());
  Count(1);
  ASSERT_NO_FATAL_FAILURE(AwaitAcknowledged());
  CheckStream();
  EXPECT_THAT(RunCollector({"status", "--sink", cluster_.url()}).out,
              HasSubstr("256 of 256 shards held, 3 nodes"));
  EXPECT_EQ(collector->Stop(), 0) << collector->Log();
}

TEST_F(NatsTest, OneServerOfThreeKilledStopsAndDoublesNothing) {
  auto collector = Start("one");
  Count(1);
  ASSERT_NO_FATAL_FAILURE(AwaitAcknowledged());
  for (int i = 0; i < 3; ++i) {
    Count(1);
    cluster_.Kill(i);
    Count(1);
    ASSERT_NO_FATAL_FAILURE(AwaitAcknowledged()) << collector->Log();
    cluster_.StartServer(i);
    // The next is killed when this one has caught up: a cluster of three lives
    // with one away.
    ASSERT_OK(cluster_.Await());
  }
  CheckStream();
}

TEST_F(NatsTest, TheNodesOfAKilledCollectorAreTakenOver) {
  Count(1);
  for (int round = 0; round < 3; ++round) {
    auto collector = Start(absl::StrCat("one-", round));
    const absl::Time until = absl::Now() + absl::Milliseconds(150 * round);
    do {
      Count(1);
    } while (absl::Now() < until);
    collector->Kill();
  }
  auto collector = Start("last");
  Count(1);
  ASSERT_NO_FATAL_FAILURE(AwaitAcknowledged());
  CheckStream();
}

TEST_F(NatsTest, StatusTellsThatNoCollectorLives) {
  auto collector = Start("one");
  const auto status = [this] {
    return RunCollector({"status", "--sink", cluster_.url()}).out;
  };
  EXPECT_TRUE(Eventually([&] {
    return absl::StartsWith(status(), "1 collector, 256 of 256 shards held");
  }));
  collector->Kill();
  EXPECT_TRUE(Eventually([&] {
    return absl::StartsWith(status(), "0 collectors, 0 of 256 shards held");
  }));
}

TEST(EventsTest, WhatHappensInTheFleetIsSentFromTheDatabasesOutbox) {
  testing::PostgresProcess postgres;
  ASSERT_OK(postgres.Start());
  NatsCluster server(1);
  ASSERT_OK(server.Start());
  FakeFleet fleet(2, 1);
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "nodes.yaml") << fleet.Targets();
  std::vector<std::string> arguments = {
      "--targets", dir / "nodes.yaml",   "--sink",        postgres.url(),
      "--events",  "nats://127.0.0.1:1", "--check-config"};
  const testing::RunResult nowhere = RunCollector(arguments);
  EXPECT_EQ(nowhere.exit_code, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("--events nats://127.0.0.1:1: no server"));
  arguments[5] = server.url();
  const testing::RunResult checked = RunCollector(arguments);
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_THAT(checked.out, HasSubstr("events: nats://"));
  arguments.pop_back();
  const CollectorProcess collector(arguments);
  std::vector<std::string> subjects;
  EXPECT_TRUE(Eventually(
      [&] {
        subjects =
            testing::ReadHeaders(server.url(), "NFMETER_EVENTS", "ce-subject");
        return subjects.size() >= 2;
      },
      kPatience));
  EXPECT_THAT(subjects, ::testing::UnorderedElementsAre("n0", "n1"))
      << collector.Log();
  EXPECT_TRUE(Eventually(
      [&] {
        return postgres.Query("SELECT count(*) FROM nfmeter.outbox") == "0";
      },
      kPatience));
}

}  // namespace
}  // namespace nfmeter
