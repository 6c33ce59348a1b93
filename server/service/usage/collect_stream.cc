// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/usage/collect_stream.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/ledger_reader.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/gate/field_errors.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"
#include "service/gate/time_message.h"
#include "service/usage/usage_messages.h"

namespace nfmeter::service {
namespace {

using accounting::LedgerReader;

constexpr size_t kDefaultWindow = 4 << 20;
constexpr size_t kMaxWindow = 64 << 20;
// Rows of one message, so that it stays below the 4 MiB which gRPC clients take
// by default: each takes up to 30 bytes, and 600 when it is described.
constexpr int kRowsEach = 50'000;
constexpr int kDescriptionsEach = 5'000;
constexpr size_t kMaxNameBytes = 63;

bool IsConsumerName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
}

absl::Status OfAnotherEpoch() {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "POSITION_OF_ANOTHER_EPOCH",
      "this position is of another epoch: the ledger of the server was "
      "restored from a backup or began anew; start without a position, and "
      "the first record has all totals");
}

absl::Status Ahead(uint64_t sequence, uint64_t newest) {
  return MakeError(
      absl::StatusCode::kOutOfRange, "POSITION_AHEAD",
      absl::StrCat("position ", sequence,
                   " is ahead of the ledger, whose "
                   "newest record is ",
                   newest,
                   ": it may have been restored from an older copy; start "
                   "without a position, and the first record has all totals"));
}

absl::Status Replaced(absl::string_view consumer) {
  return MakeError(absl::StatusCode::kAborted, "CONSUMER_REPLACED",
                   absl::StrCat("another stream of consumer '", consumer,
                                "' has begun; give each collector a name of "
                                "its own"));
}

absl::Status BadAcknowledgement(absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "BAD_ACKNOWLEDGEMENT",
                   absl::StrCat("acknowledged: ", why));
}

}  // namespace

