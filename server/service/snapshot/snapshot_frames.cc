// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_frames.h"

#include <utility>

namespace nfmeter::service {
namespace {

// Frames of one snapshot that are kept: as many as there are filters and views
// with many streams each, hardly ever more than a few.
constexpr size_t kMaxEntries = 128;
constexpr size_t kMaxBytes = 16 << 20;

}  // namespace

SnapshotFrames::Answer SnapshotFrames::Get(const Query& query) {
  const accounting::Snapshot& snapshot = *query.snapshot;
  const MatchedIds matched = query.filter->Match(snapshot, snapshot.chunks());
  // Where labels are sent, a change of labels makes older frames stale.
  const uint64_t labels_version = query.form.label_keys.empty()
                                      ? matched.labels_version()
                                      : context_.labels.version() + 1;
  const bool follows = query.base.epoch == snapshot.epoch &&
                       query.base.labels_version == labels_version;
  const bool full = !follows || !query.changed_only;
  // Streams that know the same names share full frames, whenever they were
  // sent their last one.
  const uint64_t since = !follows ? 0
                         : full   ? snapshot.LastAddition(query.base.sequence)
                                  : query.base.sequence;
  const std::shared_ptr<Entry> entry =
      EntryFor({snapshot.epoch, snapshot.sequence, query.filter, labels_version,
                query.form, full, since});
  absl::call_once(entry->encoded, [&] {
    Encode(query, matched, *entry);
    stats_.encoded.Add(1);
  });
  return {std::shared_ptr<const EncodedFrame>(entry, &entry->frame),
          FrameBase{snapshot.epoch, snapshot.sequence, labels_version}};
}

std::shared_ptr<SnapshotFrames::Entry> SnapshotFrames::EntryFor(
    const Key& key) {
  absl::MutexLock lock(&mutex_);
  for (const auto& entry : entries_) {
    if (entry->key == key) return entry;
  }
  Trim(key);
  auto entry = std::make_shared<Entry>();
  entry->key = key;
  entries_.push_front(entry);
  return entry;
}

// Makes room for one entry. Those of older snapshots are of no use: streams
// that fell behind take the newest.
void SnapshotFrames::Trim(const Key& newest) {
  std::erase_if(entries_, [&](const auto& entry) {
    return entry->key.epoch != newest.epoch ||
           entry->key.sequence + 1 < newest.sequence;
  });
  size_t bytes = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    bytes += entries_[i]->bytes;
    if (bytes > kMaxBytes || i + 1 >= kMaxEntries) {
      entries_.resize(i);
      return;
    }
  }
}

void SnapshotFrames::Encode(const Query& query, const MatchedIds& matched,
                            Entry& entry) {
  const accounting::Snapshot& snapshot = *query.snapshot;
  const Key& key = entry.key;
  auto encoder =
      FrameEncoder::Create({.snapshot = query.snapshot,
                            .full = key.full,
                            .names_known_at = key.since,
                            .form = key.form},
                           context_, [&entry](grpc::Slice message) {
                             entry.bytes += message.size();
                             entry.frame.messages.push_back(std::move(message));
                           });
  size_t count = 0;
  size_t rows = 0;
  for (const auto& chunk : snapshot.chunks()) {
    const RowSelection selection =
        matched.Select(chunk, key.full ? 0 : key.since, &count);
    rows += selection.size();
    encoder->Add(selection);
  }
  std::vector<uint32_t> removed;
  if (!key.full) {
    removed = snapshot.RemovedSince(key.since);
    std::erase_if(removed, [&](uint32_t id) { return !matched.contains(id); });
  }
  entry.frame.empty = rows == 0 && removed.empty();
  encoder->Finish(snapshot.complete, count, removed);
}

void SnapshotFrames::Clear() {
  absl::MutexLock lock(&mutex_);
  entries_.clear();
}

}  // namespace nfmeter::service
