// SPDX-License-Identifier: GPL-3.0-or-later
// Which crossings of quotas have been told.
#ifndef NFMETER_ACCOUNTING_QUOTAS_QUOTA_CROSSINGS_H_
#define NFMETER_ACCOUNTING_QUOTAS_QUOTA_CROSSINGS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// For so long after a reading found a counter exceeded, an event about it may
// be that of the same crossing, which waited in the socket's buffer.
inline constexpr absl::Duration kSettleTime = absl::Seconds(5);

// The counters that are known to be over their quotas, from events and from
// readings, so that each crossing is told once although both tell of it. Not
// thread-safe.
class QuotaCrossings {
 public:
  // To be called before a reading; events may be told of until TakeOver().
  void BeginReading() { ++readings_; }

  // A reading of all that are over their quotas. `complete`: others were not
  // when it passed them. Returns those that were not known.
  std::vector<kernel::AcctObject> TakeOver(
      absl::Span<const kernel::AcctObject> read, bool complete,
      absl::Duration boottime) {
    std::vector<kernel::AcctObject> unknown;
    absl::flat_hash_set<absl::string_view> names;
    for (const kernel::AcctObject& object : read) {
      names.insert(object.name);
      const bool is_new =
          exceeded_.try_emplace(object.name, Crossing{object, boottime}).second;
      if (is_new) unknown.push_back(object);
    }
    if (complete) {
      absl::erase_if(exceeded_, [&](const auto& entry) {
        // A counter that crossed after the reading had passed it is exceeded.
        return !names.contains(entry.first) && entry.second.added < readings_;
      });
      reading_due_at_ = std::max(kFewest, 2 * exceeded_.size());
    }
    return unknown;
  }

  // The crossing of which `event` may be late news, because a reading found it
  // before; nullopt: it is a new one. To be asked once for each event, since
  // the kernel sends one a crossing.
  std::optional<kernel::AcctObject> FoundBefore(const kernel::AcctObject& event,
                                                absl::Duration boottime) {
    const auto found = exceeded_.find(event.name);
    if (found == exceeded_.end()) return std::nullopt;
    Crossing& crossing = found->second;
    const bool awaited = boottime - crossing.found <= kSettleTime;
    crossing.found = -absl::InfiniteDuration();
    if (!awaited || event.packets > crossing.object.packets ||
        event.bytes > crossing.object.bytes) {
      return std::nullopt;
    }
    return crossing.object;
  }

  // A crossing that an event told of.
  void Add(const kernel::AcctObject& object) {
    exceeded_[object.name] = Crossing{.object = object, .added = readings_};
  }

  // So many have come since the last complete reading that another one should
  // show which of them are left: nobody tells when other programs reset or
  // delete counters.
  bool IsReadingDue() const { return exceeded_.size() >= reading_due_at_; }

  // Whether an event told of it since the last reading began.
  bool AddedMeanwhile(absl::string_view name) const {
    const auto found = exceeded_.find(name);
    return found != exceeded_.end() && found->second.added == readings_;
  }

  // The counter was reset or deleted: its next crossing is a new one.
  void Forget(absl::string_view name) { exceeded_.erase(name); }

 private:
  struct Crossing {
    kernel::AcctObject object;
    // Boottime when a reading found it and its event had not come; else
    // infinite past.
    absl::Duration found = -absl::InfiniteDuration();
    // Readings that had begun when an event told of it.
    uint64_t added = 0;
  };

  static constexpr size_t kFewest = 4096;

  absl::flat_hash_map<std::string, Crossing> exceeded_;  // by name
  size_t reading_due_at_ = kFewest;
  uint64_t readings_ = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_QUOTAS_QUOTA_CROSSINGS_H_