// Sends a consumer the records, from where it was, as long as few enough bytes
// of them are unacknowledged. Totals are kept here, by account, as records have
// differences.
class CollectStream final : public MessageStream,
                            public std::enable_shared_from_this<CollectStream> {
 public:
  struct Options {
    std::string consumer;
    accounting::CounterFilter filter;
    std::optional<uint64_t> resume_after;
    size_t window = kDefaultWindow;
  };

  CollectStream(accounting::Ledger& ledger,
                const accounting::LabelStore& labels, WorkThreads& threads,
                Options options)
      : ledger_(ledger),
        labels_(labels),
        threads_(threads),
        options_(std::move(options)) {}

  // Finds out what to begin with. Before the stream is started.
  absl::Status Prepare();
  void Begin() {
    auto subscription = ledger_.Subscribe([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->WakeLater();
    });
    {
      absl::MutexLock lock(&mutex_);
      if (!ended_) subscription_.swap(subscription);
    }
    WakeLater();
  }

 private:
  // What is known of an account on this stream.
  struct Row {
    accounting::Amount total;
    bool known = false;  // looked up, and so `matches`
    bool matches = false;
    bool described = false;
  };
  struct Sent {
    uint64_t sequence;
    size_t bytes;  // of all parts of the record
  };

  std::optional<Message> Next() override;
  void OnEnded() override;
  bool Listens() const override { return true; }
  void OnMessage(const grpc::ByteBuffer& bytes) override;
  void OnLastMessage() override;

  // Wake() on a thread that may wait for the disk.
  void WakeLater() {
    if (posted_.exchange(true)) return;
    threads_.Post([self = shared_from_this()] {
      self->posted_ = false;
      self->Wake();
    });
  }
  bool HasRoom() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Acknowledge(const v1::CollectUsageRequest& request);
  absl::StatusOr<bool> MakeRecord();
  absl::Status MakeFull();
  absl::Status AddLost(uint64_t had, absl::Time time);
  absl::Status MakeStep(const LedgerReader::Step& step);
  absl::StatusOr<Row*> Look(uint64_t account);
  absl::Status Add(uint64_t account, Row& row);
  absl::Status AddGap(const accounting::Gap& gap);
  void StartPart(absl::Time time, bool full);
  void FinishPart(bool partial);

  accounting::Ledger& ledger_;
  const accounting::LabelStore& labels_;
  WorkThreads& threads_;
  const Options options_;
  std::atomic<bool> posted_ = false;

  // Only in Prepare() and Next().
  uint64_t epoch_ = 0;  // of what the reader reads
  std::unique_ptr<LedgerReader> reader_;
  absl::flat_hash_map<uint64_t, Row> rows_;
  uint64_t position_ = 0;  // of the last record made
  bool full_due_ = false;
  std::optional<accounting::Gap> lost_;  // before the full one
  v1::CollectUsageResponse part_;
  absl::Time part_time_;
  bool part_full_ = false;
  std::deque<grpc::ByteBuffer> parts_;  // of the record under way
  size_t parts_bytes_ = 0;

  absl::Mutex mutex_;
  std::deque<Sent> unacknowledged_ ABSL_GUARDED_BY(mutex_);
  size_t unacknowledged_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  bool acknowledges_ ABSL_GUARDED_BY(mutex_) = false;  // has done so
  std::unique_ptr<accounting::Ledger::Subscription> subscription_
      ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

absl::Status CollectStream::Prepare() {
  epoch_ = ledger_.epoch();
  NFM_ASSIGN_OR_RETURN(reader_, ledger_.OpenReader());
  if (options_.resume_after.has_value()) {
    position_ = *options_.resume_after;
    NFM_ASSIGN_OR_RETURN(const auto totals, reader_->TotalsAfter(position_));
    if (totals.has_value()) {
      for (const auto& [account, total] : *totals) rows_[account].total = total;
      absl::MutexLock lock(&mutex_);
      sent_ = position_;
      return absl::OkStatus();
    }
    lost_ = accounting::Gap{.cause = accounting::GapCause::kRecordsDropped,
                            .from = absl::InfinitePast()};
  }
  full_due_ = true;
  return absl::OkStatus();
}

void CollectStream::OnEnded() {
  std::unique_ptr<accounting::Ledger::Subscription> dropped;
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  dropped.swap(subscription_);
}

bool CollectStream::HasRoom() {
  absl::MutexLock lock(&mutex_);
  return unacknowledged_.empty() || unacknowledged_bytes_ < options_.window;
}

std::optional<MessageStream::Message> CollectStream::Next() {
  if (parts_.empty()) {
    if (!HasRoom()) return std::nullopt;
    const absl::StatusOr<bool> made = MakeRecord();
    if (!made.ok()) {
      End(made.status());
      return std::nullopt;
    }
    if (!*made) return std::nullopt;
    absl::MutexLock lock(&mutex_);
    unacknowledged_.push_back({position_, parts_bytes_});
    unacknowledged_bytes_ += parts_bytes_;
    sent_ = position_;
  }
  Message message = {std::move(parts_.front())};
  parts_.pop_front();
  return message;
}

// Into parts_; false: there is no record yet.
absl::StatusOr<bool> CollectStream::MakeRecord() {
  parts_bytes_ = 0;
  // The file that it reads was damaged, and another is in its place.
  if (epoch_ != ledger_.epoch()) return OfAnotherEpoch();
  if (full_due_) {
    NFM_RETURN_IF_ERROR(MakeFull());
    return true;
  }
  absl::StatusOr<std::optional<LedgerReader::Step>> step =
      reader_->Next(position_);
  if (GetErrorDetails(step.status()).reason == "RECORDS_DROPPED") {
    // This consumer was too slow even for the hard bound.
    lost_ = accounting::Gap{.cause = accounting::GapCause::kRecordsDropped,
                            .from = part_time_};
    NFM_RETURN_IF_ERROR(MakeFull());
    return true;
  }
  NFM_RETURN_IF_ERROR(step.status());
  if (!step->has_value()) return false;
  NFM_RETURN_IF_ERROR(MakeStep(**step));
  return true;
}

absl::Status CollectStream::MakeFull() {
  const uint64_t had = position_;
  // A record that is forgotten while it is looked for: then there is a newer.
  std::optional<LedgerReader::Totals> totals;
  absl::Time time;
  while (!totals.has_value()) {
    NFM_ASSIGN_OR_RETURN(position_, reader_->NewestSequence());
    NFM_ASSIGN_OR_RETURN(totals, reader_->TotalsAfter(position_));
    NFM_ASSIGN_OR_RETURN(time, reader_->TimeOf(position_));
  }
  // Those that never counted have no totals.
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
    NFM_ASSIGN_OR_RETURN(Row* const row, Look(account));
    NFM_RETURN_IF_ERROR(Add(account, *row));
  }
  FinishPart(/*partial=*/false);
  full_due_ = false;
  lost_.reset();
  return absl::OkStatus();
}

