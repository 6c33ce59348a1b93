// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/usage/collect_stream.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/usage_query.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/gate/field_errors.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"
#include "service/gate/time_message.h"
#include "service/usage/usage_records.h"
#include "telemetry/log.h"

namespace nfmeter::service {
namespace {

constexpr char kKind[] = "usage";

constexpr size_t kDefaultWindow = 4 << 20;
constexpr size_t kMaxWindow = 64 << 20;
constexpr size_t kMaxNameBytes = 63;

bool IsConsumerName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
         });
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

// A consumer has records that the ledger does not.
absl::Status SetBack(accounting::Ledger& ledger,
                     const v1::CollectUsageStart& start,
                     const absl::Status& refusal) {
  const v1::UsagePosition& position = start.resume_after();
  telemetry::Log(
      telemetry::LogLevel::kWarning,
      "ledger was set back, by a copy of its file or a snapshot of the machine",
      {{"consumer", start.consumer()},
       {"record", absl::StrCat(position.sequence())},
       {"newest", absl::StrCat(ledger.sequence())}});
  ledger.SkipIds();
  return refusal;
}

absl::Status Replaced(absl::string_view consumer) {
  return MakeError(absl::StatusCode::kAborted, "CONSUMER_REPLACED",
                   absl::StrCat("another stream of consumer '", consumer,
                                "' has begun; give each collector a name of "
                                "its own"));
}

absl::Status BadAcknowledgement(const std::string& why) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("acknowledged: ", why),
                   ErrorDetails{.reason = "BAD_ACKNOWLEDGEMENT",
                                .violations = {{"acknowledged", why}}});
}

}  // namespace

// Sends a consumer the records, from where it was, as long as few enough bytes
// of them are unacknowledged.
class CollectStream final : public MessageStream,
                            public std::enable_shared_from_this<CollectStream> {
 public:
  struct Options {
    std::string consumer;
    accounting::CounterFilter filter;
    std::optional<Resumption> resume_after;
    size_t window = kDefaultWindow;
  };

  CollectStream(accounting::Ledger& ledger,
                const accounting::LabelStore& labels, WorkThreads& threads,
                Options options)
      : ledger_(ledger),
        threads_(threads),
        consumer_(std::move(options.consumer)),
        resume_after_(options.resume_after),
        window_(options.window),
        records_(ledger, labels, std::move(options.filter)) {}

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
  struct Sent {
    uint64_t sequence;
    size_t bytes;  // of all parts of the record
  };

  std::optional<Message> Next() override;
  void OnEnded() override;
  bool Listens() const override { return true; }
  void OnMessage(const grpc::ByteBuffer& bytes) override;
  void OnLastMessage() override;

  // On a thread that may wait for the disk.
  void WakeLater() { WakeOn(threads_); }

  bool HasRoom() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Acknowledge(const v1::CollectUsageRequest& request);

  accounting::Ledger& ledger_;
  WorkThreads& threads_;
  const std::string consumer_;
  const std::optional<Resumption> resume_after_;
  const size_t window_;

  // Only in Prepare() and Next().
  UsageRecords records_;
  std::deque<grpc::ByteBuffer> parts_;  // of a record, not handed out yet

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
  NFM_ASSIGN_OR_RETURN(const uint64_t had, records_.Begin(resume_after_));
  absl::MutexLock lock(&mutex_);
  sent_ = had;
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
  return unacknowledged_.empty() || unacknowledged_bytes_ < window_;
}

std::optional<MessageStream::Message> CollectStream::Next() {
  if (parts_.empty()) {
    if (!HasRoom()) return std::nullopt;
    absl::StatusOr<std::optional<UsageRecords::Record>> record =
        records_.Next();
    if (!record.ok()) {
      End(record.status());
      return std::nullopt;
    }
    if (!record->has_value()) return std::nullopt;
    parts_ = std::move((*record)->parts);
    absl::MutexLock lock(&mutex_);
    sent_ = (*record)->sequence;
    unacknowledged_.push_back({sent_, (*record)->bytes});
    unacknowledged_bytes_ += (*record)->bytes;
  }
  Message message = {std::move(parts_.front())};
  parts_.pop_front();
  return message;
}

void CollectStream::OnMessage(const grpc::ByteBuffer& bytes) {
  v1::CollectUsageRequest request;
  absl::Status status = ParseMessage(bytes, &request);
  if (status.ok()) status = Acknowledge(request);
  if (!status.ok()) return End(status);
  WakeLater();
}

// A consumer that has acknowledged records is done. One that has not just has
// nothing to say, and may go on receiving.
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
  ledger_.consumers().Acknowledge(consumer_, position.sequence(),
                                  SystemClock().WallTime());
  return absl::OkStatus();
}

// --- CollectStreams ----------------------------------------------------------

CollectStreams::CollectStreams(accounting::Ledger& ledger,
                               const accounting::LabelStore& labels,
                               StreamSet& streams)
    : ledger_(ledger),
      labels_(labels),
      threads_("nfm-usage", 2),
      streams_(streams) {
  streams_.AddKind(kKind);
}

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
    if (position.sequence() > newest) {
      return SetBack(ledger_, start, Ahead(position.sequence(), newest));
    }
    options.resume_after = {.sequence = position.sequence()};
    if (position.has_time()) {
      options.resume_after->time = ToTime(position.time());
    }
  }
  const uint64_t had =
      options.resume_after.value_or(Resumption{newest}).sequence;
  const bool resumes = options.resume_after.has_value();
  const std::string consumer = options.consumer;
  auto stream = std::make_shared<CollectStream>(ledger_, labels_, threads_,
                                                std::move(options));
  if (absl::Status status = stream->Prepare(); !status.ok()) {
    return absl::IsFailedPrecondition(status) ? SetBack(ledger_, start, status)
                                              : status;
  }
  const absl::Time now = SystemClock().WallTime();
  NFM_RETURN_IF_ERROR(ledger_.consumers()
                          .Attach(consumer, call.caller->principal,
                                  call.scope().has_all(), had, now)
                          .status());
  // Also backwards: a consumer that was restored from a backup has less.
  if (resumes) {
    ledger_.consumers().Acknowledge(consumer, had, now, /*exactly=*/true);
  }
  // Before the new stream needs a place in the caller's budget of streams.
  End(consumer, Replaced(consumer));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
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
