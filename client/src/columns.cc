// SPDX-License-Identifier: Apache-2.0
#include "client/src/columns.h"

#include <endian.h>

#include <bit>
#include <cstring>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "client/src/status.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

// The top bit of each of eight bytes that is '\n'; the first byte lowest.
uint64_t NewlinesIn(const char* bytes) {
  constexpr uint64_t kLowBits = 0x7f7f7f7f7f7f7f7f;
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  const uint64_t other = le64toh(word) ^ 0x0a0a0a0a0a0a0a0a;  // 0: a newline
  return ~(((other & kLowBits) + kLowBits) | other | kLowBits);
}

}  // namespace

absl::Status BrokenSnapshot(absl::string_view what) {
  return ClientError(absl::StatusCode::kDataLoss, reason::kBrokenSnapshot,
                     absl::StrCat("the server sent a broken snapshot: ", what),
                     "Try again; if it stays so, client and server do not fit "
                     "together.");
}

absl::Status SplitNames(absl::string_view new_names, size_t expected,
                        std::vector<absl::string_view>* names) {
  const size_t before = names->size();
  names->reserve(before + expected);
  const char* start = new_names.data();
  const char* const end = start + new_names.size();
  // Names are short: looking at eight bytes at once for all of them is faster
  // than a search for each.
  const char* position = start;
  for (; end - position >= 8; position += 8) {
    for (uint64_t stops = NewlinesIn(position); stops != 0;
         stops &= stops - 1) {
      const char* const stop = position + std::countr_zero(stops) / 8;
      names->emplace_back(start, stop - start);
      start = stop + 1;
    }
  }
  for (; position != end; ++position) {
    if (*position != '\n') continue;
    names->emplace_back(start, position - start);
    start = position + 1;
  }
  if (start != end) return BrokenSnapshot("a name does not end");
  if (names->size() - before != expected) {
    return BrokenSnapshot(
        absl::StrCat(names->size() - before, " names for ", expected, " ids"));
  }
  return absl::OkStatus();
}

absl::Span<const uint32_t> IdsOfNewNames(const v1::SnapshotColumns& columns) {
  if (columns.new_names().empty()) return {};
  return AsSpan(columns.new_ids().empty() ? columns.ids() : columns.new_ids());
}

absl::Status CheckColumns(const v1::SnapshotColumns& columns) {
  if (columns.ids_size() != columns.packets_size() ||
      columns.ids_size() != columns.bytes_size()) {
    return BrokenSnapshot(absl::StrCat(
        "columns of different lengths: ", columns.ids_size(), " ids, ",
        columns.packets_size(), " packets, ", columns.bytes_size(), " bytes"));
  }
  if (columns.total_packets_size() != columns.total_bytes_size() ||
      (columns.total_packets_size() != 0 &&
       columns.total_packets_size() != columns.ids_size())) {
    return BrokenSnapshot("totals that do not fit the ids");
  }
  if (columns.new_names().empty() && !columns.new_ids().empty()) {
    return BrokenSnapshot("ids of new names without names");
  }
  return absl::OkStatus();
}

void AppendExceeded(absl::Span<const uint32_t> ids,
                    absl::Span<const uint32_t> exceeded,
                    std::vector<uint8_t>* flags) {
  const size_t before = flags->size();
  flags->resize(before + ids.size(), 0);
  size_t next = 0;
  for (size_t i = 0; i < ids.size() && next < exceeded.size(); ++i) {
    if (ids[i] == exceeded[next]) {
      (*flags)[before + i] = 1;
      ++next;
    }
  }
  if (next == exceeded.size()) return;
  const absl::flat_hash_set<uint32_t> rest(exceeded.begin() + next,
                                           exceeded.end());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (rest.contains(ids[i])) (*flags)[before + i] = 1;
  }
}

absl::Status ChunkOrder::Accept(const v1::SnapshotFrame& chunk) {
  if (next_ == 0 || chunk.restarted()) {
    epoch_ = chunk.epoch();
    sequence_ = chunk.sequence();
    if (chunk.restarted()) next_ = chunk.chunk_index();
  }
  if (chunk.epoch() != epoch_ || chunk.sequence() != sequence_) {
    return BrokenSnapshot(absl::StrCat("a chunk of snapshot ", chunk.sequence(),
                                       " amid those of ", sequence_));
  }
  if (chunk.chunk_index() != next_) {
    return BrokenSnapshot(
        absl::StrCat("chunk ", chunk.chunk_index(), " instead of ", next_));
  }
  next_ = chunk.last_chunk() ? 0 : next_ + 1;
  return absl::OkStatus();
}

}  // namespace nfmeter::client_internal
