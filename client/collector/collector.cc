// SPDX-License-Identifier: Apache-2.0
#include "collector/collector.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"
#include "collector/log.h"
#include "collector/shards.h"

namespace nfmeter::collector {
namespace {

constexpr absl::Duration kTidyEvery = absl::Minutes(1);
// How long another target may take to say who it is.
constexpr absl::Duration kAnswerOfOther = absl::Seconds(5);
constexpr uint64_t kLeastCredit = 64 << 10;
constexpr uint64_t kMostCredit = 4 << 20;

}  // namespace

Collector::Collector(Options options, Sink& sink)
    : options_(std::move(options)),
      sink_(sink),
      threads_(options_.store_threads),
      thread_([this] { Loop(); }),
      tidying_([this] { Tidy(); }) {}

Collector::~Collector() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = changed_ = true;
  }
  thread_.join();
  tidying_.join();
}

void Collector::SetTargets(std::vector<Target> targets) {
  absl::MutexLock lock(&mutex_);
  targets_.clear();
  for (Target& target : targets) {
    std::string name = target.name;
    targets_.emplace(std::move(name), std::move(target));
  }
  changed_ = has_targets_ = true;
}

void Collector::Loop() {
  for (;;) {
    const absl::Status status = KeepShare();
    absl::MutexLock lock(&mutex_);
    if (status != state_.sink) {
      if (status.ok()) {
        Log(Level::kInfo, "sink works again");
      } else {
        Log(Level::kError, "sink fails", {{"error", status.message()}});
      }
      state_.sink = status;
    }
    mutex_.AwaitWithTimeout(absl::Condition(&changed_), Pause());
    if (stopping_) break;
    changed_ = false;
  }
  StopFollowers();
  const absl::Status left = sink_.Leave(options_.name);
  if (!left.ok()) {
    Log(Level::kWarning, "leases not given back; they end by themselves",
        {{"error", left.message()}});
  }
}

void Collector::Tidy() {
  for (;;) {
    const absl::Status status = sink_.Tidy();
    if (!status.ok()) {
      Log(Level::kWarning, "roll-ups and retention wait",
          {{"error", status.message()}});
    }
    const absl::Time next = absl::Now() + kTidyEvery;
    for (;;) {
      {
        absl::MutexLock lock(&mutex_);
        const bool woken = mutex_.AwaitWithDeadline(
            absl::Condition(this, &Collector::TidyWakes), next);
        if (stopping_) return;
        if (!woken) break;
        share_grew_ = false;
      }
      FindDeparted();
    }
  }
}

// Targets that the sink knows and the file does not have any more: those that
// went while no collector ran, or in the care of one that was killed.
void Collector::FindDeparted() {
  const absl::StatusOr<FleetStatus> status = sink_.Inspect();
  if (!status.ok()) return;  // of use to people alone
  absl::MutexLock lock(&mutex_);
  for (const NodeStatus& node : status->nodes) {
    if (!node.address.empty() && held_.contains(ShardOf(node.name)) &&
        !targets_.contains(node.name) && !followers_.contains(node.name)) {
      departed_.insert(node.name);
    }
  }
}

absl::Status Collector::KeepShare() {
  const absl::Time now = absl::Now();
  // The allocator keeps what followers had that went to other collectors.
  if (std::exchange(has_shed_, false)) malloc_trim(0);
  absl::Status status = [&]() -> absl::Status {
    NFM_ASSIGN_OR_RETURN(const auto collectors,
                         sink_.Join(options_.name, options_.lease));
    const std::vector<int> shards = Wanted(collectors);
    {
      absl::MutexLock lock(&mutex_);
      state_.collectors = collectors.size();
      if (now < renew_at_ && Holds(shards)) return absl::OkStatus();
    }
    NFM_ASSIGN_OR_RETURN(
        const auto leases,
        sink_.KeepLeases(options_.name, shards, options_.lease));
    absl::MutexLock lock(&mutex_);
    NoteLeases(leases);
    held_until_ = now + options_.lease;
    renew_at_ = now + options_.lease / 3;
    return absl::OkStatus();
  }();
  if (!status.ok()) DropLeases();
  AdjustFollowers();
  if (status.ok()) status = Report();
  return status;
}

// The shards that are this collector's among those that live, and those that
// are not, while a follower of theirs still ends.
std::vector<int> Collector::Wanted(const std::vector<std::string>& collectors) {
  const std::vector<int> own = ShardsOf(options_.name, collectors);
  absl::MutexLock lock(&mutex_);
  wanted_ = std::set<int>(own.begin(), own.end());
  std::set<int> kept = wanted_;
  for (const auto& [name, follower] : followers_) {
    const int shard = follower->options().lease.shard;
    if (wanted_.contains(shard)) continue;
    follower->Stop();
    if (!follower->ended()) kept.insert(shard);
  }
  return {kept.begin(), kept.end()};
}

// Just these, in order.
bool Collector::Holds(const std::vector<int>& shards) const {
  return std::equal(
      shards.begin(), shards.end(), held_.begin(), held_.end(),
      [](int shard, const auto& held) { return shard == held.first; });
}

void Collector::NoteLeases(const std::vector<Lease>& leases) {
  std::map<int, int64_t> held;
  for (const Lease& lease : leases) held[lease.shard] = lease.token;
  for (const auto& [shard, token] : held) {
    const auto before = held_.find(shard);
    if (before == held_.end() || before->second != token) {
      ++state_.leases_taken;
      share_grew_ = true;
    }
  }
  for (const auto& [shard, token] : held_) {
    if (!held.contains(shard) && wanted_.contains(shard)) ++state_.leases_lost;
  }
  if (held.size() != held_.size()) {
    Log(Level::kInfo, "share changed",
        {{"shards", absl::StrCat(held.size())},
         {"collectors", absl::StrCat(state_.collectors)}});
  }
  held_ = std::move(held);
}

