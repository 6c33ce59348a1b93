// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger's file, for those who read it.
#ifndef NFMETER_ACCOUNTING_LEDGER_LEDGER_READER_H_
#define NFMETER_ACCOUNTING_LEDGER_LEDGER_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/ledger/account.h"
#include "accounting/ledger/buckets.h"
#include "accounting/ledger/ledger_rows.h"
#include "accounting/ledger/record.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

// A connection of its own that reads what the writer has committed, and never
// waits for it. Statuses of all functions: see sqlite::Database, reason
// LEDGER_FAILED; DATA_LOSS, LEDGER_DAMAGED. Not thread-safe.
class LedgerReader {
 public:
  static absl::StatusOr<std::unique_ptr<LedgerReader>> Open(
      const std::string& path);

  // From now on everything is read as it is at this moment. Returns up to which
  // record the buckets go.
  absl::StatusOr<uint64_t> StandStill();

  // Totals by account.
  using Totals = absl::flat_hash_map<uint64_t, Amount>;

  // After the record `sequence`; 0: before the first. Nullopt: the records that
  // this takes are not there any more.
  absl::StatusOr<std::optional<Totals>> TotalsAfter(uint64_t sequence);

  struct Step {
    uint64_t sequence = 0;
    absl::Time time;
    Record record;
    std::vector<Gap> gaps;
  };
  // The record after `sequence`; nullopt: there is none yet. DATA_LOSS: it is
  // gone, and later ones are there.
  absl::StatusOr<std::optional<Step>> Next(uint64_t sequence);

  // Of the newest record; 0: none.
  absl::StatusOr<uint64_t> NewestSequence();
  // When the totals of that record were read; UnixEpoch(): there is none such.
  absl::StatusOr<absl::Time> TimeOf(uint64_t sequence);
  // Discovered with the records `first` to `last`.
  absl::StatusOr<std::vector<Gap>> GapsOfRecords(uint64_t first, uint64_t last);

  absl::StatusOr<std::optional<StoredAccount>> FindAccount(uint64_t id);
  absl::Status ForEachAccount(
      absl::FunctionRef<void(const StoredAccount& account)> visit);

  // Gaps that touch the time between `from` and `to`, in the order of their
  // discovery, with the numbers that they have in the file; at most `limit` of
  // those after `after`.
  using NumberedGap = std::pair<uint64_t, Gap>;
  absl::StatusOr<std::vector<NumberedGap>> Gaps(absl::Time from, absl::Time to,
                                                uint64_t after, size_t limit);

  // See buckets.h.
  absl::StatusOr<Buckets> FiveMinutes(absl::Time from, absl::Time to) {
    return LoadFiveMinutes(*db_, from, to);
  }
  absl::StatusOr<absl::Time> HoursUntil() {
    return accounting::HoursUntil(*db_);
  }
  absl::StatusOr<Buckets> Hours(absl::Time from, absl::Time to) {
    return LoadHours(*db_, from, to);
  }
  // Since when there are buckets of five minutes; InfiniteFuture(): there are
  // none.
  absl::StatusOr<absl::Time> FiveMinutesSince();

 private:
  explicit LedgerReader(std::unique_ptr<sqlite::Database> db)
      : db_(std::move(db)) {}

  const std::unique_ptr<sqlite::Database> db_;
  std::optional<sqlite::Transaction> still_;
  std::optional<sqlite::Statement> next_;  // prepared when first needed
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_LEDGER_READER_H_
