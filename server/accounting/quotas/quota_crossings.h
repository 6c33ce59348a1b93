// SPDX-License-Identifier: GPL-3.0-or-later
// Which crossings of quotas have been told.
#ifndef NFMETER_ACCOUNTING_QUOTAS_QUOTA_CROSSINGS_H_
#define NFMETER_ACCOUNTING_QUOTAS_QUOTA_CROSSINGS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

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
      absl::Duration boottime);

  // The crossing of which `event` may be late news, because a reading found it
  // before; nullopt: it is a new one. To be asked once for each event, since
  // the kernel sends one a crossing.
  std::optional<kernel::AcctObject> FoundBefore(const kernel::AcctObject& event,
                                                absl::Duration boottime);

  // A crossing that an event told of.
  void Add(const kernel::AcctObject& object);

  // So many have come since the last complete reading that another one should
  // show which of them are left: nobody tells when other programs reset or
  // delete counters.
  bool IsReadingDue() const { return exceeded_.size() >= reading_due_at_; }

  // Whether an event told of it since the last reading began.
  bool AddedMeanwhile(absl::string_view name) const;

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
