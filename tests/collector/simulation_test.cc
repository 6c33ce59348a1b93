// SPDX-License-Identifier: GPL-3.0-or-later
// The protocol of exactly once, explored: nodes, collectors and a sink in one
// thread, each step of each of them in an order that a seed decides, with
// crashes, pauses beyond leases, lost answers, ledgers set back and clocks of
// their own. NFMETER_SEED repeats one run.
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/progress.h"
#include "collector/shards.h"
#include "gmock/gmock.h"
#include "tests/collector/memory_sink.h"
#include "tests/collector/records.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using collector::Lease;
using collector::Progress;
using collector::ShardOf;
using collector::ShardsOf;
using testing::MakeRecord;
using testing::MemorySink;

constexpr int kNodes = 4;
constexpr int kCollectors = 3;
constexpr int kSteps = 4'000;
constexpr absl::Duration kTtl = absl::Seconds(15);

// A ledger: totals of one counter by record.
struct Node {
  std::string name;
  uint64_t sent = 0;
  std::vector<uint64_t> totals;  // the i-th has sequence i + 1
  uint64_t acknowledged = 0;

  v1::UsageRecord At(uint64_t sequence, bool full) const {
    return MakeRecord(
        {.node_id = "id-" + name, .sequence = sequence, .full = full},
        {{1, totals[sequence - 1]}});
  }
};

// The sink, whose answers may get lost after they were carried out.
class LossySink final : public collector::Sink {
 public:
  LossySink(MemorySink& sink, std::mt19937_64& chance)
      : sink_(sink), chance_(chance) {}

  absl::StatusOr<std::vector<std::string>> Join(const std::string& name,
                                                absl::Duration ttl) override {
    if (Fails()) return Away();
    return sink_.Join(name, ttl);
  }
  absl::Status Leave(const std::string& name) override {
    return sink_.Leave(name);
  }
  absl::StatusOr<std::vector<Lease>> KeepLeases(const std::string& name,
                                                absl::Span<const int> shards,
                                                absl::Duration ttl) override {
    if (Fails()) return Away();
    auto leases = sink_.KeepLeases(name, shards, ttl);
    if (Fails()) return Away();
    return leases;
  }
  absl::StatusOr<std::optional<collector::KnownNode>> FindNode(
      const std::string& name) override {
    if (Fails()) return Away();
    return sink_.FindNode(name);
  }
  absl::StatusOr<std::optional<collector::KnownNode>> FindNodeById(
      const std::string& id) override {
    return sink_.FindNodeById(id);
  }
  absl::Status Store(const collector::Batch& batch) override {
    if (Fails()) return Away();
    const absl::Status status = sink_.Store(batch);
    return Fails() ? Away() : status;
  }
  absl::Status Report(const std::string&,
                      absl::Span<const collector::TargetReport>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<collector::FleetStatus> Inspect() override {
    return sink_.Inspect();
  }
  absl::Status Tidy() override { return absl::OkStatus(); }

  bool fails = true;  // sometimes

 private:
  bool Fails() { return fails && chance_() % 20 == 0; }
  static absl::Status Away() { return absl::UnavailableError("away"); }

  MemorySink& sink_;
  std::mt19937_64& chance_;
};

// What a collector holds in memory of one node: a stream and what came over it.
struct Stream {
  Lease lease;
  std::unique_ptr<Progress> progress;
  bool begun = false;
  std::optional<uint64_t> position;  // on the wire
  std::vector<v1::UsageRecord> pending;
};

struct SimulatedCollector {
  std::string name;
  int incarnation = 0;
  bool paused = false;
  std::map<int, Lease> held;
  std::map<std::string, Stream> streams;  // by node

  std::string id() const { return absl::StrCat(name, "-", incarnation); }
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : chance_(seed), sink_([this] { return now_; }), lossy_(sink_, chance_) {
    for (int i = 0; i < kNodes; ++i) {
      nodes_.push_back({.name = absl::StrCat("n", i), .totals = {0}});
    }
    for (int i = 0; i < kCollectors; ++i) {
      collectors_.push_back({.name = absl::StrCat("c", i)});
    }
  }

  void Run() {
    for (int i = 0; i < kSteps; ++i) {
      Step();
      if (::testing::Test::HasFatalFailure()) return;
    }
    // Everybody well again: all that was counted gets there.
    lossy_.fails = false;
    for (Node& node : nodes_) node.totals.push_back(node.sent);
    for (int round = 0; round < 40; ++round) {
      now_ += absl::Seconds(2);
      for (SimulatedCollector& each : collectors_) {
        each.paused = false;
        KeepLeases(each);
        for (Node& node : nodes_) {
          for (int i = 0; i < 30; ++i) Follow(each, node);
        }
      }
    }
    for (const Node& node : nodes_) {
      EXPECT_EQ((sink_.totals()[{node.name, "c1"}].first),
                static_cast<int64_t>(node.sent));
      EXPECT_GT(node.acknowledged, 0u);
    }
    EXPECT_THAT(sink_.gaps(), ::testing::IsEmpty());
  }

