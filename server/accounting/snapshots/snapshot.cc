// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/snapshots/snapshot.h"

#include <algorithm>
#include <utility>

#include "accounting/common/counter_filter.h"

namespace nfmeter::accounting {
namespace {

constexpr uint32_t kNoChunk = UINT32_MAX;

// First entry after `sequence`.
auto After(const std::vector<Membership>& log, uint64_t sequence) {
  return std::upper_bound(log.begin(), log.end(), sequence,
                          [](uint64_t bound, const Membership& entry) {
                            return bound < entry.sequence;
                          });
}

std::vector<uint32_t> IdsAfter(const std::vector<Membership>& log,
                               uint64_t sequence) {
  std::vector<uint32_t> ids;
  for (auto entry = After(log, sequence); entry != log.end(); ++entry) {
    ids.push_back(entry->id);
  }
  return ids;
}

MembershipLog EmptyLog() {
  static const MembershipLog& empty =
      *new MembershipLog(std::make_shared<const std::vector<Membership>>());
  return empty;
}

}  // namespace

NameTable::NameTable(size_t capacity)
    : capacity_(capacity), blocks_(capacity / kBlockSize + 1) {}

std::optional<uint32_t> NameTable::Intern(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = ids_.find(name);
  if (found != ids_.end()) return found->second;
  if (size_ == capacity_) return std::nullopt;

  std::unique_ptr<Entry[]>& block = blocks_[size_ / kBlockSize];
  if (block == nullptr) block = std::make_unique<Entry[]>(kBlockSize);
  Entry& entry = block[size_ % kBlockSize];
  entry.length =
      static_cast<uint8_t>(name.copy(entry.text.data(), entry.text.size()));
  if (name.size() > entry.text.size()) {
    entry.whole = std::make_unique<const std::string>(name);
  }
  std::string shown = ShownName(name);
  if (shown != name) {
    entry.shown = std::make_unique<const std::string>(std::move(shown));
  }
  const uint32_t id = static_cast<uint32_t>(size_++);
  ids_.emplace(entry.name(), id);
  return id;
}

std::optional<uint32_t> NameTable::Find(absl::string_view name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = ids_.find(name);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

Snapshot::Snapshot(std::shared_ptr<const NameTable> names)
    : additions(EmptyLog()), removals(EmptyLog()), names_(std::move(names)) {}

std::vector<uint32_t> Snapshot::RemovedSince(uint64_t since) const {
  return IdsAfter(*removals, since);
}

std::vector<uint32_t> Snapshot::AddedSince(uint64_t since) const {
  return IdsAfter(*additions, since);
}

uint64_t Snapshot::LastAddition(uint64_t not_after) const {
  const auto after = After(*additions, not_after);
  return after == additions->begin() ? 0 : std::prev(after)->sequence;
}

kernel::AcctObject Snapshot::At(Place place) const {
  const SnapshotChunk& chunk = *rows[place.chunk];
  kernel::AcctObject object{
      .name = std::string(names_->KernelName(chunk.ids()[place.row])),
      .packets = chunk.packets[place.row],
      .bytes = chunk.bytes[place.row],
      .use_count = chunk.use_counts[place.row],
  };
  const auto quota =
      std::lower_bound(chunk.quotas.begin(), chunk.quotas.end(), place.row,
                       [](const SnapshotChunk::QuotaRow& a, uint32_t row) {
                         return a.row < row;
                       });
  if (quota != chunk.quotas.end() && quota->row == place.row) {
    object.quota = quota->limit;
    object.quota_exceeded = quota->exceeded;
  }
  return object;
}

std::optional<kernel::AcctObject> Snapshot::Find(absl::string_view name) const {
  const std::optional<uint32_t> id = names_->Find(name);
  if (!id.has_value()) return std::nullopt;
  absl::call_once(indexed_, [this] {
    for (uint32_t chunk = 0; chunk < rows.size(); ++chunk) {
      const std::vector<uint32_t>& ids = rows[chunk]->ids();
      for (uint32_t row = 0; row < ids.size(); ++row) {
        if (ids[row] >= places_.size()) {
          places_.resize(std::max<size_t>(ids[row] + 1, row_count),
                         Place{kNoChunk, 0});
        }
        places_[ids[row]] = Place{chunk, row};
      }
    }
  });
  if (*id >= places_.size() || places_[*id].chunk == kNoChunk) {
    return std::nullopt;
  }
  return At(places_[*id]);
}

const std::vector<kernel::AcctObject>& Snapshot::SortedByName() const {
  absl::call_once(sorted_once_, [this] {
    sorted_.reserve(row_count);
    for (uint32_t chunk = 0; chunk < rows.size(); ++chunk) {
      for (uint32_t row = 0; row < rows[chunk]->size(); ++row) {
        sorted_.push_back(At({chunk, row}));
      }
    }
    std::sort(sorted_.begin(), sorted_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
  });
  return sorted_;
}

}  // namespace nfmeter::accounting
