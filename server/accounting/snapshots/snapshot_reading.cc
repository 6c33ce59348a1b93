// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/snapshots/snapshot_reading.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// How many complete dumps a reading makes while each lacks known counters.
constexpr int kMaxDumps = 5;
// How many missing counters are looked up by name. Each costs a walk over the
// kernel's list, a good part of what a dump costs.
constexpr size_t kMaxLookups = 16;

uint64_t RandomEpoch() {
  std::random_device random;
  uint64_t epoch = 0;
  while (epoch == 0) epoch = uint64_t{random()} << 32 | random();
  return epoch;
}

}  // namespace

SnapshotBuilder::SnapshotBuilder(uint64_t epoch, size_t max_counters,
                                 size_t max_names)
    : epoch_(epoch),
      max_counters_(max_counters),
      names_(std::make_shared<NameTable>(max_names)) {
  const Snapshot empty(names_);
  additions_ = empty.additions;
  removals_ = empty.removals;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::BeginPass(
    absl::Time wall_time, absl::Duration boottime) {
  ++pass_;
  cursor_ = 0;
  seen_live_ = 0;
  too_many_ = false;
  pass_order_.clear();
  pass_order_.reserve(order_.size());
  chunk_ = nullptr;
  const auto begun = [&] {
    auto data = std::make_shared<Snapshot>(names_);
    data->epoch = epoch_;
    data->sequence = sequence_ + 1;
    data->wall_time = wall_time;
    data->boottime = boottime;
    return data;
  };
  data_ = begun();
  return begun();
}

void SnapshotBuilder::Add(absl::Span<const kernel::AcctRecord> records,
                          OnChunk on_chunk) {
  for (const kernel::AcctRecord& record : records) {
    if (pass_order_.size() >= max_counters_) {
      too_many_ = true;
      return;
    }
    const std::optional<uint32_t> id = IdOf(record.name);
    if (!id.has_value()) {
      out_of_names_ = true;
      return;
    }
    // Deleted and made anew while the pass went on: its first reading stands.
    if (rows_[*id].last_pass == pass_) continue;
    Update(*id, record);
    Append(*id, record);
    if (chunk_->size() == kSnapshotChunkRows) HandOutChunk(on_chunk);
  }
}

std::optional<uint32_t> SnapshotBuilder::IdOf(absl::string_view name) {
  if (cursor_ < order_.size() && names_->KernelName(order_[cursor_]) == name) {
    return order_[cursor_++];
  }
  const std::optional<uint32_t> id = names_->Intern(name);
  if (!id.has_value()) return std::nullopt;
  if (*id == rows_.size()) {
    rows_.emplace_back();
  } else {
    const uint32_t position = rows_[*id].position;
    if (position < order_.size() && order_[position] == *id) {
      cursor_ = position + 1;
    }
  }
  return id;
}

void SnapshotBuilder::Update(uint32_t id, const kernel::AcctRecord& record) {
  Row& row = rows_[id];
  const uint64_t limit = record.quota ? record.quota->limit : 0;
  const bool in_bytes =
      record.quota && record.quota->unit == kernel::QuotaLimit::Unit::kBytes;
  // A pass after the published one belongs to this reading, or to one that
  // failed and whose sequence number this one takes.
  const bool known = row.last_pass != 0 && row.last_pass >= published_pass_;
  if (!known || row.packets != record.packets || row.bytes != record.bytes ||
      row.exceeded != record.quota_exceeded || row.quota_limit != limit ||
      row.quota_in_bytes != in_bytes) {
    row.changed_in = sequence_ + 1;
  }
  if (!known) {
    row.present_since = sequence_ + 1;
    any_added_ = true;
  }
  if (row.live) ++seen_live_;
  row.packets = record.packets;
  row.bytes = record.bytes;
  row.quota_limit = limit;
  row.quota_in_bytes = in_bytes;
  row.exceeded = record.quota_exceeded;
  row.deleted_by_us = false;
  row.last_pass = pass_;
  row.position = static_cast<uint32_t>(pass_order_.size());
}

void SnapshotBuilder::Append(uint32_t id, const kernel::AcctRecord& record) {
  pass_order_.push_back(id);
  if (chunk_ == nullptr) {
    chunk_ = std::make_shared<SnapshotChunk>();
    chunk_->packets.reserve(kSnapshotChunkRows);
    chunk_->bytes.reserve(kSnapshotChunkRows);
    chunk_->use_counts.reserve(kSnapshotChunkRows);
    chunk_->changed_in.reserve(kSnapshotChunkRows);
  }
  if (record.quota.has_value()) {
    chunk_->quotas.push_back({.row = static_cast<uint32_t>(chunk_->size()),
                              .limit = *record.quota,
                              .exceeded = record.quota_exceeded});
  }
  chunk_->packets.push_back(record.packets);
  chunk_->bytes.push_back(record.bytes);
  chunk_->use_counts.push_back(record.use_count);
  chunk_->changed_in.push_back(rows_[id].changed_in);
}

std::shared_ptr<const std::vector<uint32_t>> SnapshotBuilder::MembersOfChunk()
    const {
  const auto ids = absl::MakeConstSpan(pass_order_).last(chunk_->size());
  const size_t index = data_->rows.size();
  if (index < last_rows_.size() && last_rows_[index]->ids() == ids) {
    return last_rows_[index]->members;
  }
  return std::make_shared<const std::vector<uint32_t>>(ids.begin(), ids.end());
}

void SnapshotBuilder::HandOutChunk(OnChunk on_chunk) {
  chunk_->members = MembersOfChunk();
  data_->rows.push_back(chunk_);
  data_->row_count += chunk_->size();
  on_chunk(std::move(chunk_));
  chunk_ = nullptr;
}

absl::Status SnapshotBuilder::EndPass(OnChunk on_chunk) {
  if (too_many_ || out_of_names_) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        absl::StrCat("the kernel has more than ", max_counters_,
                     " counters, more than this server may read; delete some "
                     "or raise limits.max_counters"),
        BoundDetails("TOO_MANY_COUNTERS", max_counters_));
  }
  if (chunk_ != nullptr) HandOutChunk(on_chunk);
  return absl::OkStatus();
}