// The gaps that this consumer has not been told of, of the records after `had`,
// and that it has not had these.
absl::Status CollectStream::AddLost(uint64_t had, absl::Time time) {
  lost_->to = time;
  NFM_RETURN_IF_ERROR(AddGap(*lost_));
  NFM_ASSIGN_OR_RETURN(const auto gaps,
                       reader_->GapsOfRecords(had + 1, position_));
  for (const accounting::Gap& gap : gaps) NFM_RETURN_IF_ERROR(AddGap(gap));
  return absl::OkStatus();
}

absl::Status CollectStream::MakeStep(const LedgerReader::Step& step) {
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
  // Those that are described, and those that counted; both are by account.
  auto described = step.record.accounts.begin();
  for (const accounting::Record::Row& moved : step.record.rows) {
    while (described != step.record.accounts.end() &&
           *described < moved.account) {
      NFM_ASSIGN_OR_RETURN(Row* const row, Look(*described));
      NFM_RETURN_IF_ERROR(Add(*described++, *row));
    }
    if (described != step.record.accounts.end() &&
        *described == moved.account) {
      ++described;
    }
    NFM_ASSIGN_OR_RETURN(Row* const row, Look(moved.account));
    row->total += moved.delta;
    NFM_RETURN_IF_ERROR(Add(moved.account, *row));
  }
  for (; described != step.record.accounts.end(); ++described) {
    NFM_ASSIGN_OR_RETURN(Row* const row, Look(*described));
    NFM_RETURN_IF_ERROR(Add(*described, *row));
  }
  FinishPart(/*partial=*/false);
  return absl::OkStatus();
}

// With whether it matches.
absl::StatusOr<CollectStream::Row*> CollectStream::Look(uint64_t account) {
  Row& row = rows_[account];
  if (row.known) return &row;
  row.known = true;
  if (options_.filter.matches_all()) {
    row.matches = true;
    return &row;
  }
  NFM_ASSIGN_OR_RETURN(const auto stored, reader_->FindAccount(account));
  if (!stored.has_value()) return &row;
  row.matches = options_.filter.Matches(
      accounting::ShownName(stored->account.name),
      stored->account.state == accounting::Account::State::kClosed
          ? stored->last_labels
          : labels_.Get(stored->account.name));
  return &row;
}

absl::Status CollectStream::Add(uint64_t account, Row& row) {
  if (!row.matches) return absl::OkStatus();
  v1::UsageRecord* record = part_.mutable_record();
  if (record->counter_ids_size() >= kRowsEach ||
      record->counters_size() >= kDescriptionsEach) {
    FinishPart(/*partial=*/true);
    StartPart(part_time_, part_full_);
    record = part_.mutable_record();
  }
  if (!row.described) {
    NFM_ASSIGN_OR_RETURN(const auto stored, reader_->FindAccount(account));
    if (stored.has_value()) {
      ToProto(stored->account,
              stored->account.state == accounting::Account::State::kClosed
                  ? stored->last_labels
                  : labels_.Get(stored->account.name),
              record->add_counters());
    }
    row.described = true;
  }
  record->add_counter_ids(account);
  record->add_total_packets(row.total.packets);
  record->add_total_bytes(row.total.bytes);
  return absl::OkStatus();
}

