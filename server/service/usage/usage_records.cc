// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/usage/usage_records.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/status_macros.h"
#include "service/gate/message_bytes.h"
#include "service/gate/time_message.h"
#include "service/usage/usage_messages.h"

namespace nfmeter::service {
namespace {

using accounting::LedgerReader;

// Rows of one message, so that it stays below the 4 MiB which gRPC clients take
// by default: each takes up to 30 bytes, and 600 when it is described.
constexpr int kRowsEach = 50'000;
constexpr int kDescriptionsEach = 5'000;

}  // namespace

absl::Status OfAnotherEpoch() {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "POSITION_OF_ANOTHER_EPOCH",
      "this position is not one of the server's ledger: that began anew, or "
      "was set back to a backup, a copy or a snapshot of the machine; start "
      "without a position, and the first record has all totals");
}

absl::StatusOr<uint64_t> UsageRecords::Begin(
    const std::optional<Resumption>& resume_after) {
  epoch_ = ledger_.epoch();
  NFM_ASSIGN_OR_RETURN(reader_, ledger_.OpenReader());
  if (resume_after.has_value()) {
    position_ = resume_after->sequence;
    NFM_ASSIGN_OR_RETURN(const auto totals, reader_->TotalsAfter(position_));
    if (totals.has_value()) {
      NFM_ASSIGN_OR_RETURN(const absl::Time time, reader_->TimeOf(position_));
      // It may be gone, and only the checkpoint behind it there.
      const bool known =
          resume_after->time.has_value() && time != absl::UnixEpoch();
      if (known &&
          absl::ToUnixMicros(*resume_after->time) != absl::ToUnixMicros(time)) {
        return OfAnotherEpoch();
      }
      for (const auto& [account, total] : *totals) rows_[account].total = total;
      return position_;
    }
    lost_ = accounting::Gap{.cause = accounting::GapCause::kRecordsDropped,
                            .from = absl::InfinitePast()};
  }
  full_due_ = true;
  return 0;
}

absl::StatusOr<std::optional<UsageRecords::Record>> UsageRecords::Next() {
  // The file that it reads was damaged, and another is in its place.
  if (epoch_ != ledger_.epoch()) return OfAnotherEpoch();
  record_ = Record();
  if (full_due_) {
    NFM_RETURN_IF_ERROR(MakeFull());
    return std::move(record_);
  }
  absl::StatusOr<std::optional<LedgerReader::Step>> step =
      reader_->Next(position_);
  if (GetErrorDetails(step.status()).reason == "RECORDS_DROPPED") {
    // This consumer was too slow even for the hard bound.
    lost_ = accounting::Gap{.cause = accounting::GapCause::kRecordsDropped,
                            .from = part_time_};
    NFM_RETURN_IF_ERROR(MakeFull());
    return std::move(record_);
  }
  NFM_RETURN_IF_ERROR(step.status());
  if (!step->has_value()) return std::nullopt;
  NFM_RETURN_IF_ERROR(MakeStep(**step));
  return std::move(record_);
}

absl::Status UsageRecords::MakeFull() {
  const uint64_t had = position_;
  // The newest record may be deleted before it is read. Then there is a newer.
  std::optional<LedgerReader::Totals> totals;
  absl::Time time;
  while (!totals.has_value()) {
    NFM_ASSIGN_OR_RETURN(position_, reader_->NewestSequence());
    NFM_ASSIGN_OR_RETURN(totals, reader_->TotalsAfter(position_));
    NFM_ASSIGN_OR_RETURN(time, reader_->TimeOf(position_));
  }
  // Accounts that never counted have no totals.
  NFM_RETURN_IF_ERROR(
      reader_->ForEachAccount([&](const accounting::StoredAccount& stored) {
        if (stored.account.state != accounting::Account::State::kClosed) {
          totals->try_emplace(stored.account.id);
        }
      }));
  rows_.clear();
  std::vector<uint64_t> accounts;
  accounts.reserve(totals->size());
  for (const auto& [account, total] : *totals) accounts.push_back(account);
  std::sort(accounts.begin(), accounts.end());
  StartPart(time, /*full=*/true);
  if (lost_.has_value()) NFM_RETURN_IF_ERROR(AddLost(had, time));
  for (const uint64_t account : accounts) {
    rows_[account].total = (*totals)[account];
    NFM_RETURN_IF_ERROR(Add(account));
  }
  FinishPart(/*partial=*/false);
  full_due_ = false;
  lost_.reset();
  return absl::OkStatus();
}

