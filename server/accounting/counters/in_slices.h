// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of many counters on their lane.
#ifndef NFMETER_ACCOUNTING_COUNTERS_IN_SLICES_H_
#define NFMETER_ACCOUNTING_COUNTERS_IN_SLICES_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "accounting/common/lane.h"

namespace nfmeter::accounting {

// Objects that one job of the lane changes, so that snapshots can go between:
// some 10 ms at 10,000 objects.
inline constexpr size_t kSlice = 256;

// Calls `job` with as many at once as one turn of the lane may have.
template <typename T>
absl::Status EachSlice(
    absl::Span<const T> all,
    absl::FunctionRef<absl::Status(absl::Span<const T>)> job) {
  for (size_t i = 0; i < all.size(); i += kSlice) {
    const absl::Status done = job(all.subspan(i, kSlice));
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

// Carries out `change` on the lane, slice by slice, and hands out the results
// in order; those of slices for which the lane has no room are its status.
template <typename Result>
void InSlices(
    Lane& lane, absl::Span<const std::string> names,
    absl::FunctionRef<std::vector<Result>(absl::Span<const std::string>)>
        change,
    absl::FunctionRef<void(size_t index, Result result)> on_result) {
  for (size_t begin = 0; begin < names.size(); begin += kSlice) {
    const auto slice = names.subspan(begin, kSlice);
    std::vector<Result> results;
    const absl::Status queued = lane.Run(Lane::Priority::kNormal, [&] {
      results = change(slice);
      return absl::OkStatus();
    });
    for (size_t i = 0; i < slice.size(); ++i) {
      on_result(begin + i, queued.ok() ? std::move(results[i]) : queued);
    }
  }
}

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_IN_SLICES_H_
