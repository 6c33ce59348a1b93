// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger_rows.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {

int64_t ToStored(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return 0;
  return absl::ToUnixNanos(time);
}

absl::Time FromStored(int64_t nanoseconds, absl::Time none) {
  return nanoseconds == 0 ? none : absl::FromUnixNanos(nanoseconds);
}

StoredAccount ReadAccount(const sqlite::Statement& row) {
  StoredAccount stored;
  Account& account = stored.account;
  account.id = row.Uint64(0);
  account.name = std::string(row.Bytes(1));
  account.state = static_cast<Account::State>(row.Int64(2));
  account.generation = static_cast<uint32_t>(row.Int64(3));
  account.base = {row.Uint64(4), row.Uint64(5)};
  account.kernel_base = {row.Uint64(6), row.Uint64(7)};
  account.create_time = absl::FromUnixNanos(row.Int64(8));
  account.start_time = absl::FromUnixNanos(row.Int64(9));
  account.reset_time = FromStored(row.Int64(10), absl::InfinitePast());
  account.end_time = FromStored(row.Int64(11), absl::InfiniteFuture());
  account.absence = static_cast<GapCause>(row.Int64(12));
  stored.last_labels = DecodeLabels(row.Bytes(13));
  return stored;
}

Gap ReadGap(const sqlite::Statement& row) {
  Gap gap = {.account = row.Uint64(0),
             .cause = static_cast<GapCause>(row.Int64(1)),
             .from = FromStored(row.Int64(2), absl::InfinitePast()),
             .to = FromStored(row.Int64(3), absl::InfiniteFuture())};
  if (!row.IsNull(4)) gap.at_most = {row.Uint64(4), row.Uint64(5)};
  return gap;
}

absl::Status PutAccounts(sqlite::Database& db,
                         absl::Span<const Account> accounts,
                         const std::map<uint64_t, Labels>& last_labels) {
  if (accounts.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(sqlite::Statement put,
                       db.Prepare(absl::StrCat(
                           "INSERT OR REPLACE INTO accounts (", kAccountColumns,
                           ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                           "?10, ?11, ?12, ?13, ?14)")));
  for (const Account& account : accounts) {
    const auto last = last_labels.find(account.id);
    const std::string labels =
        last == last_labels.end() ? "" : EncodeLabels(last->second);
    NFM_RETURN_IF_ERROR(
        put.Run(account.id, sqlite::Blob{account.name},
                static_cast<int64_t>(account.state), account.generation,
                account.base.packets, account.base.bytes,
                account.kernel_base.packets, account.kernel_base.bytes,
                ToStored(account.create_time), ToStored(account.start_time),
                ToStored(account.reset_time), ToStored(account.end_time),
                static_cast<int64_t>(account.absence), sqlite::Blob{labels}));
  }
  return absl::OkStatus();
}

absl::Status PutGaps(sqlite::Database& db, uint64_t sequence,
                     absl::Span<const Gap> gaps) {
  if (gaps.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db.Prepare(absl::StrCat("INSERT INTO gaps (sequence, ", kGapColumns,
                              ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")));
  for (const Gap& gap : gaps) {
    if (gap.at_most.has_value()) {
      NFM_RETURN_IF_ERROR(put.Run(sequence, gap.account,
                                  static_cast<int64_t>(gap.cause),
                                  ToStored(gap.from), ToStored(gap.to),
                                  gap.at_most->packets, gap.at_most->bytes));
    } else {
      NFM_RETURN_IF_ERROR(
          put.Run(sequence, gap.account, static_cast<int64_t>(gap.cause),
                  ToStored(gap.from), ToStored(gap.to), nullptr, nullptr));
    }
  }
  return absl::OkStatus();
}

std::string EncodeLabels(const Labels& labels) {
  std::string bytes;
  for (const auto& [key, value] : labels) {
    bytes.append(key).push_back('\0');
    bytes.append(value).push_back('\0');
  }
  return bytes;
}

Labels DecodeLabels(absl::string_view bytes) {
  const auto next = [&] {
    const size_t end = bytes.find('\0');
    const absl::string_view part = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    return std::string(part);
  };
  Labels labels;
  while (!bytes.empty()) {
    std::string key = next();
    labels[std::move(key)] = next();
  }
  return labels;
}

}  // namespace nfmeter::accounting
