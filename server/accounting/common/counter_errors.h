// SPDX-License-Identifier: GPL-3.0-or-later
// The errors about counters, so that they read the same everywhere.
#ifndef NFMETER_ACCOUNTING_COMMON_COUNTER_ERRORS_H_
#define NFMETER_ACCOUNTING_COMMON_COUNTER_ERRORS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// Names are the kernel's bytes; errors show the first of many.

// NOT_FOUND, COUNTER_NOT_FOUND.
absl::Status CountersMissing(absl::Span<const std::string> names);

// ALREADY_EXISTS, COUNTER_EXISTS.
absl::Status CountersExist(absl::Span<const std::string> names);

// ABORTED, ETAG_MISMATCH.
absl::Status CountersChanged(absl::Span<const std::string> names);

// FAILED_PRECONDITION, QUOTA_OF_CAPS: these rules of ours decide about what
// exceeds the quota of `counter`, and can't be left without it.
absl::Status QuotaOfCaps(const std::string& counter,
                         absl::Span<const std::string> rules);

// FAILED_PRECONDITION, COUNTER_IN_USE: `rules` hold them; without rules,
// something holds them that is not a rule the server can read.
absl::Status CountersInUse(absl::Span<const std::string> names,
                           absl::Span<const kernel::Rule> rules,
                           absl::string_view advice);

// The kernel's error about one counter; NOT_FOUND and ALREADY_EXISTS become the
// two above.
absl::Status AboutCounter(const absl::Status& status, const std::string& name);

// The first of them for metadata: a,b.
std::string NamesForPrograms(absl::Span<const std::string> names);
// For people: 'a', 'b' and 3 more.
std::string ShownNames(absl::Span<const std::string> names);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_COUNTER_ERRORS_H_