 private:
  uint64_t Pick(uint64_t below) { return chance_() % below; }

  void Step() {
    now_ += absl::Milliseconds(Pick(400));
    SimulatedCollector& collector = collectors_[Pick(collectors_.size())];
    Node& node = nodes_[Pick(nodes_.size())];
    switch (Pick(100)) {
      case 0:  // killed; its successor has another name
        collector.streams.clear();
        collector.held.clear();
        ++collector.incarnation;
        collector.paused = false;
        return;
      case 1:
        collector.paused = true;
        return;
      case 2:
      case 3:
        collector.paused = false;
        return;
      case 4:  // a pause of everybody, beyond the lease
        now_ += kTtl * 1.5;
        return;
      default:
        break;
    }
    if (Pick(3) == 0) {
      node.sent += Pick(10);
      if (Pick(2) == 0) node.totals.push_back(node.sent);
      return;
    }
    if (collector.paused) return;
    if (Pick(8) == 0) return KeepLeases(collector);
    Follow(collector, node);
    CheckSink();
  }

  // What the sink has is never more than was sent, and never less than what was
  // acknowledged.
  void CheckSink() {
    for (const Node& node : nodes_) {
      const auto total =
          static_cast<uint64_t>(sink_.totals()[{node.name, "c1"}].first);
      ASSERT_LE(total, node.totals.back());
      if (node.acknowledged > 0) {
        ASSERT_GE(total, node.totals[node.acknowledged - 1]);
      }
    }
  }

  void KeepLeases(SimulatedCollector& collector) {
    const auto alive = lossy_.Join(collector.id(), kTtl);
    if (!alive.ok()) return;
    const auto leases = lossy_.KeepLeases(
        collector.id(), ShardsOf(collector.id(), *alive), kTtl);
    if (!leases.ok()) return;
    collector.held.clear();
    for (const Lease& lease : *leases) collector.held[lease.shard] = lease;
    for (auto it = collector.streams.begin(); it != collector.streams.end();) {
      const auto held = collector.held.find(it->second.lease.shard);
      const bool keeps = held != collector.held.end() &&
                         held->second.token == it->second.lease.token;
      it = keeps ? std::next(it) : collector.streams.erase(it);
    }
  }

  // The next step of a stream: begin, receive, or store and acknowledge. A
  // collector whose lease is over and that does not know goes on, too.
  void Follow(SimulatedCollector& collector, Node& node) {
    const auto held = collector.held.find(ShardOf(node.name));
    if (held == collector.held.end()) return;
    Stream& stream = collector.streams[node.name];
    if (!stream.begun) {
      stream.lease = held->second;
      stream.progress = std::make_unique<Progress>(
          node.name, held->second, lossy_,
          [](const std::string&, const std::string&) { return false; });
      const auto position = stream.progress->Begin();
      if (!position.ok()) return;
      stream.begun = true;
      stream.position.reset();
      if (position->has_value()) stream.position = (*position)->sequence();
      return;
    }
    const bool has_next =
        !stream.position.has_value() || *stream.position < node.totals.size();
    if (has_next && (stream.pending.empty() || Pick(2) == 0)) {
      const bool full = !stream.position.has_value();
      stream.position = full ? node.totals.size() : *stream.position + 1;
      stream.pending.push_back(node.At(*stream.position, full));
      return;
    }
    if (stream.pending.empty()) return;
    const auto stored = stream.progress->Store(stream.pending);
    if (!stored.ok()) {
      collector.streams.erase(node.name);
      return;
    }
    if (Pick(10) != 0) {  // else the acknowledgement is lost
      node.acknowledged = std::max(
          node.acknowledged, stream.pending[*stored - 1].position().sequence());
    }
    stream.pending.erase(stream.pending.begin(),
                         stream.pending.begin() + static_cast<long>(*stored));
  }

  std::mt19937_64 chance_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  MemorySink sink_;
  LossySink lossy_;
  std::vector<Node> nodes_;
  std::vector<SimulatedCollector> collectors_;
};

TEST(SimulationTest, WhateverHappensEachPacketIsInTheSinkOnce) {
  const char* given = std::getenv("NFMETER_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10)
                                          : std::random_device()();
  const int runs = given != nullptr ? 1 : 30;
  for (int i = 0; i < runs; ++i) {
    SCOPED_TRACE(absl::StrCat("NFMETER_SEED=", first + i));
    Simulation(first + i).Run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace nfmeter
