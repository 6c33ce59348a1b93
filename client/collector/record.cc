// SPDX-License-Identifier: Apache-2.0
#include "collector/record.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "client/src/words.h"

namespace nfmeter::collector {

int64_t Micros(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1'000;
}

int64_t BucketOf(int64_t time, int64_t length) {
  return time - (time % length + length) % length;
}

std::vector<GapRow> GapsOf(const Batch& batch) {
  std::vector<GapRow> rows;
  if (batch.set_back) {
    const v1::UsageRecord& first = batch.records.front();
    rows.push_back({.epoch = first.position().epoch(),
                    .sequence = first.position().sequence(),
                    .cause = "LEDGER_SET_BACK",
                    .end = Micros(first.time())});
  }
  for (const v1::UsageRecord& record : batch.records) {
    for (const v1::UsageGap& gap : record.gaps()) {
      rows.push_back({.epoch = record.position().epoch(),
                      .sequence = record.position().sequence(),
                      .counter_id = gap.counter_id(),
                      .counter = gap.counter(),
                      .cause = EnumWord(gap.cause()),
                      .start = Micros(gap.start_time()),
                      .end = Micros(gap.end_time()),
                      .bounded = gap.bounded(),
                      .max_packets = gap.max_packets(),
                      .max_bytes = gap.max_bytes()});
    }
  }
  return rows;
}

absl::Status CheckTotals(const Batch& batch) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
  const auto fits = [](uint64_t total) { return total <= kMost; };
  for (const v1::UsageRecord& record : batch.records) {
    if (!std::all_of(record.total_bytes().begin(), record.total_bytes().end(),
                     fits) ||
        !std::all_of(record.total_packets().begin(),
                     record.total_packets().end(), fits)) {
      return absl::OutOfRangeError(absl::StrCat(
          "record ", record.position().sequence(), " of '", batch.node,
          "' has a total of 2^63 or more, which databases do not hold; a "
          "counter of it was created with such a value, delete it"));
    }
  }
  return absl::OkStatus();
}

Cursor CursorAfter(const v1::UsageRecord& record) {
  return {record.node_id(), record.position().epoch(),
          record.position().sequence(), Micros(record.time())};
}

absl::Status LeaseLost(const Batch& batch) {
  return absl::AbortedError(absl::StrCat(
      "another collector has taken shard ", batch.lease.shard, ", to which '",
      batch.node, "' belongs; nothing of it was stored here"));
}

absl::Status CursorMoved(const Batch& batch) {
  return absl::FailedPreconditionError(absl::StrCat(
      "what is stored of '", batch.node,
      "' is not where this collector left it; it begins again from there"));
}

}  // namespace nfmeter::collector
