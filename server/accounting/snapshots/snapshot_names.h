// SPDX-License-Identifier: GPL-3.0-or-later
// The names of one epoch of snapshots.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_NAMES_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_NAMES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "kernel/acct_names.h"

namespace nfmeter::accounting {

// Names by id. Ids are given in order from 0, stay with their name for the
// epoch, and are never reused. Grows only.
//
// One thread at a time adds names. Others may read those whose id has been
// handed to them, and Find().
class NameTable {
 public:
  // Room for `capacity` names.
  explicit NameTable(size_t capacity);

  // The id of the name, new if need be; nullopt: it would be new, and there is
  // no room. The name must satisfy kernel::IsAcctName.
  std::optional<uint32_t> Intern(absl::string_view name);

  // For the thread that adds.
  size_t size() const { return size_; }

  // The kernel's bytes / as the API shows it. `id` was given out before.
  absl::string_view KernelName(uint32_t id) const { return Get(id).name(); }
  absl::string_view Shown(uint32_t id) const {
    const Entry& entry = Get(id);
    return entry.shown ? absl::string_view(*entry.shown) : entry.name();
  }
  // The id that the name (the kernel's bytes) has, if it was ever seen.
  std::optional<uint32_t> Find(absl::string_view name) const;

 private:
  // Names lie in the entries themselves, but for long ones: a pass reads all of
  // them in a row.
  struct Entry {
    std::array<char, kernel::kNfacctNameMaxBytes> text;
    uint8_t length = 0;
    std::unique_ptr<const std::string> whole;  // null: `text` is
    std::unique_ptr<const std::string> shown;  // null: the name itself

    absl::string_view name() const {
      if (whole != nullptr) return *whole;
      return {text.data(), length};
    }
  };
  // Entries never move, so that readers need no lock.
  static constexpr size_t kBlockSize = 1024;

  const Entry& Get(uint32_t id) const {
    return blocks_[id / kBlockSize][id % kBlockSize];
  }

  const size_t capacity_;
  size_t size_ = 0;
  std::vector<std::unique_ptr<Entry[]>> blocks_;  // never grows
  mutable absl::Mutex mutex_;
  // Keys point into the entries.
  absl::flat_hash_map<absl::string_view, uint32_t> ids_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_NAMES_H_
