// SPDX-License-Identifier: GPL-3.0-or-later
// Checks and copies a ledger's file; a server may use it meanwhile.
#ifndef NFMETER_ACCOUNTING_LEDGER_LEDGER_FILES_H_
#define NFMETER_ACCOUNTING_LEDGER_LEDGER_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace nfmeter::accounting {

// What a ledger has, and what is wrong with it.
struct LedgerReport {
  std::string node_id;
  uint64_t epoch = 0;
  uint64_t sequence = 0;  // of the newest record
  uint64_t records = 0;
  uint64_t record_bytes = 0;
  absl::Time oldest = absl::InfiniteFuture();  // record
  absl::Time newest = absl::InfinitePast();
  uint64_t accounts = 0;  // live and absent
  uint64_t checkpoints = 0;
  uint64_t gaps = 0;
  // Sentences; none: all is well.
  std::vector<std::string> faults;
};

// Reads all of a ledger: that SQLite finds it sound, that each record,
// checkpoint and bucket can be read, that none is missing between them, and
// that checkpoints have what the records before them add up to. A server may
// use it meanwhile, and the disk need not take anything. `machine_id`: of this
// machine; empty: any. Statuses as of sqlite::Database::Open() where it can't
// even be opened.
absl::StatusOr<LedgerReport> CheckLedger(const std::string& path,
                                         const std::string& machine_id);

// Copies a ledger as it is at one moment, also while a server writes to it, or
// from a full or read-only disk. The copy is a backup: the server that is
// given it begins a new epoch and tells of a gap from `now` on; it may be on
// another machine. FAILED_PRECONDITION, LEDGER_UNUSABLE: it can't be read, or
// the copy exists already or can't be written.
absl::Status BackUpLedger(const std::string& path, const std::string& copy,
                          absl::Time now);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_LEDGER_FILES_H_
