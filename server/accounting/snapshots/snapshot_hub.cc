// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/snapshots/snapshot_hub.h"

#include <pthread.h>

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "accounting/snapshots/snapshot_reading.h"

namespace nfmeter::accounting {
namespace {

using SharedSnapshot = std::shared_ptr<const Snapshot>;

// The first multiple of `interval` after `now`.
absl::Duration NextDue(absl::Duration now, absl::Duration interval) {
  return absl::Floor(now, interval) + interval;
}

// A subscriber, for as long as somebody may deliver to it.
class Recipient {
 public:
  explicit Recipient(std::shared_ptr<SnapshotSubscriber> subscriber)
      : subscriber_(std::move(subscriber)) {}

  void Deliver(const absl::StatusOr<SharedSnapshot>& snapshot) {
    // Held during the call so that Leave() waits for it.
    absl::MutexLock lock(&mutex_);
    if (subscriber_ == nullptr) return;
    if (snapshot.ok()) {
      subscriber_->OnSnapshot(*snapshot);
    } else {
      subscriber_->OnError(snapshot.status());
    }
  }

  bool Wants(absl::Duration boottime) {
    absl::MutexLock lock(&mutex_);
    return subscriber_ != nullptr && subscriber_->Wants(boottime);
  }

  void Leave() {
    std::shared_ptr<SnapshotSubscriber> dropped;
    absl::MutexLock lock(&mutex_);
    dropped.swap(subscriber_);
  }

  // Guarded by the hub's mutex.
  bool due = false;

 private:
  absl::Mutex mutex_;
  std::shared_ptr<SnapshotSubscriber> subscriber_ ABSL_GUARDED_BY(mutex_);
};

class LaneSnapshotHub final : public SnapshotHub {
 public:
  LaneSnapshotHub(const Parts& parts, const Options& options)
      : lane_(parts.lane),
        observers_(parts.observers),
        clock_(parts.clock),
        options_(options),
        reading_(parts.table, parts.clock, options),
        alarm_(parts.clock.NewAlarm()),
        ticker_([this] { Tick(); }) {}

