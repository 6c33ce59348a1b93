// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_hub.h"

#include <pthread.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "accounting/flows/flow_answers.h"
#include "accounting/flows/flow_follower.h"
#include "accounting/flows/flow_pass.h"
#include "base/error.h"

namespace nfmeter::accounting {
namespace {

// A dump is tried again when the hash table was resized under it.
constexpr int kMostPasses = 3;
// In larger tables the kernel is not asked to leave flows out: a dump in which
// few match holds its CPU for 0.34 us a flow, and snapshots are not to wait.
constexpr uint32_t kFilterInKernelUpTo = 100'000;
// How many groups and flows the answers have together that are kept.
constexpr size_t kMostKept = 65'536;
constexpr absl::Duration kLongestKept = absl::Minutes(1);

class ThreadFlowHub final : public FlowHub {
 public:
  ThreadFlowHub(kernel::FlowTable& table, Clock& clock, const Options& options)
      : table_(table),
        clock_(clock),
        options_(options),
        room_(options.max_unsent_flows),
        follower_(table, clock, options.max_watched_flows, stats_),
        summaries_(kMostKept),
        lists_(kMostKept),
        alarm_(clock.NewAlarm()),
        thread_([this] { Loop(); }) {}

  ~ThreadFlowHub() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    alarm_->Ring();
    thread_.join();
  }

  absl::StatusOr<Summary> Summarize(const FlowQuery& query,
                                    absl::Duration max_staleness) override {
    max_staleness = std::min(max_staleness, kLongestKept);
    std::shared_ptr<FlowSummaryJob> job;
    {
      absl::MutexLock lock(&mutex_);
      if (auto kept =
              summaries_.Find(query, clock_.BootTime(), max_staleness)) {
        return *kept;
      }
      job = JobFor(query, max_staleness);
    }
    alarm_->Ring();
    job->done.WaitForNotification();
    return job->answer;
  }

  std::shared_ptr<FlowListing> List(const FlowFilter& filter,
                                    absl::Duration max_staleness,
                                    std::function<void()> on_ready) override {
    auto listing =
        std::make_shared<FlowListing>(filter, std::move(on_ready), room_);
    max_staleness = std::min(max_staleness, kLongestKept);
    std::optional<KeptList> kept;
    {
      absl::MutexLock lock(&mutex_);
      kept = lists_.Find(filter, clock_.BootTime(), max_staleness);
      if (!kept.has_value()) {
        waiting_lists_.push_back(
            {.listing = listing, .keep_for = max_staleness});
      }
    }
    if (kept.has_value()) {
      for (const FlowChunk& chunk : kept->chunks) listing->Put(chunk);
      listing->Finish(kept->reading);
    } else {
      alarm_->Ring();
    }
    return listing;
  }

  std::shared_ptr<FlowWatch> Watch(const FlowQuery& query,
                                   absl::Duration interval,
                                   std::function<void()> on_ready) override {
    auto watch = std::make_shared<FlowWatch>(
        query, std::max(interval, options_.min_interval), options_.max_groups,
        std::move(on_ready));
    {
      absl::MutexLock lock(&mutex_);
      new_watches_.push_back(watch);
    }
    alarm_->Ring();
    return watch;
  }

  const Options& options() const override { return options_; }
  size_t watch_count() const override { return follower_.watch_count(); }
  const FlowStats& stats() const override { return stats_; }

 private:
  struct KeptList {
    std::vector<FlowChunk> chunks;
    FlowReading reading;
  };

