// SPDX-License-Identifier: GPL-3.0-or-later
// Snapshots made up by tests.
#ifndef NFMETER_TESTS_UNIT_ACCOUNTING_LEDGER_SNAPSHOTS_H_
#define NFMETER_TESTS_UNIT_ACCOUNTING_LEDGER_SNAPSHOTS_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "accounting/ledger/account.h"
#include "accounting/snapshots/snapshot.h"

namespace nfmeter::accounting {

// What a kernel holds, by name.
using Values = std::map<std::string, Amount>;

// Makes complete snapshots of one epoch.
class SnapshotMaker {
 public:
  explicit SnapshotMaker(uint64_t epoch = 1)
      : epoch_(epoch), names_(std::make_shared<NameTable>(100'000)) {}

  std::shared_ptr<const Snapshot> Make(const Values& values, Moment moment) {
    auto snapshot = std::make_shared<Snapshot>(names_);
    snapshot->epoch = epoch_;
    snapshot->sequence = ++sequence_;
    snapshot->wall_time = moment.wall;
    snapshot->boottime = moment.boottime;
    snapshot->complete = true;
    auto chunk = std::make_shared<SnapshotChunk>();
    std::vector<uint32_t> members;
    for (const auto& [name, value] : values) {
      members.push_back(*names_->Intern(name));
      chunk->packets.push_back(value.packets);
      chunk->bytes.push_back(value.bytes);
      chunk->use_counts.push_back(0);
      chunk->changed_in.push_back(sequence_);
    }
    chunk->members = std::make_shared<std::vector<uint32_t>>(members);
    snapshot->row_count = members.size();
    snapshot->rows.push_back(std::move(chunk));
    return snapshot;
  }

 private:
  uint64_t epoch_;
  std::shared_ptr<NameTable> names_;
  uint64_t sequence_ = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_TESTS_UNIT_ACCOUNTING_LEDGER_SNAPSHOTS_H_