  ~LaneSnapshotHub() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    alarm_->Ring();
    ticker_.join();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* jobs) { return *jobs == 0; }, &jobs_));
  }

  absl::StatusOr<SharedSnapshot> Take(absl::Duration max_staleness) override {
    auto reader = std::make_shared<WaitingReader>();
    Read(max_staleness, reader);
    return reader->Wait();
  }

  void Read(absl::Duration max_staleness,
            std::shared_ptr<SnapshotReader> reader) override {
    if (SharedSnapshot latest = LatestWithin(max_staleness)) {
      reader->OnBegin(latest);
      for (const auto& chunk : latest->chunks()) reader->OnChunk(chunk);
      reader->OnEnd(std::move(latest));
      return;
    }
    bool post;
    {
      absl::MutexLock lock(&mutex_);
      waiting_.push_back(std::move(reader));
      post = ClaimJob();
    }
    if (post) PostJob();
  }

  std::unique_ptr<Subscription> Subscribe(
      absl::Duration interval,
      std::shared_ptr<SnapshotSubscriber> subscriber) override {
    interval = std::max(interval, options_.min_interval);
    auto recipient = std::make_shared<Recipient>(std::move(subscriber));
    bool post;
    {
      absl::MutexLock lock(&mutex_);
      Group& group = groups_[interval];
      if (group.recipients.empty()) {
        group.due = NextDue(clock_.BootTime(), interval);
      }
      group.recipients.push_back(recipient);
      MarkDue(recipient);
      post = ClaimJob();
    }
    alarm_->Ring();
    if (post) PostJob();
    return std::make_unique<Handle>(*this, interval, std::move(recipient));
  }

  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override {
    for (const kernel::AcctObject& counter : counters) {
      reading_.NoteDeleted(counter.name);
    }
  }

  SharedSnapshot Latest() const override {
    absl::MutexLock lock(&mutex_);
    return latest_;
  }

  uint64_t epoch() const override { return reading_.epoch(); }
  const SnapshotStats& stats() const override { return reading_.stats(); }

  size_t subscriber_count() const override {
    absl::MutexLock lock(&mutex_);
    size_t count = 0;
    for (const auto& [interval, group] : groups_) {
      count += group.recipients.size();
    }
    return count;
  }

 private:
  // Subscribers of one interval.
  struct Group {
    absl::Duration due;
    std::vector<std::shared_ptr<Recipient>> recipients;
  };

  class Handle final : public Subscription {
   public:
    Handle(LaneSnapshotHub& hub, absl::Duration interval,
           std::shared_ptr<Recipient> recipient)
        : hub_(hub), interval_(interval), recipient_(std::move(recipient)) {}
    ~Handle() override {
      hub_.Unsubscribe(interval_, recipient_);
      recipient_->Leave();
    }

   private:
    LaneSnapshotHub& hub_;
    const absl::Duration interval_;
    const std::shared_ptr<Recipient> recipient_;
  };

  void Unsubscribe(absl::Duration interval,
                   const std::shared_ptr<Recipient>& recipient) {
    absl::MutexLock lock(&mutex_);
    Group& group = groups_[interval];
    auto& recipients = group.recipients;
    recipients.erase(
        std::find(recipients.begin(), recipients.end(), recipient));
    if (recipients.empty()) groups_.erase(interval);
  }

  SharedSnapshot LatestWithin(absl::Duration max_staleness) const {
    if (max_staleness <= absl::ZeroDuration()) return nullptr;
    const absl::Duration now = clock_.BootTime();
    SharedSnapshot latest = Latest();
    if (latest == nullptr || !latest->complete ||
        now - latest->boottime > max_staleness) {
      return nullptr;
    }
    return latest;
  }

  void MarkDue(const std::shared_ptr<Recipient>& recipient)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (recipient->due) return;
    recipient->due = true;
    due_.push_back(recipient);
  }

  // True: the caller must call PostJob().
  bool ClaimJob() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (queued_) return false;
    queued_ = true;
    ++jobs_;
    return true;
  }

  void PostJob() {
    const absl::Status posted =
        lane_.Post(Lane::Priority::kUrgent, [this] { Job(absl::OkStatus()); });
    if (!posted.ok()) Job(posted);
  }

  // Takes a snapshot for all who wait, or gives them `refused`.
  void Job(const absl::Status& refused) {
    std::vector<std::shared_ptr<SnapshotReader>> readers;
    std::vector<std::shared_ptr<Recipient>> recipients;
    {
      absl::MutexLock lock(&mutex_);
      readers.swap(waiting_);
      recipients.swap(due_);
      for (const auto& recipient : recipients) recipient->due = false;
      queued_ = false;
    }
    const absl::StatusOr<SharedSnapshot> snapshot =
        refused.ok() ? reading_.Take(readers) : refused;
    if (snapshot.ok()) {
      absl::MutexLock lock(&mutex_);
      latest_ = *snapshot;
    }
    if (snapshot.ok() && (*snapshot)->complete) {
      observers_.OnSnapshot(*snapshot);
    }
    for (const auto& reader : readers) reader->OnEnd(snapshot);
    for (const auto& recipient : recipients) recipient->Deliver(snapshot);
    readers.clear();
    recipients.clear();
    absl::MutexLock lock(&mutex_);
    --jobs_;
  }

  // The ticker thread.
  void Tick() {
    pthread_setname_np(pthread_self(), "nfm-ticks");
    while (true) {
      absl::Duration next = absl::InfiniteDuration();
      std::vector<std::shared_ptr<Recipient>> ticked;
      const absl::Duration now = clock_.BootTime();
      {
        absl::MutexLock lock(&mutex_);
        if (stopping_) return;
        for (auto& [interval, group] : groups_) {
          if (group.due <= now) {
            group.due = NextDue(now, interval);
            ticked.insert(ticked.end(), group.recipients.begin(),
                          group.recipients.end());
          }
          next = std::min(next, group.due);
        }
      }
      std::erase_if(ticked, [&](const auto& recipient) {
        return !recipient->Wants(now);
      });
      ReadFor(ticked);
      alarm_->WaitUntil(next);
    }
  }

  void ReadFor(const std::vector<std::shared_ptr<Recipient>>& recipients) {
    if (recipients.empty()) return;
    bool post;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& recipient : recipients) MarkDue(recipient);
      post = ClaimJob();
    }
    if (post) PostJob();
  }

  Lane& lane_;
  const CounterObservers& observers_;
  Clock& clock_;
  const Options options_;
  SnapshotReading reading_;  // on the lane
  const std::unique_ptr<Alarm> alarm_;

  mutable absl::Mutex mutex_;
  SharedSnapshot latest_ ABSL_GUARDED_BY(mutex_);
  std::map<absl::Duration, Group> groups_ ABSL_GUARDED_BY(mutex_);
  // Those that the next reading is for.
  std::vector<std::shared_ptr<SnapshotReader>> waiting_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Recipient>> due_ ABSL_GUARDED_BY(mutex_);
  bool queued_ ABSL_GUARDED_BY(mutex_) = false;  // and has not begun
  int jobs_ ABSL_GUARDED_BY(mutex_) = 0;         // queued or running
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread ticker_;  // last: uses all of the above
};

}  // namespace

std::unique_ptr<SnapshotHub> SnapshotHub::Create(const Parts& parts,
                                                 const Options& options) {
  return std::make_unique<LaneSnapshotHub>(parts, options);
}

}  // namespace nfmeter::accounting
