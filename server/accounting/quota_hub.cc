#include "accounting/quota_hub.h"

#include <pthread.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "accounting/quota_channel.h"
#include "accounting/quota_crossings.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using Exceeded = std::vector<kernel::AcctObject>;

// After an error of the kernel's, before the next try.
constexpr absl::Duration kRetryPause = absl::Seconds(1);
// Passes over the kernel's list until one is complete.
constexpr int kMaxPasses = 4;
kernel::AcctObject ToObject(const kernel::AcctRecord& record) {
  return {.name = std::string(record.name),
          .packets = record.packets,
          .bytes = record.bytes,
          .quota = record.quota,
          .quota_exceeded = record.quota_exceeded,
          .use_count = record.use_count};
}

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
        alarm_(clock.NewAlarm()),
        thread_([this] { Follow(); }) {}

  ~LaneQuotaHub() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      if (events_ != nullptr) events_->Cancel();
    }
    alarm_->Ring();
    thread_.join();
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

  void NoteReset(absl::Span<const std::string> names) override {
    absl::MutexLock lock(&mutex_);
    for (const std::string& name : names) crossings_.Forget(name);
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

  void Publish(QuotaEvent::Kind kind, const kernel::AcctObject& object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const QuotaEvent event{kind, object, clock_.WallTime()};
    ++(kind == QuotaEvent::Kind::kCrossed ? stats_.crossed : stats_.recovered);
    for (const auto& channel : channels_) {
      stats_.missed += channel->Push(event, options_.max_queue);
    }
  }

  // All counters that are over their quota; on the lane. `complete` says
  // whether others are not.
  absl::StatusOr<Exceeded> ReadExceeded(bool* complete) {
    Exceeded exceeded;
    for (int pass = 0; pass < kMaxPasses; ++pass) {
      exceeded.clear();
      NFM_ASSIGN_OR_RETURN(
          const kernel::AcctDumpOutcome outcome,
          table_.Dump(kernel::AcctDumpFilter::kQuotaExceeded,
                      pass == 0 ? kernel::AcctDumpMode::kFast
                                : kernel::AcctDumpMode::kSentinel,
                      [&](absl::Span<const kernel::AcctRecord> records) {
                        for (const auto& record : records) {
                          exceeded.push_back(ToObject(record));
                        }
                      }));
      *complete = outcome.complete;
      if (*complete) break;
    }
    return exceeded;
  }

  // On the lane: reads, and lets those in who wait for it; when it fails, they
  // are told so or wait on.
  absl::Status Read(bool wait_on) {
    {
      absl::MutexLock lock(&mutex_);
      entering_.swap(joining_);
      // Whoever comes after this has a reading of his own.
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
          Publish(QuotaEvent::Kind::kRecovered, object);
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
    }
    CallAll(woken);
    if (!read.ok()) return read.status();
    return complete ? absl::OkStatus()
                    : absl::UnavailableError("no complete dump");
  }

  void Admit(const Exceeded& read) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (entering_.empty()) return;
    const auto standing = std::make_shared<const Exceeded>(read);
    for (const auto& channel : entering_) {
      channel->Begin(standing, clock_.WallTime());
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

  // Finds crossings whose events were lost. On the hub's thread.
  absl::Status Resynchronise() {
    return lane_.Run(Lane::Priority::kUrgent,
                     [&] { return Read(/*wait_on=*/true); });
  }

  // Whether the event tells of the crossing that is known already.
  bool IsKnown(const kernel::AcctObject& event) {
    std::optional<kernel::AcctObject> found;
    {
      absl::MutexLock lock(&mutex_);
      found = crossings_.FoundBefore(event, clock_.BootTime());
    }
    if (!found.has_value()) return false;
    // Values below those of the reading: there was a reset in between.
    const absl::StatusOr<kernel::AcctObject> now = table_.Get(event.name);
    return now.ok() && now->packets >= found->packets &&
           now->bytes >= found->bytes;
  }

  void OnEvent(kernel::AcctObject event) {
    if (IsKnown(event)) return;
    event.quota_exceeded = true;
    Channels woken;
    {
      absl::MutexLock lock(&mutex_);
      Publish(QuotaEvent::Kind::kCrossed, event);
      crossings_.Add(event);
      woken = channels_;
    }
    CallAll(woken);
  }

  // Subscribes and follows until the subscription breaks. What broke it.
  absl::Status FollowOnce() {
    NFM_ASSIGN_OR_RETURN(std::unique_ptr<kernel::QuotaEvents> events,
                         table_.WatchQuotas());
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return absl::CancelledError();
      events_ = events.get();
    }
    absl::Status status = FollowEvents(*events);
    absl::MutexLock lock(&mutex_);
    events_ = nullptr;
    following_ = false;
    return status;
  }

  absl::Status FollowEvents(kernel::QuotaEvents& events) {
    bool in_sync = false;
    while (true) {
      if (!in_sync) {
        const absl::Status resynchronised = Resynchronise();
        in_sync = resynchronised.ok();
        // Events that come meanwhile wait in the socket; what that can't hold
        // is found by the next reading.
        if (!in_sync && Stopped()) return absl::CancelledError();
        if (!in_sync) {
          if (IsFinal(resynchronised)) return resynchronised;
          alarm_->WaitUntil(clock_.BootTime() + kRetryPause);
          continue;
        }
      }
      absl::StatusOr<kernel::AcctObject> event = events.Next();
      if (event.ok()) {
        OnEvent(*std::move(event));
      } else if (absl::IsDataLoss(event.status())) {
        in_sync = false;
        ++stats_.losses;
      } else {
        return event.status();
      }
    }
  }

  // Trying again can't help.
  static bool IsFinal(const absl::Status& status) {
    return absl::IsUnimplemented(status) || absl::IsPermissionDenied(status);
  }

  bool Stopped() {
    absl::MutexLock lock(&mutex_);
    return stopping_;
  }

  // The hub's thread.
  void Follow() {
    pthread_setname_np(pthread_self(), "nfm-quotas");
    while (true) {
      const absl::Status broken = FollowOnce();
      if (Stopped()) return;
      if (IsFinal(broken)) return GiveUp(broken);
      alarm_->WaitUntil(clock_.BootTime() + kRetryPause);
    }
  }

  void GiveUp(const absl::Status& why) {
    Channels woken;
    {
      absl::MutexLock lock(&mutex_);
      unavailable_ = why;
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
  const std::unique_ptr<Alarm> alarm_;
  QuotaStats stats_;

  absl::Mutex mutex_;
  QuotaCrossings crossings_ ABSL_GUARDED_BY(mutex_);
  Channels channels_ ABSL_GUARDED_BY(mutex_);  // live
  Channels joining_ ABSL_GUARDED_BY(mutex_);   // wait for a reading to begin
  Channels entering_ ABSL_GUARDED_BY(mutex_);  // wait for it to end
  bool join_queued_ ABSL_GUARDED_BY(mutex_) = false;
  // Events are being followed since a reading.
  bool following_ ABSL_GUARDED_BY(mutex_) = false;
  int jobs_ ABSL_GUARDED_BY(mutex_) = 0;
  kernel::QuotaEvents* events_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::Status unavailable_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace

std::unique_ptr<QuotaHub> QuotaHub::Create(kernel::AcctTable& table,
                                           Lane& counter_lane, Clock& clock,
                                           const Options& options) {
  return std::make_unique<LaneQuotaHub>(table, counter_lane, clock, options);
}

}  // namespace nfmeter::accounting