std::vector<uint32_t> SnapshotBuilder::Missing() const {
  std::vector<uint32_t> missing;
  if (seen_live_ == live_count_) return missing;
  for (uint32_t id = 0; id < rows_.size(); ++id) {
    if (rows_[id].live && rows_[id].last_pass != pass_) missing.push_back(id);
  }
  return missing;
}

void SnapshotBuilder::NoteDeleted(absl::string_view name) {
  const std::optional<uint32_t> id = names_->Find(name);
  if (id.has_value()) rows_[*id].deleted_by_us = true;
}

std::shared_ptr<const Snapshot> SnapshotBuilder::Publish(
    bool complete, absl::Span<const uint32_t> gone) {
  if (any_added_) {
    for (const uint32_t id : pass_order_) {
      if (rows_[id].live) continue;
      rows_[id].live = true;
      ++live_count_;
    }
  }
  for (const uint32_t id : gone) {
    rows_[id].live = false;
    rows_[id].deleted_by_us = false;
    --live_count_;
  }
  const uint64_t sequence = sequence_ + 1;
  if (any_added_) UpdateAdditions(sequence);
  if (any_added_ || !gone.empty()) UpdateRemovals(sequence, gone);
  any_added_ = false;
  std::swap(order_, pass_order_);
  sequence_ = sequence;
  published_pass_ = pass_;
  last_rows_ = data_->rows;

  data_->complete = complete;
  data_->additions = additions_;
  data_->removals = removals_;
  return std::move(data_);
}

void SnapshotBuilder::UpdateAdditions(uint64_t sequence) {
  auto log = std::make_shared<std::vector<Membership>>();
  for (const Membership& entry : *additions_) {
    const Row& row = rows_[entry.id];
    if (row.live && row.present_since == entry.sequence) {
      log->push_back(entry);
    }
  }
  for (const uint32_t id : pass_order_) {
    if (rows_[id].present_since == sequence) log->push_back({sequence, id});
  }
  additions_ = std::move(log);
}

void SnapshotBuilder::UpdateRemovals(uint64_t sequence,
                                     absl::Span<const uint32_t> gone) {
  auto log = std::make_shared<std::vector<Membership>>();
  for (const Membership& entry : *removals_) {
    if (!rows_[entry.id].live) log->push_back(entry);
  }
  for (const uint32_t id : gone) log->push_back({sequence, id});
  removals_ = std::move(log);
}

