// SPDX-License-Identifier: Apache-2.0
// The values of all counters at one time, as Client::GetSnapshot returns them.
#ifndef NFMETER_SNAPSHOT_H_
#define NFMETER_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace nfmeter {

// Counters by columns, in the kernel's order: names[i], packets[i], bytes[i],
// exceeded[i] and so on belong together. `names`, and values of labels, point
// into memory that this object and its copies share; they live as long as any
// of them.
struct Snapshot {
  // The values of one label.
  struct LabelColumn {
    std::string key;
    // Empty: the counter has no such label.
    std::vector<absl::string_view> values;
  };

  // See SnapshotFrame in snapshot.proto.
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  absl::Time wall_time;
  absl::Duration boottime;
  // Every counter that existed throughout the reading is in. False: absence
  // means nothing.
  bool complete = false;

  // As in Counter.name.
  std::vector<absl::string_view> names;
  std::vector<uint64_t> packets;
  std::vector<uint64_t> bytes;
  // 1: over its quota.
  std::vector<uint8_t> exceeded;
  // With the request's `totals`, else empty: see Counter.total_packets.
  std::vector<uint64_t> total_packets;
  std::vector<uint64_t> total_bytes;
  // One for each of the request's label_keys, in their order.
  std::vector<LabelColumn> labels;

  size_t size() const { return names.size(); }

  // The row of that name; walks through all of them.
  std::optional<size_t> Find(absl::string_view name) const;

  // What `names` point into.
  std::vector<std::shared_ptr<const void>> storage;
};

}  // namespace nfmeter

#endif  // NFMETER_SNAPSHOT_H_
