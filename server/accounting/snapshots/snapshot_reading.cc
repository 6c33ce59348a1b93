// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/snapshots/snapshot_reading.h"

#include <algorithm>
#include <chrono>
#include <random>

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
