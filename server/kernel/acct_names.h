// SPDX-License-Identifier: GPL-3.0-or-later
// Names of kernel objects that are made of the names of counters.
#ifndef NFMETER_KERNEL_ACCT_NAMES_H_
#define NFMETER_KERNEL_ACCT_NAMES_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "kernel/acct_table.h"

namespace nfmeter::kernel {

// Longest name that nfacct has room for (NFACCT_NAME_MAX - 1).
inline constexpr size_t kNfacctNameMaxBytes = 31;

// What nfacct calls a counter: its name, if that is not too long; else the
// first 14 bytes of it, '~' and 96 bits of its SHA-256 as base64 for URLs. No
// counter that is made through us has a '~' in its name.
std::string NfacctName(absl::string_view counter);

// Whether a name of nfacct's has the form of those that are short for others.
inline bool IsShortNfacctName(absl::string_view name) {
  return name.size() == kNfacctNameMaxBytes && name[14] == '~';
}

// The first bytes of the SHA-256 of `name`, as base64 for URLs. Cryptographic,
// so that whoever chooses names finds no two that are the same.
std::string NameHash(absl::string_view name, size_t bytes);

// Which counters the short names of a kernel stand for. What is not known is
// shown by its short name, and found by the long one. Thread-safe.
class AcctNames {
 public:
  void Learn(std::string kernel_name, absl::string_view counter);
  void Forget(const std::string& kernel_name);
  // Nullopt: not known.
  std::optional<std::string> Find(absl::string_view kernel_name) const;
  // Whether the kernel name is known to be short for another counter.
  bool IsAnothers(absl::string_view kernel_name,
                  absl::string_view counter) const;

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::string> counters_
      ABSL_GUARDED_BY(mutex_);
};

// How the names of stand-ins begin.
inline constexpr absl::string_view kStandInPrefix = ".nfmeterd.~";

// The object that counts for this counter while its own is made anew, see
// AcctTable::Renew(): the prefix and 120 bits of SHA-256 of its name, as base64
// for URLs.
std::string StandInName(absl::string_view counter);

inline bool IsStandInName(absl::string_view name) {
  return absl::StartsWith(name, kStandInPrefix);
}

// Whether a dump with this filter hands out the record.
inline bool PassesFilter(AcctDumpFilter filter, const AcctRecord& record) {
  const bool wants_stand_ins = filter == AcctDumpFilter::kStandIns;
  if (IsStandInName(record.name) != wants_stand_ins) return false;
  return filter != AcctDumpFilter::kQuotaExceeded || record.quota_exceeded;
}

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_ACCT_NAMES_H_
