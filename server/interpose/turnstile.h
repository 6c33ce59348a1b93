// SPDX-License-Identifier: GPL-3.0-or-later
// Lets connections in one after the other where they can't be let in at once.
#ifndef NFMETER_INTERPOSE_TURNSTILE_H_
#define NFMETER_INTERPOSE_TURNSTILE_H_

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/token_bucket.h"

namespace nfmeter::interpose {

// A TLS handshake costs a server a hundred times what a call does, and who is
// at the other end is known only after it. So young connections of a network
// that the server has to end are counted: their handshakes fail, they flood, or
// their peer has flooded. After kTooMany at once, or more than one each
// kForgiven, connections from there wait for their turn: in the order in which
// they come, kInTurn at a time, until kMemory after the last bad one.
//
// Connections are known by their descriptors. Bounded. Thread-safe. Does not
// own the clock.
class Turnstile {
 public:
  enum class Entry { kAtOnce, kLater, kNever };

  explicit Turnstile(Clock& clock) : clock_(clock) {}

  // A young connection from the network had to be ended. True: that was one too
  // many, from now on they wait.
  bool NoteEnded(const std::string& network) {
    const absl::Duration now = clock_.BootTime();
    absl::MutexLock lock(&mutex_);
    // With so many networks at once, slowing each of them does not help.
    if (networks_.size() >= kMaxNetworks && !networks_.contains(network)) {
      return false;
    }
    Network& found = networks_.try_emplace(network, now).first->second;
    if (found.tolerated.Take(now)) return false;
    const bool is_slow = now < found.slow_until;
    found.slow_until = now + kMemory;
    return !is_slow;
  }

  // Nothing is remembered of anybody.
  bool is_open() const {
    absl::MutexLock lock(&mutex_);
    return networks_.empty();
  }

  Entry Enter(const std::string& network, int connection) {
    absl::MutexLock lock(&mutex_);
    const auto found = networks_.find(network);
    if (found == networks_.end()) return Entry::kAtOnce;
    Network& slow = found->second;
    // Nobody overtakes those that wait.
    if (slow.waiting.empty() && clock_.BootTime() >= slow.slow_until) {
      return Entry::kAtOnce;
    }
    if (slow.waiting.size() >= kMaxWaiting) return Entry::kNever;
    slow.waiting.push_back(connection);
    return Entry::kLater;
  }

  // Takes those whose turn it is. To be called once a second.
  std::vector<int> Turn() {
    std::vector<int> turn;
    absl::MutexLock lock(&mutex_);
    for (auto& [name, network] : networks_) {
      const auto end =
          network.waiting.begin() + std::min(kInTurn, network.waiting.size());
      turn.insert(turn.end(), network.waiting.begin(), end);
      network.waiting.erase(network.waiting.begin(), end);
    }
    const absl::Duration now = clock_.BootTime();
    absl::erase_if(networks_, [&](const auto& each) {
      const Network& network = each.second;
      return now >= network.slow_until && network.tolerated.IsFull(now) &&
             network.waiting.empty();
    });
    return turn;
  }

  // The connection does not wait any more, if it did.
  void Leave(int connection) {
    absl::MutexLock lock(&mutex_);
    for (auto& [name, network] : networks_) {
      const auto found =
          std::find(network.waiting.begin(), network.waiting.end(), connection);
      if (found == network.waiting.end()) continue;
      network.waiting.erase(found);
      return;
    }
  }

  static constexpr double kTooMany = 10;
  static constexpr absl::Duration kForgiven = absl::Seconds(2);
  static constexpr absl::Duration kMemory = absl::Seconds(10);
  static constexpr size_t kInTurn = 4;
  // From one network: the handshake is given up after five seconds.
  static constexpr size_t kMaxWaiting = 16;
  static constexpr size_t kMaxNetworks = 10'000;

 private:
  struct Network {
    explicit Network(absl::Duration now)
        : tolerated(1 / absl::ToDoubleSeconds(kForgiven), kTooMany - 1, now) {}

    TokenBucket tolerated;
    absl::Duration slow_until;
    std::deque<int> waiting;
  };

  Clock& clock_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Network> networks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::interpose

#endif  // NFMETER_INTERPOSE_TURNSTILE_H_
