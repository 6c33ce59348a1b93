// SPDX-License-Identifier: GPL-3.0-or-later
// A thousand nodes and two collectors.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/collector/postgres_fixture.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using testing::FakeFleet;
using testing::PostgresFixture;

constexpr int kMany = 1'000;
// Of a collector that follows nobody: mostly its libraries.
constexpr size_t kProgramKiB = 40 << 10;

class ManyNodesTest : public PostgresFixture {};

size_t ResidentKiB(pid_t pid) {
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  size_t pages = 0;
  size_t resident = 0;
  statm >> pages >> resident;
  return resident * 4;
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
  const absl::Time deadline = absl::Now() + absl::Seconds(150);
  while (Total() != absl::StrCat(fleet.Total()) && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(Total(), absl::StrCat(fleet.Total()));
  EXPECT_EQ(DoubledRows(), "0");
  EXPECT_LE(ResidentKiB(first.pid()) + ResidentKiB(second.pid()),
            2 * kProgramKiB + size_t{200} * kMany);
  // Both have their share, soon.
  const auto collectors = [this] {
    return postgres_.Query(
        "SELECT count(DISTINCT collector) FROM nfmeter.targets");
  };
  while (collectors() != "2" && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(collectors(), "2");
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
  const absl::Time deadline = absl::Now() + kPatience;
  while (fleet.node(0).acknowledged() < fleet.node(0).sequence() &&
         absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(Total(), absl::StrCat(fleet.Total()));
  // One record more may always come.
  EXPECT_LE(fleet.node(0).most_unacknowledged(), size_t{1 << 20} + (64 << 10));
}

}  // namespace
}  // namespace nfmeter
