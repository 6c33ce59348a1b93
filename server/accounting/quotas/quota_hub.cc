// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/quotas/quota_hub.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "accounting/quotas/quota_channel.h"
#include "accounting/quotas/quota_crossings.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {
namespace {

using Exceeded = std::vector<kernel::AcctObject>;

// The pause before the next try after an error of the kernel's.
constexpr absl::Duration kRetryPause = absl::Seconds(1);

class ExceededReader final : public kernel::AcctReader {
 public:
  void OnBegin() override { objects.clear(); }
  void OnRecords(absl::Span<const kernel::AcctRecord> records) override {
    absl::c_transform(records, std::back_inserter(objects), kernel::ObjectOf);
  }

  Exceeded objects;
};

using Channels = std::vector<std::shared_ptr<QuotaChannel>>;

void CallAll(const Channels& channels) {
  for (const auto& channel : channels) channel->CallOnReady();
}

class LaneQuotaHub final : public QuotaHub {
 public:
  LaneQuotaHub(kernel::AcctTable& table, Lane& lane, Clock& clock,
               const Options& options)
      : table_(table),
        lane_(lane),
        clock_(clock),
        options_(options),
        follow_alarm_(clock.NewAlarm()),
        read_alarm_(clock.NewAlarm()),
        followers_{std::thread([this] { Follow(); }),
                   std::thread([this] { ReadWhenDue(); })} {}

