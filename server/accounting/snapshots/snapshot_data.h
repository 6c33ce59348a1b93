// SPDX-License-Identifier: GPL-3.0-or-later
// A snapshot as the builder fills it.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_DATA_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_DATA_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/call_once.h"
#include "accounting/snapshots/snapshot.h"
#include "accounting/snapshots/snapshot_names.h"

namespace nfmeter::accounting {

// That a counter came or went in the snapshot of `sequence`.
struct Membership {
  uint64_t sequence;
  uint32_t id;
};
// By increasing sequence. Shared by all snapshots between two changes.
using MembershipLog = std::shared_ptr<const std::vector<Membership>>;

class SnapshotData final : public Snapshot {
 public:
  explicit SnapshotData(std::shared_ptr<const InternedNames> names);

  // Filled before the snapshot is handed out.
  std::vector<std::shared_ptr<const SnapshotChunk>> rows;
  MembershipLog additions;
  MembershipLog removals;
  size_t row_count = 0;

  size_t size() const override { return row_count; }
  const NameTable& names() const override { return *names_; }
  const std::vector<std::shared_ptr<const SnapshotChunk>>& chunks()
      const override {
    return rows;
  }
  std::vector<uint32_t> RemovedSince(uint64_t sequence) const override;
  std::vector<uint32_t> AddedSince(uint64_t sequence) const override;
  uint64_t LastAddition(uint64_t sequence) const override;
  std::optional<kernel::AcctObject> Find(absl::string_view name) const override;
  const std::vector<kernel::AcctObject>& SortedByName() const override;

 private:
  struct Place {
    uint32_t chunk;
    uint32_t row;
  };
  kernel::AcctObject At(Place place) const;

  const std::shared_ptr<const InternedNames> names_;
  // Made when first asked for.
  mutable absl::once_flag indexed_;
  mutable std::vector<Place> places_;  // by id
  mutable absl::once_flag sorted_once_;
  mutable std::vector<kernel::AcctObject> sorted_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_DATA_H_
