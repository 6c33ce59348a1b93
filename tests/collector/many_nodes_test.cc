// SPDX-License-Identifier: GPL-3.0-or-later
// A thousand nodes and two collectors.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "tests/collector/postgres_fixture.h"
#include "tests/support/eventually.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using testing::Eventually;
using testing::FakeFleet;
using testing::PostgresFixture;

constexpr int kMany = 1'000;
// What a node costs a collector, the program and its libraries included.
constexpr size_t kNodeKiB = 200;
constexpr absl::Duration kLong = absl::Seconds(100);

class ManyNodesTest : public PostgresFixture {};

// "VmRSS" is what it has now, "VmHWM" the most that it ever had.
size_t MemoryKiB(const CollectorProcess& collector, const std::string& which) {
  std::ifstream status(absl::StrCat("/proc/", collector.pid(), "/status"));
  std::string word;
  size_t kib = 0;
  while (status >> word) {
    if (word == which + ":") status >> kib;
  }
  return kib;
}

TEST_F(ManyNodesTest, AreSharedByTwoCollectorsWithBoundedMemory) {
  FakeFleet fleet(kMany, /*counters=*/1);
  std::ofstream(targets_) << fleet.Targets();
  const auto arguments = [this](const std::string& name) {
    std::vector<std::string> all = Arguments(name);
    all.back() = "15s";  // as in life: a busy machine is no dead collector
    return all;
  };
  CollectorProcess first(arguments("first"));
  CollectorProcess second(arguments("second"));
  for (int i = 0; i < kMany; ++i) {
    fleet.node(i).Count(1, 7);
    fleet.node(i).Tick();
  }
  EXPECT_TRUE(
      Eventually([&] { return Total() == absl::StrCat(fleet.Total()); }, kLong))
      << Total();
  EXPECT_EQ(DoubledRows(), "0");
  // Both have their share, soon.
  const auto collectors = [this] {
    return postgres_.Query(
        "SELECT count(DISTINCT collector) FROM nfmeter.targets");
  };
  EXPECT_TRUE(Eventually([&] { return collectors() == "2"; }, kLong))
      << collectors();
  // One of them may have had all nodes for a while.
  EXPECT_LE(MemoryKiB(first, "VmHWM"), kNodeKiB * kMany);
  EXPECT_LE(MemoryKiB(second, "VmHWM"), kNodeKiB * kMany);
  const auto memory = [&] {
    return MemoryKiB(first, "VmRSS") + MemoryKiB(second, "VmRSS");
  };
  EXPECT_TRUE(Eventually([&] { return memory() <= kNodeKiB * kMany; }, kLong))
      << memory();
}

TEST_F(ManyNodesTest, ANodeWithMuchToTellHasNoMoreUnderWayThanItsCredit) {
  FakeFleet fleet(1, /*counters=*/500);
  std::ofstream(targets_) << fleet.Targets();
  fleet.node(0).SetSilent(true);
  for (int tick = 0; tick < 100; ++tick) {
    for (int c = 1; c <= 500; ++c) fleet.node(0).Count(c, 1);
    fleet.node(0).Tick();
  }
  std::vector<std::string> arguments = Arguments();
  arguments.insert(arguments.end(), {"--memory", "1"});
  CollectorProcess collector(arguments);
  fleet.node(0).SetSilent(false);
  EXPECT_TRUE(Eventually(
      [&] { return fleet.node(0).acknowledged() >= fleet.node(0).sequence(); },
      kPatience));
  EXPECT_EQ(Total(), absl::StrCat(fleet.Total()));
  // One record more may always come.
  EXPECT_LE(fleet.node(0).most_unacknowledged(), size_t{1 << 20} + (64 << 10));
}

}  // namespace
}  // namespace nfmeter