  ~LaneQuotaHub() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      if (events_ != nullptr) events_->Cancel();
    }
    follow_alarm_->Ring();
    read_alarm_->Ring();
    for (std::thread& follower : followers_) follower.join();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* jobs) { return *jobs == 0; }, &jobs_));
  }

  std::unique_ptr<Subscription> Subscribe(
      std::function<bool(const std::string&)> wanted,
      std::function<void()> on_ready) override {
    auto channel =
        std::make_shared<QuotaChannel>(std::move(wanted), std::move(on_ready));
    bool post = false;
    {
      absl::MutexLock lock(&mutex_);
      if (!unavailable_.ok()) {
        channel->Fail(unavailable_);
      } else {
        joining_.push_back(channel);
        // At first the hub's own reading lets everybody in: a crossing between
        // an earlier one and that would look as if its event had been lost.
        post = following_ && !std::exchange(join_queued_, true);
        jobs_ += post;
      }
    }
    if (!post) {
      channel->CallOnReady();  // what there is so far, an error say
    } else if (const absl::Status posted =
                   lane_.Post(Lane::Priority::kUrgent, [this] { Join(); });
               !posted.ok()) {
      EndJoin(posted);
    }
    return std::make_unique<Handle>(*this, std::move(channel));
  }

  void OnReset(absl::Span<const kernel::AcctObject> counters) override {
    absl::MutexLock lock(&mutex_);
    for (const kernel::AcctObject& counter : counters) {
      crossings_.Forget(counter.name);
    }
  }

  void TellThreshold(const kernel::AcctObject& object,
                     uint32_t percent) override {
    Channels woken;
    {
      absl::MutexLock lock(&mutex_);
      Publish({.kind = QuotaEvent::Kind::kThreshold,
               .object = object,
               .time = clock_.WallTime(),
               .percent = percent});
      woken = channels_;
    }
    CallAll(woken);
  }

  const QuotaStats& stats() const override { return stats_; }

 private:
  class Handle final : public Subscription {
   public:
    Handle(LaneQuotaHub& hub, std::shared_ptr<QuotaChannel> channel)
        : hub_(hub), channel_(std::move(channel)) {}
    ~Handle() override {
      hub_.Remove(channel_);
      channel_->StopCalls();
    }
    absl::StatusOr<std::optional<QuotaEvent>> Take() override {
      absl::MutexLock lock(&hub_.mutex_);
      return channel_->Take();
    }

   private:
    LaneQuotaHub& hub_;
    const std::shared_ptr<QuotaChannel> channel_;
  };

  void Remove(const std::shared_ptr<QuotaChannel>& channel) {
    absl::MutexLock lock(&mutex_);
    std::erase(channels_, channel);
    std::erase(joining_, channel);
    std::erase(entering_, channel);
  }

  void Publish(const QuotaEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++CountOf(event.kind);
    for (const auto& channel : channels_) {
      stats_.missed += channel->Push(event, options_.max_queue);
    }
    if (event.kind != QuotaEvent::Kind::kRecovered && !entering_.empty()) {
      meanwhile_.push_back(event);
    }
  }

  std::atomic<uint64_t>& CountOf(QuotaEvent::Kind kind) {
    switch (kind) {
      case QuotaEvent::Kind::kCrossed:
        return stats_.crossed;
      case QuotaEvent::Kind::kThreshold:
        return stats_.thresholds;
      default:
        return stats_.recovered;
    }
  }

  QuotaEvent EventOf(QuotaEvent::Kind kind,
                     const kernel::AcctObject& object) const {
    return {.kind = kind, .object = object, .time = clock_.WallTime()};
  }

  // All counters that are over their quota; on the lane. `complete` says
  // whether others are not.
  absl::StatusOr<Exceeded> ReadExceeded(bool* complete) {
    ExceededReader reader;
    NFM_ASSIGN_OR_RETURN(
        const kernel::AcctDumpOutcome outcome,
        table_.DumpVerified(kernel::AcctDumpFilter::kQuotaExceeded, reader));
    *complete = outcome.complete;
    return std::move(reader.objects);
  }

  // On the lane: reads, and admits the subscribers that wait for it. When it
  // fails they wait on, or are told so.
  absl::Status Read(bool wait_on) {
    {
      absl::MutexLock lock(&mutex_);
      entering_.swap(joining_);
      crossings_.BeginReading();
      // Subscribers that come from here on get a reading of their own.
      if (wait_on) following_ = true;
    }
    bool complete = false;
    const absl::StatusOr<Exceeded> read = ReadExceeded(&complete);
    Channels woken;
    {
      absl::MutexLock lock(&mutex_);
      if (read.ok()) {
        for (const kernel::AcctObject& object :
             crossings_.TakeOver(*read, complete, clock_.BootTime())) {
          Publish(EventOf(QuotaEvent::Kind::kRecovered, object));
        }
        woken = channels_;
        Admit(*read);
      } else if (wait_on) {
        following_ = false;
        joining_.insert(joining_.end(), entering_.begin(), entering_.end());
      } else {
        for (const auto& channel : entering_) channel->Fail(read.status());
      }
      woken.insert(woken.end(), entering_.begin(), entering_.end());
      entering_.clear();
      meanwhile_.clear();
    }
    CallAll(woken);
    if (!read.ok()) return read.status();
    return complete ? absl::OkStatus()
                    : absl::UnavailableError("no complete dump");
  }

  // A counter whose event came during the reading is told of by that event
  // alone, whether or not the reading found it.
  void Admit(const Exceeded& read) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entering_.empty()) return;
    Exceeded standing;
    std::copy_if(read.begin(), read.end(), std::back_inserter(standing),
                 [this](const kernel::AcctObject& object)
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                       return !crossings_.AddedMeanwhile(object.name);
                     });
    const auto shared = std::make_shared<const Exceeded>(std::move(standing));
    for (const auto& channel : entering_) {
      channel->Begin(shared, clock_.WallTime());
      for (const QuotaEvent& event : meanwhile_) {
        stats_.missed += channel->Push(event, options_.max_queue);
      }
      channels_.push_back(channel);
    }
  }

  void Join() {
    {
      absl::MutexLock lock(&mutex_);
      join_queued_ = false;
    }
    // An incomplete reading will do: what it lacks comes as an event.
    Read(/*wait_on=*/false).IgnoreError();
    absl::MutexLock lock(&mutex_);
    --jobs_;
  }

  // The lane did not take the job.
  void EndJoin(const absl::Status& status) {
    Channels refused;
    {
      absl::MutexLock lock(&mutex_);
      join_queued_ = false;
      refused.swap(joining_);
      for (const auto& channel : refused) channel->Fail(status);
    }
    CallAll(refused);
    absl::MutexLock lock(&mutex_);
    --jobs_;
  }

  // Returns whom to call.
  Channels Tell(const kernel::AcctObject& crossing)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Publish(EventOf(QuotaEvent::Kind::kCrossed, crossing));
    crossings_.Add(crossing);
    if (crossings_.IsReadingDue()) reading_due_ = true;
    return channels_;
  }

  void OnEvent(kernel::AcctObject event) {
    event.quota_exceeded = true;
    std::optional<kernel::AcctObject> found;
    Channels woken;
    {
      // In one step, so that no reading finds a new crossing in between.
      absl::MutexLock lock(&mutex_);
      found = crossings_.FoundBefore(event, clock_.BootTime());
      if (!found.has_value()) woken = Tell(event);
    }
    if (found.has_value()) {
      if (!WasReset(*found)) return;
      absl::MutexLock lock(&mutex_);
      woken = Tell(event);
    }
    CallAll(woken);
  }

  // Whether the counter of a crossing that a reading found was reset since.
  bool WasReset(const kernel::AcctObject& found) {
    const absl::StatusOr<kernel::AcctObject> now = table_.Get(found.name);
    return !now.ok() || now->packets < found.packets ||
           now->bytes < found.bytes;
  }

  // Subscribes and follows until the subscription breaks. Returns why it did.
  absl::Status FollowOnce() {
    NFM_ASSIGN_OR_RETURN(std::unique_ptr<kernel::QuotaEvents> events,
                         table_.WatchQuotas());
    {
      absl::MutexLock lock(&mutex_);
      if (Ending()) return absl::CancelledError();
      events_ = events.get();
      reading_due_ = true;
    }
    absl::Status status = FollowEvents(*events);
    absl::MutexLock lock(&mutex_);
    events_ = nullptr;
    following_ = false;
    return status;
  }

  // Also while readings fail or wait for their next try: an event that waited
  // in the socket for a reading would look as if it had been lost.
  absl::Status FollowEvents(kernel::QuotaEvents& events) {
    while (true) {
      absl::StatusOr<kernel::AcctObject> event = events.Next();
      if (event.ok()) {
        OnEvent(*std::move(event));
      } else if (absl::IsDataLoss(event.status())) {
        ++stats_.losses;
        absl::MutexLock lock(&mutex_);
        reading_due_ = true;
      } else {
        return event.status();
      }
    }
  }

  // Trying again can't help.
  static bool IsFinal(const absl::Status& status) {
    return absl::IsUnimplemented(status) || absl::IsPermissionDenied(status);
  }

  bool Ending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !unavailable_.ok();
  }

  bool Ended() {
    absl::MutexLock lock(&mutex_);
    return Ending();
  }

  // The thread that follows events.
  void Follow() {
    pthread_setname_np(pthread_self(), "nfm-quotas");
    while (true) {
      const absl::Status broken = FollowOnce();
      if (Ended()) return;
      if (IsFinal(broken)) return GiveUp(broken);
      follow_alarm_->WaitUntil(clock_.BootTime() + kRetryPause);
    }
  }

  bool ReadingDueOrEnding() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return reading_due_ || Ending();
  }

  // The thread that has the counters read: at first, to find crossings whose
  // events were lost, and to forget those of counters that are gone.
  void ReadWhenDue() {
    pthread_setname_np(pthread_self(), "nfm-quota-reads");
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &LaneQuotaHub::ReadingDueOrEnding));
        if (Ending()) return;
        reading_due_ = false;
      }
      const absl::Status read = lane_.Run(
          Lane::Priority::kUrgent, [this] { return Read(/*wait_on=*/true); });
      if (read.ok()) continue;
      if (IsFinal(read)) return GiveUp(read);
      read_alarm_->WaitUntil(clock_.BootTime() + kRetryPause);
      absl::MutexLock lock(&mutex_);
      reading_due_ = true;
    }
  }

  void GiveUp(const absl::Status& why) {
    Channels woken;
    {
      absl::MutexLock lock(&mutex_);
      unavailable_ = why;
      if (events_ != nullptr) events_->Cancel();
      woken = channels_;
      woken.insert(woken.end(), joining_.begin(), joining_.end());
      woken.insert(woken.end(), entering_.begin(), entering_.end());
      for (const auto& channel : woken) channel->Fail(why);
    }
    CallAll(woken);
  }

  kernel::AcctTable& table_;
  Lane& lane_;
  Clock& clock_;
  const Options options_;
  const std::unique_ptr<Alarm> follow_alarm_;
  const std::unique_ptr<Alarm> read_alarm_;
  QuotaStats stats_;

  absl::Mutex mutex_;
  QuotaCrossings crossings_ ABSL_GUARDED_BY(mutex_);
  Channels channels_ ABSL_GUARDED_BY(mutex_);  // live
  Channels joining_ ABSL_GUARDED_BY(mutex_);   // wait for a reading to begin
  Channels entering_ ABSL_GUARDED_BY(mutex_);  // wait for it to end
  // What happened since they wait for that.
  std::vector<QuotaEvent> meanwhile_ ABSL_GUARDED_BY(mutex_);
  bool join_queued_ ABSL_GUARDED_BY(mutex_) = false;
  // A reading has begun since events are being followed, and has not failed.
  bool following_ ABSL_GUARDED_BY(mutex_) = false;
  int jobs_ ABSL_GUARDED_BY(mutex_) = 0;
  kernel::QuotaEvents* events_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::Status unavailable_ ABSL_GUARDED_BY(mutex_);
  bool reading_due_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::array<std::thread, 2> followers_;  // last: use all of the above
};

}  // namespace

std::unique_ptr<QuotaHub> QuotaHub::Create(kernel::AcctTable& table,
                                           Lane& counter_lane, Clock& clock,
                                           const Options& options) {
  return std::make_unique<LaneQuotaHub>(table, counter_lane, clock, options);
}

}  // namespace nfmeter::accounting