absl::Status CollectStream::AddGap(const accounting::Gap& gap) {
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

void CollectStream::StartPart(absl::Time time, bool full) {
  part_.Clear();
  part_time_ = time;
  part_full_ = full;
  v1::UsageRecord* const record = part_.mutable_record();
  record->mutable_position()->set_epoch(ledger_.epoch());
  record->mutable_position()->set_sequence(position_);
  record->set_full(full);
  record->set_node_id(ledger_.node_id());
  ToProto(time, record->mutable_time());
}

void CollectStream::FinishPart(bool partial) {
  part_.mutable_record()->set_partial(partial);
  const grpc::Slice slice(part_.SerializeAsString());
  parts_bytes_ += slice.size();
  parts_.emplace_back(&slice, 1);
}

void CollectStream::OnMessage(const grpc::ByteBuffer& bytes) {
  v1::CollectUsageRequest request;
  absl::Status status = ParseMessage(bytes, &request);
  if (status.ok()) status = Acknowledge(request);
  if (!status.ok()) return End(status);
  WakeLater();
}

// One that acknowledges has then had all that it wants. Others only look.
void CollectStream::OnLastMessage() {
  {
    absl::MutexLock lock(&mutex_);
    if (!acknowledges_) return;
  }
  End(absl::OkStatus());
}

absl::Status CollectStream::Acknowledge(
    const v1::CollectUsageRequest& request) {
  if (!request.has_acknowledged()) {
    return BadAcknowledgement("only the first message is a start");
  }
  const v1::UsagePosition& position = request.acknowledged();
  if (position.epoch() != ledger_.epoch()) return OfAnotherEpoch();
  {
    absl::MutexLock lock(&mutex_);
    if (position.sequence() > sent_) {
      return BadAcknowledgement(absl::StrCat("record ", position.sequence(),
                                             " has not been sent; the last "
                                             "one was ",
                                             sent_));
    }
    acknowledges_ = true;
    while (!unacknowledged_.empty() &&
           unacknowledged_.front().sequence <= position.sequence()) {
      unacknowledged_bytes_ -= unacknowledged_.front().bytes;
      unacknowledged_.pop_front();
    }
  }
  ledger_.consumers().Acknowledge(options_.consumer, position.sequence(),
                                  SystemClock().WallTime());
  return absl::OkStatus();
}

// --- CollectStreams ----------------------------------------------------------

CollectStreams::CollectStreams(accounting::Ledger& ledger,
                               const accounting::LabelStore& labels,
                               StreamBudget& budget)
    : ledger_(ledger),
      labels_(labels),
      threads_("nfm-usage", 2),
      streams_(budget, "usage") {}

absl::Status CollectStreams::Collect(const Call& call,
                                     const v1::CollectUsageRequest& request) {
  NFM_RETURN_IF_ERROR(accounting::CheckKept(ledger_));
  FieldErrors errors;
  const v1::CollectUsageStart& start = request.start();
  if (!request.has_start()) {
    errors.Add("start", "is needed: the first message says who collects");
  } else if (!IsConsumerName(start.consumer())) {
    errors.Add("start.consumer", "must be 1 to 63 of [A-Za-z0-9._-]");
  }
  CollectStream::Options options = {
      .consumer = start.consumer(),
      .filter = ReadCounterFilter(start.filter(), call.scope(), errors),
      .window =
          start.max_unacknowledged_bytes() == 0
              ? kDefaultWindow
              : std::min<size_t>(start.max_unacknowledged_bytes(), kMaxWindow)};
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  const uint64_t newest = ledger_.sequence();
  if (start.has_resume_after()) {
    const v1::UsagePosition& position = start.resume_after();
    if (position.epoch() != ledger_.epoch()) return OfAnotherEpoch();
    if (position.sequence() > newest) return Ahead(position.sequence(), newest);
    options.resume_after = position.sequence();
  }
  const absl::Time now = SystemClock().WallTime();
  NFM_RETURN_IF_ERROR(ledger_.consumers()
                          .Attach(options.consumer, call.caller->principal,
                                  call.scope().has_all(),
                                  options.resume_after.value_or(newest), now)
                          .status());
  // Also where it goes back, as one restored from a backup does.
  if (options.resume_after.has_value()) {
    ledger_.consumers().Acknowledge(options.consumer, *options.resume_after,
                                    now, /*exactly=*/true);
  }
  const std::string consumer = options.consumer;
  auto stream = std::make_shared<CollectStream>(ledger_, labels_, threads_,
                                                std::move(options));
  NFM_RETURN_IF_ERROR(stream->Prepare());
  // Makes room in the caller's budget.
  End(consumer, Replaced(consumer));
  NFM_RETURN_IF_ERROR(streams_.Start(stream, call));
  std::weak_ptr<CollectStream> between = stream;
  {
    absl::MutexLock lock(&mutex_);
    by_consumer_[consumer].swap(between);
  }
  // One that began at the same time.
  if (const auto other = between.lock()) other->End(Replaced(consumer));
  stream->Begin();
  return absl::OkStatus();
}

bool CollectStreams::IsConnected(absl::string_view consumer) const {
  absl::MutexLock lock(&mutex_);
  const auto found = by_consumer_.find(consumer);
  return found != by_consumer_.end() && !found->second.expired();
}

void CollectStreams::End(absl::string_view consumer,
                         const absl::Status& status) {
  std::shared_ptr<CollectStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    std::erase_if(by_consumer_,
                  [](const auto& each) { return each.second.expired(); });
    const auto found = by_consumer_.find(consumer);
    if (found != by_consumer_.end()) stream = found->second.lock();
  }
  if (stream != nullptr) stream->End(status);
}

}  // namespace nfmeter::service
