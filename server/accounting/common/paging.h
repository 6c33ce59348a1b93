// SPDX-License-Identifier: GPL-3.0-or-later
// Page tokens of listings.
#ifndef NFMETER_ACCOUNTING_COMMON_PAGING_H_
#define NFMETER_ACCOUNTING_COMMON_PAGING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "accounting/common/counter_filter.h"
#include "base/stable_hash.h"

namespace nfmeter::accounting {

// A page ends early when its items have about this many bytes, so that it fits
// the 4 MiB which gRPC clients take by default.
inline constexpr size_t kMaxPageBytes = 3 << 20;

// Adds all of a filter to the hash of what is listed.
void AddFilter(const CounterFilter& filter, StableHash& hash);

// An opaque token that says where a listing goes on. `query` is a stable hash
// of what is listed, `position` is any bytes. Not empty.
std::string MakePageToken(uint64_t query, absl::string_view position);

// The position in a token. INVALID_ARGUMENT with reason PAGE_TOKEN_INVALID:
// not a token of ours, or one of another query.
absl::StatusOr<std::string> ReadPageToken(absl::string_view token,
                                          uint64_t query);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_PAGING_H_
