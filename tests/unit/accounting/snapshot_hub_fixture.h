// SPDX-License-Identifier: GPL-3.0-or-later
// The hub over a kernel, a lane and a clock that tests play.
#ifndef NFMETER_TESTS_UNIT_ACCOUNTING_SNAPSHOT_HUB_FIXTURE_H_
#define NFMETER_TESTS_UNIT_ACCOUNTING_SNAPSHOT_HUB_FIXTURE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/busy_lane.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {

using SharedSnapshot = std::shared_ptr<const Snapshot>;

inline std::vector<std::string> Names(const Snapshot& snapshot) {
  std::vector<std::string> names;
  for (const auto& chunk : snapshot.chunks()) {
    for (const uint32_t id : chunk->ids()) {
      names.emplace_back(snapshot.names().KernelName(id));
    }
  }
  return names;
}

inline std::vector<std::string> NamesOf(const Snapshot& snapshot,
                                        const std::vector<uint32_t>& ids) {
  std::vector<std::string> names;
  for (const uint32_t id : ids) {
    names.emplace_back(snapshot.names().KernelName(id));
  }
  return names;
}

class SnapshotHubFixture : public ::testing::Test {
 protected:
  SnapshotHubFixture() : table_({.dump_group_size = 4}) { Restart({}); }

  void Restart(const SnapshotHub::Options& options) {
    hub_ = SnapshotHub::Create({table_, lane_, observers_, clock_}, options);
  }

  void Create(const std::vector<std::string>& names) {
    std::vector<kernel::AcctObject> objects;
    for (const std::string& name : names) objects.push_back({.name = name});
    for (const auto& status : table_.Create(objects)) ASSERT_OK(status);
  }
  void Create(const std::string& prefix, int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back(absl::StrCat(prefix, i));
    Create(names);
  }

  SharedSnapshot Take(absl::Duration max_staleness = absl::ZeroDuration()) {
    auto snapshot = hub_->Take(max_staleness);
    EXPECT_OK(snapshot);
    return snapshot.ok() ? *snapshot : nullptr;
  }

  int Dumps() const { return table_.dumps(); }

  kernel::FakeAcctTable table_;
  testing::FakeClock clock_;
  CounterObservers observers_;
  Lane lane_{"lane", 1000};
  std::unique_ptr<SnapshotHub> hub_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_TESTS_UNIT_ACCOUNTING_SNAPSHOT_HUB_FIXTURE_H_
