// SPDX-License-Identifier: Apache-2.0
// One node's records on their way into the sink.
#ifndef NFMETER_COLLECTOR_FOLLOWER_H_
#define NFMETER_COLLECTOR_FOLLOWER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "collector/progress.h"
#include "collector/sink.h"
#include "collector/store_threads.h"
#include "collector/targets.h"
#include "nfmeter/client.h"

namespace nfmeter::collector {

// The state of one node, for metrics and `status`.
struct FollowerState {
  absl::Status error;  // OK: its records come
  absl::Time since;    // of that
  uint64_t records = 0;
  uint64_t rows = 0;
  uint64_t gaps = 0;
  uint64_t streams = 0;                           // begun
  absl::Time record_time = absl::InfinitePast();  // of the last one stored
  absl::Time stored_time = absl::InfinitePast();
  absl::Duration clock_ahead;  // of the node's clock; ±: by more than a minute
};

// Reads on a thread of its own; stores on one of `threads`, everything that has
// come meanwhile in one transaction; acknowledges. After any error it begins
// again from where the sink is, later and later, up to 30 s.
//
// What was read and not stored is bounded by `credit` (and one record): beyond
// that the node waits, whose ledger is the only long buffer.
//
// Thread-safe.
class Follower : public std::enable_shared_from_this<Follower> {
 public:
  struct Options {
    Target target;
    Lease lease;
    std::string consumer;
    uint32_t credit = 1 << 20;  // bytes
    absl::Duration first_backoff = absl::Milliseconds(200);
    absl::Duration longest_backoff = absl::Seconds(30);
    Progress::MayBeNode may_be_node;
  };

  // Begins. `sink` and `threads` must outlive it.
  static std::shared_ptr<Follower> Start(Options options, Sink& sink,
                                         StoreThreads& threads);
  // Waits for its end.
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  // Begins to end: nothing new is stored, what is being stored is finished.
  void Stop();
  // Nothing is being stored, nor will be.
  bool ended() const;

  const Options& options() const { return options_; }
  FollowerState state() const;

 private:
  Follower(Options options, Sink& sink, StoreThreads& threads);

  void Loop();
  absl::Status Follow();
  void Receive(v1::UsageRecord record, absl::Duration waited);
  void StorePending();
  void SetError(const absl::Status& error)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteStored(absl::Span<const v1::UsageRecord> records)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !storing_;
  }

  const Options options_;
  Sink& sink_;
  StoreThreads& threads_;

  // Of the stream under way; used by whoever stores, one at a time.
  std::unique_ptr<Progress> progress_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<UsageCollector> stream_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::UsageRecord> pending_ ABSL_GUARDED_BY(mutex_);
  bool storing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);  // what Store() said
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  FollowerState state_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;  // last: uses all of the above
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_FOLLOWER_H_