// The sink does not answer: when the leases are over, others may hold them.
void Collector::DropLeases() {
  absl::MutexLock lock(&mutex_);
  renew_at_ = absl::InfinitePast();
  if (absl::Now() < held_until_) return;
  state_.leases_lost += held_.size();
  held_.clear();
}

void Collector::AdjustFollowers() {
  absl::MutexLock lock(&mutex_);
  const auto wants =
      [this](const Target& target)
          ABSL_NO_THREAD_SAFETY_ANALYSIS -> std::optional<Lease> {
    const int shard = ShardOf(target.name);
    const auto held = held_.find(shard);
    if (held == held_.end() || !wanted_.contains(shard)) return std::nullopt;
    return Lease{shard, held->second};
  };
  for (auto it = followers_.begin(); it != followers_.end();) {
    const Follower::Options& options = it->second->options();
    const auto target = targets_.find(it->first);
    const auto lease =
        target == targets_.end() ? std::nullopt : wants(target->second);
    if (!lease.has_value() || lease->token != options.lease.token ||
        !(target->second == options.target)) {
      it->second->Stop();
    }
    if (!it->second->ended()) {
      ++it;
      continue;
    }
    Bury(*it->second);
    it = followers_.erase(it);
    has_shed_ = true;
  }
  for (const auto& [name, target] : targets_) {
    const auto lease = wants(target);
    if (!lease.has_value() || followers_.contains(name)) continue;
    followers_[name] = Follower::Start(
        {.target = target,
         .lease = *lease,
         .consumer = options_.consumer,
         .credit = Credit(),
         .longest_backoff = options_.longest_backoff,
         .may_be_node =
             [this](const std::string& other, const std::string& node_id) {
               return MayBeNode(other, node_id);
             }},
        sink_, threads_);
  }
}

// Asks it, as another collector may follow it. One that does not answer may be.
bool Collector::MayBeNode(const std::string& name,
                          const std::string& node_id) const {
  ClientOptions options;
  {
    absl::MutexLock lock(&mutex_);
    const auto target = targets_.find(name);
    if (target == targets_.end()) return false;
    options = OptionsFor(target->second);
  }
  const auto client = Client::Connect(options);
  if (!client.ok()) return true;
  const auto node = (*client)->GetNode({.timeout = kAnswerOfOther});
  return !node.ok() || node->ledger().node_id().empty() ||
         node->ledger().node_id() == node_id;
}

void Collector::Bury(const Follower& follower) {
  const FollowerState state = follower.state();
  state_.records += state.records;
  state_.rows += state.rows;
  const std::string& name = follower.options().target.name;
  reported_.erase(name);
  if (!targets_.contains(name)) departed_.insert(name);
}

// Tells the sink what has changed since the last time.
absl::Status Collector::Report() {
  std::vector<TargetReport> news;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::string& name : departed_) {
      news.push_back({.name = name, .since = absl::Now()});
    }
    departed_.clear();
    for (const auto& [name, follower] : followers_) {
      const FollowerState state = follower->state();
      std::string error(state.error.message());
      if (error.empty() && state.clock_ahead != absl::ZeroDuration()) {
        error = absl::StrCat(
            "its clock is ",
            absl::FormatDuration(absl::Trunc(
                absl::AbsDuration(state.clock_ahead), absl::Seconds(1))),
            state.clock_ahead > absl::ZeroDuration() ? " ahead" : " behind",
            "; hours and days of its usage are wrong by that, totals are "
            "right");
      }
      TargetReport report{name, follower->options().target.address,
                          std::move(error), state.since};
      const auto told = reported_.find(name);
      if (told != reported_.end() && told->second.error == report.error &&
          told->second.address == report.address) {
        continue;
      }
      reported_[name] = report;
      news.push_back(std::move(report));
    }
  }
  if (news.empty()) return absl::OkStatus();
  const absl::Status status = sink_.Report(options_.name, news);
  if (!status.ok()) {
    absl::MutexLock lock(&mutex_);
    for (const TargetReport& report : news) {
      reported_.erase(report.name);
      if (report.address.empty()) departed_.insert(report.name);
    }
  }
  return status;
}

// Short while something is on its way: a lease that another still holds, a
// follower that still ends.
absl::Duration Collector::Pause() const {
  mutex_.AssertHeld();
  const bool settled =
      std::all_of(wanted_.begin(), wanted_.end(),
                  [this](int shard) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                    return held_.contains(shard);
                  }) &&
      held_.size() == wanted_.size() && state_.sink.ok();
  return options_.lease / (settled ? 6 : 30);
}

uint32_t Collector::Credit() const {
  const uint64_t nodes = std::max<uint64_t>(targets_.size(), 1);
  return static_cast<uint32_t>(
      std::clamp(options_.memory / nodes, kLeastCredit, kMostCredit));
}

void Collector::StopFollowers() {
  Followers followers;
  {
    absl::MutexLock lock(&mutex_);
    followers.swap(followers_);
  }
  for (const auto& [name, follower] : followers) follower->Stop();
  followers.clear();  // waits for them
}

CollectorState Collector::state() const {
  absl::MutexLock lock(&mutex_);
  CollectorState state = state_;
  state.targets = targets_.size();
  state.shards = held_.size();
  for (const auto& [name, follower] : followers_) {
    state.nodes.push_back(
        {name, follower->options().target.address, follower->state()});
    state.records += state.nodes.back().state.records;
    state.rows += state.nodes.back().state.rows;
  }
  return state;
}

}  // namespace nfmeter::collector
