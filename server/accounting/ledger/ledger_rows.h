// SPDX-License-Identifier: GPL-3.0-or-later
// Accounts, gaps and times as rows of the ledger's file (see schema.cc).
#ifndef NFMETER_ACCOUNTING_LEDGER_LEDGER_ROWS_H_
#define NFMETER_ACCOUNTING_LEDGER_LEDGER_ROWS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/ledger/account.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

// Nanoseconds since the Unix epoch; 0 stands for `none`, one of the infinities.
int64_t ToStored(absl::Time time);
absl::Time FromStored(int64_t nanoseconds, absl::Time none);

// What a SELECT that ReadAccount() and ReadGap() read begins with.
inline constexpr char kAccountColumns[] =
    "id, name, state, generation, base_packets, base_bytes, kernel_packets, "
    "kernel_bytes, create_time, start_time, reset_time, end_time, absence, "
    "labels";
inline constexpr char kGapColumns[] =
    "account, cause, from_time, to_time, max_packets, max_bytes";

struct StoredAccount {
  Account account;
  Labels last_labels;  // only if it is closed
};
StoredAccount ReadAccount(const sqlite::Statement& row);
Gap ReadGap(const sqlite::Statement& row);

// Inserts or replaces. `last_labels`: by account.
absl::Status PutAccounts(sqlite::Database& db,
                         absl::Span<const Account> accounts,
                         const std::map<uint64_t, Labels>& last_labels);
absl::Status PutGaps(sqlite::Database& db, uint64_t sequence,
                     absl::Span<const Gap> gaps);

// Labels as they stand with a closed account: each key and value with a NUL.
std::string EncodeLabels(const Labels& labels);
Labels DecodeLabels(absl::string_view bytes);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_LEDGER_ROWS_H_
