// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/quotas/quota_crossings.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"

namespace nfmeter::accounting {
namespace {

// For so long after a reading found a counter exceeded, an event about it may
// be that of the same crossing, which waited in the socket's buffer.
constexpr absl::Duration kSettleTime = absl::Seconds(5);

}  // namespace

std::vector<kernel::AcctObject> QuotaCrossings::TakeOver(
    absl::Span<const kernel::AcctObject> read, bool complete,
    absl::Duration boottime) {
  std::vector<kernel::AcctObject> unknown;
  absl::flat_hash_set<absl::string_view> names;
  for (const kernel::AcctObject& object : read) {
    names.insert(object.name);
    const bool is_new =
        exceeded_.try_emplace(object.name, Crossing{object, boottime}).second;
    if (is_new) unknown.push_back(object);
  }
  if (complete) {
    absl::erase_if(exceeded_, [&](const auto& entry) {
      // A counter that crossed after the reading had passed it is exceeded.
      return !names.contains(entry.first) && entry.second.added < readings_;
    });
    reading_due_at_ = std::max(kFewest, 2 * exceeded_.size());
  }
  return unknown;
}

std::optional<kernel::AcctObject> QuotaCrossings::FoundBefore(
    const kernel::AcctObject& event, absl::Duration boottime) {
  const auto found = exceeded_.find(event.name);
  if (found == exceeded_.end()) return std::nullopt;
  Crossing& crossing = found->second;
  const bool awaited = boottime - crossing.found <= kSettleTime;
  crossing.found = -absl::InfiniteDuration();
  if (!awaited || event.packets > crossing.object.packets ||
      event.bytes > crossing.object.bytes) {
    return std::nullopt;
  }
  return crossing.object;
}

void QuotaCrossings::Add(const kernel::AcctObject& object) {
  exceeded_[object.name] = Crossing{.object = object, .added = readings_};
}

bool QuotaCrossings::AddedMeanwhile(absl::string_view name) const {
  const auto found = exceeded_.find(name);
  return found != exceeded_.end() && found->second.added == readings_;
}

}  // namespace nfmeter::accounting
