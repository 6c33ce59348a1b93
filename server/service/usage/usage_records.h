// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger's records as one consumer gets them.
#ifndef NFMETER_SERVICE_USAGE_USAGE_RECORDS_H_
#define NFMETER_SERVICE_USAGE_USAGE_RECORDS_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/common/counter_filter.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/ledger/ledger_reader.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::service {

// POSITION_OF_ANOTHER_EPOCH.
absl::Status OfAnotherEpoch();

// Where a consumer goes on.
struct Resumption {
  uint64_t sequence = 0;           // of the last record that it has
  std::optional<absl::Time> time;  // of that record; none: it does not say
};

// Makes messages of the ledger's records, one record after the other, with the
// counters that a filter takes. Records in the file have differences and
// messages have totals, so the totals are kept here. A consumer that is new, or
// so slow that records went before it had them, gets a full record with all
// totals first; in the second case with a gap.
//
// Reads the ledger's file. Not thread-safe; does not own what it is given.
class UsageRecords {
 public:
  struct Record {
    uint64_t sequence = 0;
    // UsageRecords, all but the last of them partial, so that none is larger
    // than gRPC clients take.
    std::deque<grpc::ByteBuffer> parts;
    size_t bytes = 0;  // of all parts
  };

  UsageRecords(const accounting::Ledger& ledger,
               const accounting::LabelStore& labels,
               accounting::CounterFilter filter)
      : ledger_(ledger), labels_(labels), filter_(std::move(filter)) {}

  // Once, before Next(). The position that the consumer has: that of
  // `resume_after`, or 0 where a full record comes first. FAILED_PRECONDITION:
  // OfAnotherEpoch(), as the record there is of another time; else
  // Ledger::OpenReader()'s.
  absl::StatusOr<uint64_t> Begin(const std::optional<Resumption>& resume_after);

  // None: there is no newer one yet. FAILED_PRECONDITION: OfAnotherEpoch(), as
  // the ledger has begun anew; else LedgerReader's.
  absl::StatusOr<std::optional<Record>> Next();

 private:
  // What is known of an account.
  struct Row {
    accounting::Amount total;
    bool known = false;  // looked up, and so `matches`
    bool matches = false;
    bool described = false;
  };

  absl::Status MakeFull();
  absl::Status AddLost(uint64_t had, absl::Time time);
  absl::Status MakeStep(const accounting::LedgerReader::Step& step);
  absl::StatusOr<Row*> Look(uint64_t account);
  absl::Status Add(uint64_t account);
  absl::Status AddGap(const accounting::Gap& gap);
  void StartPart(absl::Time time, bool full);
  void FinishPart(bool partial);

  const accounting::Ledger& ledger_;
  const accounting::LabelStore& labels_;
  const accounting::CounterFilter filter_;

  uint64_t epoch_ = 0;  // of what the reader reads
  std::unique_ptr<accounting::LedgerReader> reader_;
  absl::flat_hash_map<uint64_t, Row> rows_;
  uint64_t position_ = 0;  // of the last record made
  bool full_due_ = false;
  std::optional<accounting::Gap> lost_;  // before the full one
  // Under way.
  Record record_;
  v1::CollectUsageResponse part_;
  absl::Time part_time_;
  bool part_full_ = false;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_USAGE_USAGE_RECORDS_H_
