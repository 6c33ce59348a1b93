// SPDX-License-Identifier: GPL-3.0-or-later
// Ids and names of chunks as the wire has them.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_MEMBERS_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_MEMBERS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "accounting/snapshots/snapshot.h"

namespace nfmeter::service {

// The contents of SnapshotColumns' fields for one whole chunk.
struct EncodedMembers {
  std::string ids;    // packed
  std::string names;  // of all of them
};

// Encodes the ids and names of a chunk once for all snapshots that share them:
// they are most of a full frame's bytes, and mostly stay the same. Keeps what
// snapshots still have. Thread-safe.
class MemberEncodings {
 public:
  // `members` is of a chunk, and `names` of its snapshot.
  std::shared_ptr<const EncodedMembers> Get(
      const std::shared_ptr<const std::vector<uint32_t>>& members,
      const accounting::NameTable& names);

 private:
  struct Entry {
    std::weak_ptr<const std::vector<uint32_t>> members;
    std::shared_ptr<const EncodedMembers> encoded;
  };

  absl::Mutex mutex_;
  absl::flat_hash_map<const std::vector<uint32_t>*, Entry> entries_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_MEMBERS_H_