SnapshotReading::SnapshotReading(kernel::AcctTable& table, Clock& clock,
                                 const SnapshotHub::Options& options)
    : table_(table), clock_(clock), options_(options) {
  StartEpoch();
}

void SnapshotReading::StartEpoch() {
  // Checked before each reading, which adds at most max_counters a pass.
  const size_t room = std::max(options_.max_names, 4 * options_.max_counters) +
                      2 * options_.max_counters;
  builder_ = std::make_unique<SnapshotBuilder>(RandomEpoch(),
                                               options_.max_counters, room);
  epoch_ = builder_->epoch();
}

void SnapshotReading::StartEpochIfDue() {
  const size_t bound = std::max(options_.max_names, 4 * builder_->live_count());
  if (builder_->name_count() > bound || builder_->out_of_names()) StartEpoch();
}

absl::StatusOr<std::shared_ptr<const Snapshot>> SnapshotReading::Take(
    absl::Span<const std::shared_ptr<SnapshotReader>> readers) {
  const auto begin = std::chrono::steady_clock::now();
  auto snapshot = TakeNow(readers);
  stats_.durations.Add(std::chrono::steady_clock::now() - begin);
  ++(!snapshot.ok()          ? stats_.failed
     : (*snapshot)->complete ? stats_.complete
                             : stats_.incomplete);
  return snapshot;
}

// Makes a pass of each walk, and tells the readers.
class SnapshotReading::Pass final : public kernel::AcctReader {
 public:
  Pass(SnapshotReading& reading,
       absl::Span<const std::shared_ptr<SnapshotReader>> readers)
      : reading_(reading), readers_(readers) {}

  void OnBegin() override {
    reading_.stats_.repeated_passes += passes_++ > 0;
    const std::shared_ptr<const Snapshot> begun = reading_.builder_->BeginPass(
        reading_.clock_.WallTime(), reading_.clock_.BootTime());
    for (const auto& reader : readers_) reader->OnBegin(begun);
  }

  void OnRecords(absl::Span<const kernel::AcctRecord> records) override {
    reading_.builder_->Add(records, [this](auto chunk) { HandOut(chunk); });
  }

  // The end of the last one.
  absl::Status End() {
    return reading_.builder_->EndPass([this](auto chunk) { HandOut(chunk); });
  }

 private:
  void HandOut(const std::shared_ptr<const SnapshotChunk>& chunk) {
    for (const auto& reader : readers_) reader->OnChunk(chunk);
  }

  SnapshotReading& reading_;
  const absl::Span<const std::shared_ptr<SnapshotReader>> readers_;
  int passes_ = 0;
};

absl::StatusOr<std::shared_ptr<const Snapshot>> SnapshotReading::TakeNow(
    absl::Span<const std::shared_ptr<SnapshotReader>> readers) {
  StartEpochIfDue();
  Pass pass(*this, readers);
  Ids suspects;  // lacked by the complete dump before
  for (int dumps = 0; dumps < kMaxDumps; ++dumps) {
    NFM_ASSIGN_OR_RETURN(
        const kernel::AcctDumpOutcome dump,
        table_.DumpVerified(kernel::AcctDumpFilter::kAll, pass));
    NFM_RETURN_IF_ERROR(pass.End());
    if (!dump.complete) break;
    const std::vector<uint32_t> missing = builder_->Missing();
    if (dump.guaranteed || AllGone(missing, suspects)) {
      return builder_->Publish(true, missing);
    }
  }
  return builder_->Publish(false, {});
}

// Whether each of `missing` was deleted by us, was lacked by a complete dump
// before too, or is not found by name. Else `suspects` are those to look for
// in the next dump.
bool SnapshotReading::AllGone(absl::Span<const uint32_t> missing,
                              Ids& suspects) {
  std::vector<uint32_t> unconfirmed;
  for (const uint32_t id : missing) {
    if (!builder_->DeletedByUs(id) && !suspects.contains(id)) {
      unconfirmed.push_back(id);
    }
  }
  if (unconfirmed.empty()) return true;
  suspects = Ids(missing.begin(), missing.end());
  if (unconfirmed.size() > kMaxLookups) return false;
  bool all_gone = true;
  for (const uint32_t id : unconfirmed) {
    const auto found = table_.Get(builder_->names().KernelName(id));
    if (absl::IsNotFound(found.status())) continue;
    suspects.erase(id);
    all_gone = false;
  }
  return all_gone;
}

}  // namespace nfmeter::accounting
