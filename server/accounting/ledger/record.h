// SPDX-License-Identifier: GPL-3.0-or-later
// What the ledger's file holds as bytes: records, checkpoints, buckets.
//
// All are rows by increasing account, as differences in variable-length numbers
// (base 128, the low seven bits first, as in protobuf). Most counters of a busy
// host take 5 to 8 bytes of a record. Decoding refuses everything that encoding
// does not make, and costs no more memory than a constant times the bytes.
#ifndef NFMETER_ACCOUNTING_LEDGER_RECORD_H_
#define NFMETER_ACCOUNTING_LEDGER_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "accounting/ledger/account.h"

namespace nfmeter::accounting {

// One step of the ledger: what was counted since the record before.
struct Record {
  struct Row {
    uint64_t account = 0;
    Amount delta;
    friend bool operator==(const Row&, const Row&) = default;
  };
  // How long the complete reading in it is after the one before; whole
  // milliseconds. 0: it has none, or there was none before.
  absl::Duration since_reading;
  std::vector<Row> rows;           // by account; those that counted something
  std::vector<uint64_t> accounts;  // by number; what is known of them changed
  uint32_t gaps = 0;               // that were discovered with it

  friend bool operator==(const Record&, const Record&) = default;
};

// The totals of all accounts after some record: where reading may begin.
struct Checkpoint {
  struct Row {
    uint64_t account = 0;
    Amount total;
    friend bool operator==(const Row&, const Row&) = default;
  };
  std::vector<Row> rows;  // by account

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// What was counted in five minutes or in an hour.
struct Bucket {
  struct Row {
    uint64_t account = 0;
    Amount sum;
    Amount peak;  // of any five minutes in it, packets and bytes apart
    friend bool operator==(const Row&, const Row&) = default;
  };
  std::vector<Row> rows;  // by account; those that counted something

  friend bool operator==(const Bucket&, const Bucket&) = default;
};

// Rows must be by strictly increasing account.
std::string Encode(const Record& record);
std::string Encode(const Checkpoint& checkpoint);
// `with_peaks`: of an hour; else peak is the sum.
std::string Encode(const Bucket& bucket, bool with_peaks);

// DATA_LOSS, reason LEDGER_DAMAGED: these bytes were never encoded by us.
absl::StatusOr<Record> DecodeRecord(absl::string_view bytes);
absl::StatusOr<Checkpoint> DecodeCheckpoint(absl::string_view bytes);
absl::StatusOr<Bucket> DecodeBucket(absl::string_view bytes, bool with_peaks);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_RECORD_H_
