// SPDX-License-Identifier: GPL-3.0-or-later
// What the ledger keeps, and for how long.
#ifndef NFMETER_ACCOUNTING_LEDGER_RETENTION_H_
#define NFMETER_ACCOUNTING_LEDGER_RETENTION_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

struct Retention {
  absl::Duration records = absl::Hours(7 * 24);
  uint64_t record_bytes = uint64_t{1} << 30;
  // What a consumer has not acknowledged is kept beyond both, up to this.
  uint64_t hard_record_bytes = uint64_t{4} << 30;
  absl::Duration five_minutes = absl::Hours(90 * 24);
  absl::Duration hours = absl::Hours(3 * 365 * 24);
};

struct Forgotten {
  uint64_t records = 0;
  uint64_t record_bytes = 0;
  // Consumers had not acknowledged all of them.
  bool unacknowledged = false;
  bool more = false;  // there is more to forget: call it again
};

// Deletes what is older than `retention` says, a bounded part at a time, in a
// transaction of its own: records up to a checkpoint, from which reading can
// begin; buckets; gaps and closed accounts that no bucket tells of any more.
// `record_bytes` are those of all records; `acknowledged` is the least that any
// consumer has acknowledged, if there is a consumer; records after `bucketed`
// stay.
absl::StatusOr<Forgotten> ForgetOld(sqlite::Database& db,
                                    const Retention& retention, absl::Time now,
                                    uint64_t record_bytes, uint64_t bucketed,
                                    std::optional<uint64_t> acknowledged);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_RETENTION_H_
