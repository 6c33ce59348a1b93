// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/consumers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::accounting {
namespace {

absl::Status SomebodyElses(absl::string_view name) {
  return MakeError(absl::StatusCode::kPermissionDenied, "CONSUMER_NOT_YOURS",
                   absl::StrCat("consumer '", name,
                                "' belongs to another caller; use another "
                                "name"));
}

}  // namespace

void Consumers::Load(std::vector<Consumer> consumers) {
  absl::MutexLock lock(&mutex_);
  for (Consumer& consumer : consumers) {
    std::string name = consumer.name;
    consumers_[std::move(name)] = std::move(consumer);
  }
}

absl::StatusOr<Consumer> Consumers::Attach(absl::string_view name,
                                           absl::string_view owner,
                                           bool sees_all, uint64_t sequence,
                                           absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (const auto found = consumers_.find(name); found != consumers_.end()) {
    if (found->second.owner != owner && !sees_all) return SomebodyElses(name);
    return found->second;
  }
  if (consumers_.size() >= kMaxConsumers) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, "TOO_MANY_CONSUMERS",
        absl::StrCat("there are ", kMaxConsumers,
                     " consumers already; delete those that are not used any "
                     "more: nfmeter usage consumers --delete NAME"));
  }
  Consumer& consumer = consumers_[std::string(name)];
  consumer = {.name = std::string(name),
              .owner = std::string(owner),
              .sequence = sequence,
              .create_time = now};
  changed_.insert(consumer.name);
  return consumer;
}

void Consumers::Acknowledge(absl::string_view name, uint64_t sequence,
                            absl::Time now, bool exactly) {
  absl::MutexLock lock(&mutex_);
  const auto found = consumers_.find(name);
  if (found == consumers_.end()) return;
  Consumer& consumer = found->second;
  consumer.sequence =
      exactly ? sequence : std::max(consumer.sequence, sequence);
  consumer.ack_time = now;
  changed_.insert(consumer.name);
}

absl::Status Consumers::Remove(absl::string_view name, absl::string_view owner,
                               bool sees_all) {
  absl::MutexLock lock(&mutex_);
  const auto found = consumers_.find(name);
  if (found == consumers_.end()) {
    return MakeError(absl::StatusCode::kNotFound, "CONSUMER_NOT_FOUND",
                     absl::StrCat("there is no consumer '", name,
                                  "'; ListConsumers lists them"));
  }
  if (found->second.owner != owner && !sees_all) return SomebodyElses(name);
  changed_.insert(found->first);
  consumers_.erase(found);
  return absl::OkStatus();
}

std::vector<Consumer> Consumers::All() const {
  absl::MutexLock lock(&mutex_);
  std::vector<Consumer> all;
  for (const auto& [name, consumer] : consumers_) all.push_back(consumer);
  return all;
}

std::optional<uint64_t> Consumers::LeastAcknowledged() const {
  absl::MutexLock lock(&mutex_);
  std::optional<uint64_t> least;
  for (const auto& [name, consumer] : consumers_) {
    least = std::min(least.value_or(consumer.sequence), consumer.sequence);
  }
  return least;
}

Consumers::Changes Consumers::Take() {
  absl::MutexLock lock(&mutex_);
  Changes changes;
  for (const std::string& name : changed_) {
    const auto found = consumers_.find(name);
    if (found == consumers_.end()) {
      changes.removed.push_back(name);
    } else {
      changes.put.push_back(found->second);
    }
  }
  changed_.clear();
  return changes;
}

void Consumers::BeginAnew() {
  absl::MutexLock lock(&mutex_);
  for (auto& [name, consumer] : consumers_) {
    consumer.sequence = 0;
    changed_.insert(name);
  }
}

void Consumers::GiveBack(const Changes& changes) {
  absl::MutexLock lock(&mutex_);
  for (const Consumer& consumer : changes.put) changed_.insert(consumer.name);
  changed_.insert(changes.removed.begin(), changes.removed.end());
}

}  // namespace nfmeter::accounting