  // A waiting job for the same query, or a new one.
  std::shared_ptr<FlowSummaryJob> JobFor(const FlowQuery& query,
                                         absl::Duration keep_for)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& job : waiting_summaries_) {
      if (job->query == query) {
        job->keep_for = std::max(job->keep_for, keep_for);
        return job;
      }
    }
    return waiting_summaries_.emplace_back(
        std::make_shared<FlowSummaryJob>(query, keep_for, options_.max_groups));
  }

  void Loop() {
    pthread_setname_np(pthread_self(), "nfm-flows");
    while (true) {
      TakeNewWatches();
      const absl::Duration now = clock_.BootTime();
      bool wanted;
      {
        absl::MutexLock lock(&mutex_);
        if (stopping_) break;
        summaries_.Forget(now);
        lists_.Forget(now);
        wanted = !waiting_summaries_.empty() || !waiting_lists_.empty();
      }
      wanted |= follower_.NextDue() <= now;
      if (wanted && now >= next_dump_) {
        Read();
        continue;
      }
      follower_.DrainIfDue(now);
      alarm_->WaitUntil(NextWake(wanted));
    }
    TakeWaiting().Fail(Stopping());
    follower_.FinishAll(Stopping());
  }

  static absl::Status Stopping() {
    return MakeError(absl::StatusCode::kUnavailable, "SERVER_SHUTDOWN",
                     "the server is shutting down");
  }

  static absl::Status TooSlow() {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "FLOWS_READ_TOO_SLOWLY",
        "the list of flows was not read as fast as others needed the room; "
        "narrow it by a filter, or ask for sums instead");
  }

  absl::Duration NextWake(bool wanted) {
    const absl::Duration dump =
        wanted ? next_dump_ : std::max(next_dump_, follower_.NextDue());
    absl::MutexLock lock(&mutex_);
    return std::min(
        {dump, follower_.NextDrain(), summaries_.NextEnd(), lists_.NextEnd()});
  }

  void TakeNewWatches() {
    std::vector<std::shared_ptr<FlowWatch>> watches;
    {
      absl::MutexLock lock(&mutex_);
      watches.swap(new_watches_);
    }
    follower_.DropEnded();
    for (auto& watch : watches) follower_.Join(std::move(watch));
  }

  FlowPass TakeWaiting() {
    absl::MutexLock lock(&mutex_);
    return FlowPass(std::exchange(waiting_summaries_, {}),
                    std::exchange(waiting_lists_, {}));
  }

  void Read() {
    FlowPass pass = TakeWaiting();
    const absl::Duration start = clock_.BootTime();
    absl::StatusOr<FlowReading> reading;
    for (int tries = 1; tries <= kMostPasses; ++tries) {
      pass.Restart();
      reading = ReadOnce(pass);
      if (!reading.ok() || reading->complete || !pass.CanRestart()) break;
    }
    const absl::Duration end = clock_.BootTime();
    next_dump_ = std::max(start + options_.min_interval, end + (end - start));
    if (!reading.ok()) {
      pass.Fail(reading.status());
      return;
    }
    pass.Conclude(*reading);
    // Before callers are told, as they may ask again at once.
    Keep(pass, *reading);
    pass.Tell(*reading);
  }

  absl::StatusOr<FlowReading> ReadOnce(FlowPass& pass) {
    const auto tracking = table_.Tracking();
    FlowReading reading = {
        .wall_time = clock_.WallTime(),
        .boottime = clock_.BootTime(),
        .tracking = tracking.value_or(kernel::FlowTracking())};
    kernel::FlowDumpFilter filter;
    if (!follower_.active() && reading.tracking.flows <= kFilterInKernelUpTo) {
      filter = pass.ForKernel();
    }
    follower_.BeginReading(reading);
    absl::Duration pause_left = options_.max_pause;
    const auto outcome = table_.Dump(
        filter,
        [&](const kernel::FlowRecord& flow) {
          pass.Take(flow);
          follower_.Take(flow);
        },
        [&] {
          follower_.DrainDuringDump();
          WaitForReaders(pass, pause_left);
          return stopping() ? kernel::FlowDumpStep::kStop
                            : kernel::FlowDumpStep::kGoOn;
        });
    Note(outcome, clock_.BootTime() - reading.boottime);
    reading.complete = outcome.ok() && outcome->complete;
    follower_.EndReading(reading, outcome.status());
    if (!outcome.ok()) {
      return absl::IsCancelled(outcome.status()) ? Stopping()
                                                 : outcome.status();
    }
    return reading;
  }

  bool stopping() const {
    absl::MutexLock lock(&mutex_);
    return stopping_;
  }

  // Lets readers of lists keep up, for a while.
  void WaitForReaders(FlowPass& pass, absl::Duration& pause_left) {
    while (!room_.HasRoom()) {
      const absl::Duration start = SystemClock().BootTime();
      if (pause_left > absl::ZeroDuration() && room_.AwaitRoom(pause_left)) {
        pause_left -= SystemClock().BootTime() - start;
        return;
      }
      pause_left = absl::ZeroDuration();
      FlowListing* const slowest = pass.Slowest();
      if (slowest == nullptr) return;
      stats_.slow_lists.fetch_add(1, std::memory_order_relaxed);
      slowest->Finish(TooSlow());
    }
  }

  void Note(const absl::StatusOr<kernel::FlowDumpOutcome>& outcome,
            absl::Duration duration) {
    if (!outcome.ok()) {
      stats_.failed.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    (outcome->complete ? stats_.complete : stats_.incomplete)
        .fetch_add(1, std::memory_order_relaxed);
    stats_.flows_read.fetch_add(outcome->flows, std::memory_order_relaxed);
    stats_.durations.Add(absl::ToChronoNanoseconds(duration));
  }

  void Keep(FlowPass& pass, const FlowReading& reading) {
    if (!reading.complete) return;
    absl::MutexLock lock(&mutex_);
    for (const auto& job : pass.summaries()) {
      if (job->keep_for <= absl::ZeroDuration()) continue;
      summaries_.Keep(job->query, *job->answer, reading.boottime,
                      reading.boottime + job->keep_for,
                      (*job->answer)->ranking.groups.size() + 1);
    }
    for (FlowListJob& job : pass.lists()) {
      if (job.keep_for <= absl::ZeroDuration()) continue;
      if (job.kept.empty() && job.flows > 0) continue;
      lists_.Keep(job.listing->filter(), {std::move(job.kept), reading},
                  reading.boottime, reading.boottime + job.keep_for,
                  job.flows + 1);
    }
  }

  kernel::FlowTable& table_;
  Clock& clock_;
  const Options options_;
  FlowStats stats_;
  FlowListRoom room_;

  // The thread's own.
  FlowFollower follower_;
  absl::Duration next_dump_ = -absl::InfiniteDuration();

  mutable absl::Mutex mutex_;
  FlowAnswers<FlowQuery, Summary> summaries_ ABSL_GUARDED_BY(mutex_);
  FlowAnswers<FlowFilter, KeptList> lists_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<FlowSummaryJob>> waiting_summaries_
      ABSL_GUARDED_BY(mutex_);
  std::vector<FlowListJob> waiting_lists_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<FlowWatch>> new_watches_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  const std::unique_ptr<Alarm> alarm_;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace

std::unique_ptr<FlowHub> FlowHub::Create(kernel::FlowTable& table, Clock& clock,
                                         const Options& options) {
  return std::make_unique<ThreadFlowHub>(table, clock, options);
}

}  // namespace nfmeter::accounting
