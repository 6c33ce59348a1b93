#include "security/turnstile.h"

#include <algorithm>

namespace nfmeter::security {

bool Turnstile::NoteEnded(const std::string& network) {
  const absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mutex_);
  // So many at once are not to be stopped by who they are.
  if (networks_.size() >= kMaxNetworks && !networks_.contains(network)) {
    return false;
  }
  Network& ends = networks_[network];
  if (now >= ends.end) ends.ended = 0;
  ++ends.ended;
  ends.end = now + kMemory;
  size_.store(networks_.size(), std::memory_order_relaxed);
  return ends.ended == kTolerated;
}

Turnstile::Entry Turnstile::Enter(const std::string& network, int connection) {
  absl::MutexLock lock(&mutex_);
  const auto found = networks_.find(network);
  if (found == networks_.end()) return Entry::kAtOnce;
  auto& [name, ends] = *found;
  // Nobody overtakes those that wait.
  if (ends.waiting.empty() &&
      (ends.ended < kTolerated || clock_.BootTime() >= ends.end)) {
    return Entry::kAtOnce;
  }
  if (ends.waiting.size() >= kMaxWaiting) return Entry::kNever;
  ends.waiting.push_back(connection);
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
    return now >= each.second.end && each.second.waiting.empty();
  });
  size_.store(networks_.size(), std::memory_order_relaxed);
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

}  // namespace nfmeter::security
