// SPDX-License-Identifier: Apache-2.0
#include "collector/follower.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"
#include "client/src/status_macros.h"
#include "collector/log.h"
#include "collector/record.h"

namespace nfmeter::collector {
namespace {

// A record that was waited for as long is a new one, whose time tells the
// node's clock.
constexpr absl::Duration kNews = absl::Seconds(1);
constexpr absl::Duration kClockTolerance = absl::Minutes(1);
// How long a node may take to say who it is.
constexpr absl::Duration kIntroduction = absl::Seconds(5);

}  // namespace

std::shared_ptr<Follower> Follower::Start(Options options, Sink& sink,
                                          StoreThreads& threads) {
  // NOLINTNEXTLINE(modernize-make-shared): the constructor is private.
  std::shared_ptr<Follower> follower(
      new Follower(std::move(options), sink, threads));
  follower->thread_ = std::thread([raw = follower.get()] { raw->Loop(); });
  return follower;
}

Follower::Follower(Options options, Sink& sink, StoreThreads& threads)
    : options_(std::move(options)), sink_(sink), threads_(threads) {
  state_.error = absl::UnavailableError("not connected yet");
  state_.since = absl::Now();
}

Follower::~Follower() {
  Stop();
  thread_.join();
}

void Follower::Stop() {
  absl::MutexLock lock(&mutex_);
  stopping_ = true;
  if (stream_ != nullptr) stream_->Cancel();
}

bool Follower::ended() const {
  absl::MutexLock lock(&mutex_);
  return ended_;
}

FollowerState Follower::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void Follower::Loop() {
  absl::BitGen chance;
  absl::Duration backoff = options_.first_backoff;
  for (;;) {
    const uint64_t before = state().records;
    const absl::Status error = Follow();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Follower::IsIdle));
    pending_.clear();
    stream_.reset();
    if (!stopping_) {
      SetError(broken_.ok() ? error : broken_);
      broken_ = absl::OkStatus();
      if (state_.records > before) backoff = options_.first_backoff;
      const absl::Duration wait = backoff * absl::Uniform(chance, 0.5, 1.0);
      mutex_.AwaitWithTimeout(absl::Condition(&stopping_), wait);
      backoff = std::min(backoff * 2, options_.longest_backoff);
    }
    if (stopping_) {
      ended_ = true;
      return;
    }
  }
}

// One stream of the node's, to its end.
absl::Status Follower::Follow() {
  progress_ = std::make_unique<Progress>(options_.target.name, options_.lease,
                                         sink_, options_.may_be_node);
  NFM_ASSIGN_OR_RETURN(auto position, progress_->Begin());
  // Another one each time: certificates may have been replaced by newer ones.
  NFM_ASSIGN_OR_RETURN(const auto client,
                       Client::Connect(OptionsFor(options_.target)));
  const absl::StatusOr<v1::Node> node =
      client->GetNode({.timeout = kIntroduction});
  // One that does not tell, or not yet, is asked by its stream.
  if (node.ok()) {
    NFM_ASSIGN_OR_RETURN(position, progress_->Meet(node->ledger().node_id()));
  } else if (!absl::IsUnimplemented(node.status()) &&
             !absl::IsDeadlineExceeded(node.status())) {
    return node.status();
  }
  v1::CollectUsageStart start;
  start.set_consumer(options_.consumer);
  start.set_max_unacknowledged_bytes(options_.credit);
  if (position.has_value()) *start.mutable_resume_after() = *position;
  CollectOptions collect;
  collect.start_anew = true;
  collect.connection.give_up_after = options_.longest_backoff;
  collect.connection.on_connection = [this](const absl::Status& lost) {
    absl::MutexLock lock(&mutex_);
    SetError(lost);
  };
  std::shared_ptr<UsageCollector> stream = client->CollectUsage(start, collect);
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::CancelledError();
    stream_ = stream;
    ++state_.streams;
  }
  for (;;) {
    const absl::Time asked = absl::Now();
    NFM_ASSIGN_OR_RETURN(CollectedRecord next, stream->Next());
    Receive(std::move(next.record), absl::Now() - asked);
  }
}

void Follower::Receive(v1::UsageRecord record, absl::Duration waited) {
  absl::MutexLock lock(&mutex_);
  if (stopping_ || !broken_.ok()) return;
  if (waited > kNews) {
    const absl::Duration ahead =
        absl::FromUnixMicros(Micros(record.time())) - absl::Now();
    state_.clock_ahead = absl::AbsDuration(ahead) > kClockTolerance
                             ? ahead
                             : absl::ZeroDuration();
  }
  pending_.push_back(std::move(record));
  if (storing_) return;
  storing_ = true;
  threads_.Post([self = shared_from_this()] { self->StorePending(); });
}

// On one of threads_, until nothing is left.
void Follower::StorePending() {
  for (;;) {
    std::vector<v1::UsageRecord> records;
    std::shared_ptr<UsageCollector> stream;
    {
      absl::MutexLock lock(&mutex_);
      if (pending_.empty() || stopping_ || !broken_.ok()) {
        storing_ = false;
        return;
      }
      records.swap(pending_);
      stream = stream_;
    }
    absl::Span<const v1::UsageRecord> rest = records;
    while (!rest.empty()) {
      const absl::StatusOr<size_t> stored = progress_->Store(rest);
      absl::MutexLock lock(&mutex_);
      if (!stored.ok()) {
        broken_ = stored.status();
        storing_ = false;
        stream->Cancel();
        return;
      }
      NoteStored(rest.first(*stored));
      stream->Acknowledge(rest[*stored - 1].position());
      rest.remove_prefix(*stored);
      if (stopping_) break;
    }
  }
}

void Follower::NoteStored(absl::Span<const v1::UsageRecord> records) {
  for (const v1::UsageRecord& record : records) {
    ++state_.records;
    state_.rows += record.counter_ids_size();
    state_.gaps += record.gaps_size();
  }
  state_.record_time = absl::FromUnixMicros(Micros(records.back().time()));
  state_.stored_time = absl::Now();
  SetError(absl::OkStatus());
}

void Follower::SetError(const absl::Status& error) {
  // Details may be of one call: what people read is the state.
  if (error.code() == state_.error.code() &&
      error.message() == state_.error.message()) {
    return;
  }
  if (error.ok()) {
    Log(Level::kInfo, "node followed",
        {{"node", options_.target.name}, {"address", options_.target.address}});
  } else {
    Log(Level::kWarning, "node not followed",
        {{"node", options_.target.name},
         {"address", options_.target.address},
         {"error", error.message()}});
  }
  state_.error = error;
  state_.since = absl::Now();
}

}  // namespace nfmeter::collector
