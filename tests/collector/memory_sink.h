// SPDX-License-Identifier: GPL-3.0-or-later
// A sink in memory, for tests of what stands before sinks. Passes the same
// suite as the real ones (sink_test.cc).
#ifndef NFMETER_TESTS_COLLECTOR_MEMORY_SINK_H_
#define NFMETER_TESTS_COLLECTOR_MEMORY_SINK_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "collector/record.h"
#include "collector/sink.h"

namespace nfmeter::testing {

// Thread-safe.
class MemorySink : public collector::Sink {
 public:
  // Packets and bytes by node's name and counter's name.
  using Totals = std::map<std::pair<std::string, std::string>,
                          std::pair<int64_t, int64_t>>;

  explicit MemorySink(std::function<absl::Time()> now = absl::Now)
      : now_(std::move(now)) {}

  absl::StatusOr<std::vector<std::string>> Join(const std::string& name,
                                                absl::Duration ttl) override {
    absl::MutexLock lock(&mutex_);
    collectors_[name] = now_() + ttl;
    std::vector<std::string> names;
    for (const auto& [each, expires] : collectors_) {
      if (expires > now_()) names.push_back(each);
    }
    return names;
  }

  absl::Status Leave(const std::string& name) override {
    absl::MutexLock lock(&mutex_);
    collectors_.erase(name);
    for (auto& [shard, lease] : leases_) {
      if (lease.holder == name) lease.holder.clear();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<collector::Lease>> KeepLeases(
      const std::string& name, absl::Span<const int> shards,
      absl::Duration ttl) override {
    absl::MutexLock lock(&mutex_);
    std::vector<collector::Lease> held;
    for (auto& [shard, lease] : leases_) {
      if (lease.holder == name &&
          std::find(shards.begin(), shards.end(), shard) == shards.end()) {
        lease.holder.clear();
      }
    }
    for (const int shard : shards) {
      Held& lease = leases_[shard];
      if (lease.holder != name) {
        if (!lease.holder.empty() && lease.expires > now_()) continue;
        lease.holder = name;
        ++lease.token;
      }
      lease.expires = now_() + ttl;
      held.push_back({shard, lease.token});
    }
    return held;
  }

  absl::StatusOr<std::optional<collector::KnownNode>> FindNode(
      const std::string& name) override {
    absl::MutexLock lock(&mutex_);
    std::optional<collector::KnownNode> found;
    int64_t newest = -1;
    for (const auto& [id, node] : nodes_) {
      if (node.known.name == name && node.stored > newest) {
        found = node.known;
        newest = node.stored;
      }
    }
    return found;
  }

  absl::StatusOr<std::optional<collector::KnownNode>> FindNodeById(
      const std::string& node_id) override {
    absl::MutexLock lock(&mutex_);
    const auto found = nodes_.find(node_id);
    if (found == nodes_.end()) return std::nullopt;
    return found->second.known;
  }

  absl::Status Store(const collector::Batch& batch) override {
    if (absl::Status status = collector::CheckTotals(batch); !status.ok()) {
      return status;
    }
    absl::MutexLock lock(&mutex_);
    if (leases_[batch.lease.shard].token != batch.lease.token) {
      return collector::LeaseLost(batch);
    }
    const v1::UsageRecord& last = batch.records.back();
    const auto found = nodes_.find(last.node_id());
    if (batch.expected.has_value()
            ? found == nodes_.end() ||
                  !(found->second.known.cursor == *batch.expected)
            : found != nodes_.end()) {
      return collector::CursorMoved(batch);
    }
    Node& node = nodes_[last.node_id()];
    for (const v1::UsageRecord& record : batch.records) {
      Keep(batch, record, node);
    }
    node.known = {batch.node, collector::CursorAfter(last)};
    node.stored = ++stored_;
    for (const auto& gap : collector::GapsOf(batch)) {
      gaps_.push_back(gap.cause);
    }
    return absl::OkStatus();
  }

  absl::Status Report(const std::string&,
                      absl::Span<const collector::TargetReport>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<collector::FleetStatus> Inspect() override {
    return collector::FleetStatus{};
  }
  absl::Status Tidy() override { return absl::OkStatus(); }

  Totals totals() const {
    absl::MutexLock lock(&mutex_);
    Totals totals;
    for (const auto& [id, node] : nodes_) {
      for (const auto& [key, counter] : node.counters) {
        auto& [packets, bytes] = totals[{node.known.name, counter.name}];
        packets += counter.packets - counter.base_packets;
        bytes += counter.bytes - counter.base_bytes;
      }
    }
    return totals;
  }
  std::vector<std::string> gaps() const {
    absl::MutexLock lock(&mutex_);
    return gaps_;
  }

 private:
  struct Held {
    int64_t token = 0;
    std::string holder;
    absl::Time expires;
  };
  struct Counter {
    std::string name;
    int64_t created = 0;
    int64_t packets = 0, bytes = 0, base_packets = 0, base_bytes = 0;
  };
  struct Node {
    collector::KnownNode known;
    int64_t stored = 0;
    std::map<std::pair<uint64_t, uint64_t>, Counter> counters;  // epoch, id
  };

  static void Count(uint64_t total, int64_t& value, int64_t& base) {
    base += std::min<int64_t>(0, static_cast<int64_t>(total) - value);
    value = static_cast<int64_t>(total);
  }

  void Keep(const collector::Batch& batch, const v1::UsageRecord& record,
            Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const uint64_t epoch = record.position().epoch();
    for (const v1::UsageCounter& each : record.counters()) {
      const int64_t created = collector::Micros(each.create_time());
      const auto [place, is_new] =
          node.counters.try_emplace({epoch, each.id()});
      Counter& counter = place->second;
      counter.name = each.name();
      counter.created = created;
      if (!is_new || !batch.expected.has_value()) continue;
      const auto before =
          node.counters.find({batch.expected->epoch, each.id()});
      if (before == node.counters.end() || before == place ||
          before->second.created != created) {
        continue;
      }
      counter.packets = counter.base_packets = before->second.packets;
      counter.bytes = counter.base_bytes = before->second.bytes;
    }
    for (int i = 0; i < record.counter_ids_size(); ++i) {
      Counter& counter = node.counters[{epoch, record.counter_ids(i)}];
      Count(record.total_packets(i), counter.packets, counter.base_packets);
      Count(record.total_bytes(i), counter.bytes, counter.base_bytes);
    }
  }

  const std::function<absl::Time()> now_;
  mutable absl::Mutex mutex_;
  std::map<std::string, absl::Time> collectors_ ABSL_GUARDED_BY(mutex_);
  std::map<int, Held> leases_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> gaps_ ABSL_GUARDED_BY(mutex_);
  int64_t stored_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_MEMORY_SINK_H_
