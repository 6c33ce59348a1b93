// SPDX-License-Identifier: Apache-2.0
// One of a fleet's collectors: holds its share of the nodes and follows them.
#ifndef NFMETER_COLLECTOR_COLLECTOR_H_
#define NFMETER_COLLECTOR_COLLECTOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "collector/follower.h"
#include "collector/sink.h"
#include "collector/store_threads.h"
#include "collector/targets.h"

namespace nfmeter::collector {

// What metrics tell.
struct CollectorState {
  struct Node {
    std::string name;
    std::string address;
    FollowerState state;
  };
  std::vector<Node> nodes;  // followed here, by name
  size_t targets = 0;       // of all collectors
  size_t collectors = 0;    // alive, this one among them
  size_t shards = 0;        // held
  uint64_t leases_taken = 0;
  uint64_t leases_lost = 0;
  absl::Status sink;  // what it last said to this collector
  // Of followers that have gone, too.
  uint64_t records = 0;
  uint64_t rows = 0;
};

// A thread of its own joins the others in the sink, keeps the leases of this
// collector's shards, and starts and stops followers. While the sink is away it
// tries on; what it holds goes on as long as the leases last, and stops then.
// Thread-safe.
class Collector {
 public:
  struct Options {
    std::string name;      // among all collectors
    std::string consumer;  // towards the nodes: the same in all collectors
    absl::Duration lease = absl::Seconds(15);
    // Bytes under way from all nodes together.
    uint64_t memory = uint64_t{128} << 20;
    int store_threads = 4;
    absl::Duration longest_backoff = absl::Seconds(30);
  };

  // `sink` must outlive it.
  Collector(Options options, Sink& sink);
  // Stops, and gives the leases back.
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // The nodes of the fleet, from now on.
  void SetTargets(std::vector<Target> targets);

  CollectorState state() const;

 private:
  using Followers = std::map<std::string, std::shared_ptr<Follower>>;

  void Loop();
  void Tidy();
  absl::Status KeepShare();
  std::vector<int> Wanted(const std::vector<std::string>& collectors);
  bool Holds(const std::vector<int>& shards) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteLeases(const std::vector<Lease>& leases)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropLeases();
  void AdjustFollowers();
  void FindDeparted();
  bool MayBeNode(const std::string& name, const std::string& node_id) const;
  void Bury(const Follower& follower) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Report();
  bool TidyWakes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || (share_grew_ && has_targets_);
  }
  absl::Duration Pause() const;
  uint32_t Credit() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopFollowers();

  const Options options_;
  Sink& sink_;
  StoreThreads threads_;
  bool has_shed_ = false;  // followers, since memory was given back; thread_'s

  mutable absl::Mutex mutex_;
  std::map<std::string, Target> targets_ ABSL_GUARDED_BY(mutex_);
  std::map<int, int64_t> held_ ABSL_GUARDED_BY(mutex_);  // shard: token
  // Until then, by this machine's clock.
  absl::Time held_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time renew_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  Followers followers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, TargetReport> reported_ ABSL_GUARDED_BY(mutex_);
  // Targets that are none any more, to be told.
  std::set<std::string> departed_ ABSL_GUARDED_BY(mutex_);
  // Shards came whose former holders may not have told that, and targets_ is
  // what it is; tidying_ looks.
  bool share_grew_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_targets_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<int> wanted_ ABSL_GUARDED_BY(mutex_);
  CollectorState state_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;  // targets_ has, or stopping_

  std::thread thread_;  // last, with the next: use all of the above
  std::thread tidying_;
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_COLLECTOR_H_
