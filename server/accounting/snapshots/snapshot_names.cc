// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/snapshots/snapshot_names.h"

#include "accounting/common/counter_filter.h"

namespace nfmeter::accounting {

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

}  // namespace nfmeter::accounting
