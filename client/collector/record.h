// SPDX-License-Identifier: Apache-2.0
// What sinks need of the records in a batch.
#ifndef NFMETER_COLLECTOR_RECORD_H_
#define NFMETER_COLLECTOR_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "collector/sink.h"
#include "google/protobuf/timestamp.pb.h"

namespace nfmeter::collector {

// Microseconds since 1970; 0 for an absent one.
int64_t Micros(const google::protobuf::Timestamp& time);

inline constexpr int64_t kFiveMinutes = int64_t{300} * 1'000'000;
// When the part of time of that length began in which `time` lies.
int64_t BucketOf(int64_t time, int64_t length);

// A gap as sinks keep it. Times in microseconds, 0: unknown.
struct GapRow {
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  uint64_t counter_id = 0;  // 0: all counters
  std::string counter;
  std::string cause;
  int64_t start = 0;
  int64_t end = 0;
  bool bounded = false;
  uint64_t max_packets = 0;
  uint64_t max_bytes = 0;
};

// Those that the records tell of, and one where the node's ledger was set back.
std::vector<GapRow> GapsOf(const Batch& batch);

// OUT_OF_RANGE: a total is 2^63 or more, which databases do not hold.
absl::Status CheckTotals(const Batch& batch);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_RECORD_H_
