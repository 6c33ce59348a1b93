// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/turnstile.h"

namespace nfmeter::interpose {

bool Turnstile::NoteEnded(const std::string& network) {
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

Turnstile::Entry Turnstile::Enter(const std::string& network, int connection) {
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

std::vector<int> Turnstile::Turn() {
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

void Turnstile::Leave(int connection) {
  absl::MutexLock lock(&mutex_);
  for (auto& [name, network] : networks_) {
    const auto found =
        std::find(network.waiting.begin(), network.waiting.end(), connection);
    if (found == network.waiting.end()) continue;
    network.waiting.erase(found);
    return;
  }
}

}  // namespace nfmeter::interpose