// A gap for the records that the consumer has lost, those after `had`, and the
// gaps that were in them.
absl::Status UsageRecords::AddLost(uint64_t had, absl::Time time) {
  lost_->to = time;
  NFM_RETURN_IF_ERROR(AddGap(*lost_));
  NFM_ASSIGN_OR_RETURN(const auto gaps,
                       reader_->GapsOfRecords(had + 1, position_));
  for (const accounting::Gap& gap : gaps) NFM_RETURN_IF_ERROR(AddGap(gap));
  return absl::OkStatus();
}

absl::Status UsageRecords::MakeStep(const LedgerReader::Step& step) {
  position_ = step.sequence;
  StartPart(step.time, /*full=*/false);
  for (const uint64_t account : step.record.accounts) {
    Row& row = rows_[account];
    row.known = false;
    row.described = false;
  }
  for (const accounting::Gap& gap : step.gaps) {
    NFM_RETURN_IF_ERROR(AddGap(gap));
  }
  // Merges the accounts that are described with those that counted. Both are in
  // the order of accounts.
  auto described = step.record.accounts.begin();
  for (const accounting::Record::Row& moved : step.record.rows) {
    while (described != step.record.accounts.end() &&
           *described < moved.account) {
      NFM_RETURN_IF_ERROR(Add(*described++));
    }
    if (described != step.record.accounts.end() &&
        *described == moved.account) {
      ++described;
    }
    rows_[moved.account].total += moved.delta;
    NFM_RETURN_IF_ERROR(Add(moved.account));
  }
  for (; described != step.record.accounts.end(); ++described) {
    NFM_RETURN_IF_ERROR(Add(*described));
  }
  FinishPart(/*partial=*/false);
  return absl::OkStatus();
}

// The account's row, in which `matches` is known.
absl::StatusOr<UsageRecords::Row*> UsageRecords::Look(uint64_t account) {
  Row& row = rows_[account];
  if (row.known) return &row;
  row.known = true;
  if (filter_.matches_all()) {
    row.matches = true;
    return &row;
  }
  NFM_ASSIGN_OR_RETURN(const auto stored, reader_->FindAccount(account));
  if (!stored.has_value()) return &row;
  row.matches = filter_.Matches(accounting::ShownName(stored->account.name),
                                LabelsOf(*stored, labels_));
  return &row;
}

absl::Status UsageRecords::Add(uint64_t account) {
  NFM_ASSIGN_OR_RETURN(Row* const row, Look(account));
  if (!row->matches) return absl::OkStatus();
  v1::UsageRecord* record = part_.mutable_record();
  if (record->counter_ids_size() >= kRowsEach ||
      record->counters_size() >= kDescriptionsEach) {
    FinishPart(/*partial=*/true);
    StartPart(part_time_, part_full_);
    record = part_.mutable_record();
  }
  if (!row->described) {
    NFM_ASSIGN_OR_RETURN(const auto stored, reader_->FindAccount(account));
    if (stored.has_value()) {
      ToProto(stored->account, LabelsOf(*stored, labels_),
              record->add_counters());
    }
    row->described = true;
  }
  record->add_counter_ids(account);
  record->add_total_packets(row->total.packets);
  record->add_total_bytes(row->total.bytes);
  return absl::OkStatus();
}

absl::Status UsageRecords::AddGap(const accounting::Gap& gap) {
  std::string name;
  if (gap.account != 0) {
    NFM_ASSIGN_OR_RETURN(const Row* const row, Look(gap.account));
    if (!row->matches) return absl::OkStatus();
    NFM_ASSIGN_OR_RETURN(const auto stored, reader_->FindAccount(gap.account));
    if (stored.has_value()) name = accounting::ShownName(stored->account.name);
  }
  ToProto(gap, name, part_.mutable_record()->add_gaps());
  return absl::OkStatus();
}

void UsageRecords::StartPart(absl::Time time, bool full) {
  part_.Clear();
  part_time_ = time;
  part_full_ = full;
  v1::UsageRecord* const record = part_.mutable_record();
  record->mutable_position()->set_epoch(ledger_.epoch());
  record->mutable_position()->set_sequence(position_);
  ToProto(time, record->mutable_position()->mutable_time());
  record->set_full(full);
  record->set_node_id(ledger_.node_id());
  ToProto(time, record->mutable_time());
}

void UsageRecords::FinishPart(bool partial) {
  part_.mutable_record()->set_partial(partial);
  record_.sequence = position_;
  record_.parts.push_back(ToBytes(part_));
  record_.bytes += record_.parts.back().Length();
}

}  // namespace nfmeter::service
