// SPDX-License-Identifier: GPL-3.0-or-later
// Records as a node's ledger makes them.
#ifndef NFMETER_TESTS_COLLECTOR_RECORDS_H_
#define NFMETER_TESTS_COLLECTOR_RECORDS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::testing {

// 100 bytes a packet.
struct RecordOptions {
  std::string node_id = "id-1";
  uint64_t epoch = 7;
  uint64_t sequence = 1;
  bool full = false;
  int64_t seconds = 1'795'910'400;  // 29 Nov 2026
  std::map<std::string, std::string> labels;
  bool described = true;
  int64_t created = 1'000;  // seconds
};

// Counters by id with their packets in all; counter 5 is called "c5".
inline v1::UsageRecord MakeRecord(const RecordOptions& options,
                                  const std::map<uint64_t, uint64_t>& packets) {
  v1::UsageRecord record;
  record.mutable_position()->set_epoch(options.epoch);
  record.mutable_position()->set_sequence(options.sequence);
  record.set_node_id(options.node_id);
  record.set_full(options.full);
  record.mutable_time()->set_seconds(options.seconds);
  for (const auto& [id, total] : packets) {
    if (options.described) {
      v1::UsageCounter& counter = *record.add_counters();
      counter.set_id(id);
      counter.set_name("c" + std::to_string(id));
      counter.set_generation(1);
      counter.set_state(v1::USAGE_COUNTER_STATE_LIVE);
      counter.mutable_create_time()->set_seconds(options.created);
      for (const auto& [key, value] : options.labels) {
        (*counter.mutable_labels())[key] = value;
      }
    }
    record.add_counter_ids(id);
    record.add_total_packets(total);
    record.add_total_bytes(total * 100);
  }
  return record;
}

// The first tells of a gap, after which counter 6 of the second was made.
inline std::vector<v1::UsageRecord> RecordsAroundAGap(int64_t seconds) {
  std::vector<v1::UsageRecord> records = {
      MakeRecord({.sequence = 1, .full = true, .seconds = seconds}, {{5, 1}}),
      MakeRecord(
          {.sequence = 2, .seconds = seconds + 10, .created = seconds + 5},
          {{6, 1}})};
  records[0].add_gaps()->mutable_end_time()->set_seconds(seconds);
  return records;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_RECORDS_H_
