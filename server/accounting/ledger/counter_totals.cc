#include "accounting/ledger/counter_totals.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// Readings for one answer before it is done with the last totals.
constexpr int kAttempts = 3;

}  // namespace

CounterTotals::CounterTotals(SnapshotHub& hub, size_t max_notes)
    : hub_(hub), max_notes_(max_notes) {}

// --- Notes, on the counter lane ----------------------------------------------

void CounterTotals::OnReset(absl::Span<const kernel::AcctObject> counters) {
  std::vector<Note> notes;
  notes.reserve(counters.size());
  for (const kernel::AcctObject& counter : counters) {
    const Amount read = {counter.packets, counter.bytes};
    notes.push_back({.name = counter.name,
                     .change = {.reset = true, .first = read, .sum = read}});
  }
  Add(std::move(notes));
}

void CounterTotals::OnDeleted(absl::Span<const kernel::AcctObject> counters) {
  std::vector<Note> notes;
  notes.reserve(counters.size());
  for (const kernel::AcctObject& counter : counters) {
    notes.push_back({.name = counter.name, .change = {.deleted = true}});
  }
  Add(std::move(notes));
}

void CounterTotals::Add(std::vector<Note> notes) {
  // On the lane no reading comes between this and what is noted.
  const std::shared_ptr<const Snapshot> before = hub_.Latest();
  if (before != nullptr) {
    for (Note& note : notes) {
      note.epoch = before->epoch;
      note.sequence = before->sequence;
    }
  }
  absl::MutexLock lock(&mutex_);
  notes_.insert(notes_.end(), std::make_move_iterator(notes.begin()),
                std::make_move_iterator(notes.end()));
  if (notes_.size() > max_notes_) AddUp();
}

void CounterTotals::AddUp() {
  added_up_epoch_ = notes_.back().epoch;
  added_up_sequence_ = notes_.back().sequence;
  for (Note& note : notes_) {
    if (note.change.deleted) {
      // Of what nobody was told there is nothing to forget.
      if (last_ == nullptr ||
          !last_->snapshot->names().Find(note.name).has_value()) {
        added_up_.erase(note.name);
      } else {
        added_up_[note.name] = note.change;
      }
      continue;
    }
    Change& change = added_up_[note.name];
    if (!change.reset) change.first = note.change.first;
    change.reset = true;
    change.sum += note.change.sum;
  }
  notes_.clear();
}

// --- Totals ------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<const CounterTotals::Totals>>
CounterTotals::Take(absl::Duration max_staleness) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    NFM_ASSIGN_OR_RETURN(
        std::shared_ptr<const Snapshot> snapshot,
        hub_.Take(attempt == 0 ? max_staleness : absl::ZeroDuration()));
    if (!snapshot->complete) continue;
    if (auto totals = At(std::move(snapshot))) return totals;
  }
  absl::MutexLock lock(&mutex_);
  if (last_ != nullptr) return last_;
  return MakeError(absl::StatusCode::kUnavailable, "SNAPSHOT_INCOMPLETE",
                   "another program deletes counters so fast that they could "
                   "not be read to the end");
}

std::shared_ptr<const CounterTotals::Totals> CounterTotals::At(
    std::shared_ptr<const Snapshot> snapshot) {
  absl::MutexLock lock(&mutex_);
  // Epochs have no order, but there is no note yet of one to come.
  if (snapshot->epoch != hub_.epoch()) return nullptr;
  if (last_ != nullptr && last_->snapshot->epoch == snapshot->epoch &&
      last_->snapshot->sequence >= snapshot->sequence) {
    return last_;
  }
  if (added_up_epoch_ == snapshot->epoch &&
      added_up_sequence_ >= snapshot->sequence) {
    return nullptr;
  }
  EnterEpoch(*snapshot);
  ApplyNotes(*snapshot);
  ForgetRemoved(*snapshot);
  last_ = Read(std::move(snapshot));
  return last_;
}

// Takes tallies over to the snapshot's ids.
void CounterTotals::EnterEpoch(const Snapshot& snapshot) {
  if (last_ == nullptr || last_->snapshot->epoch == snapshot.epoch) return;
  const Snapshot& before = *last_->snapshot;
  const std::vector<Tally> old = std::exchange(tallies_, {});
  for (const auto& chunk : snapshot.chunks()) {
    for (const uint32_t id : chunk->ids()) {
      const auto old_id = before.names().Find(snapshot.names().KernelName(id));
      if (old_id.has_value() && *old_id < old.size()) {
        TallyOf(id) = old[*old_id];
      }
    }
  }
}

// Of what is gone nothing is kept, notes included: whoever has its id next
// begins with nothing.
void CounterTotals::ForgetRemoved(const Snapshot& snapshot) {
  if (last_ == nullptr || last_->snapshot->epoch != snapshot.epoch) return;
  for (const uint32_t id : snapshot.RemovedSince(last_->snapshot->sequence)) {
    TallyOf(id) = Tally();
  }
}

void CounterTotals::ApplyNotes(const Snapshot& snapshot) {
  for (const auto& [name, change] : added_up_) Apply(snapshot, name, change);
  added_up_.clear();
  auto note = notes_.begin();
  while (note != notes_.end() && (note->epoch != snapshot.epoch ||
                                  note->sequence < snapshot.sequence)) {
    Apply(snapshot, note->name, note->change);
    ++note;
  }
  notes_.erase(notes_.begin(), note);
}

void CounterTotals::Apply(const Snapshot& snapshot, const std::string& name,
                          const Change& change) {
  const std::optional<uint32_t> id = snapshot.names().Find(name);
  // Never seen by a complete reading: it came and went.
  if (!id.has_value()) return;
  Tally& tally = TallyOf(*id);
  if (change.deleted) tally = Tally();
  if (!change.reset) return;
  Observe(tally, change.first);
  tally.base += change.sum;
  tally.last = Amount();
}

std::shared_ptr<const CounterTotals::Totals> CounterTotals::Read(
    std::shared_ptr<const Snapshot> snapshot) {
  auto totals = std::make_shared<Totals>();
  totals->packets.reserve(snapshot->size());
  totals->bytes.reserve(snapshot->size());
  for (const auto& chunk : snapshot->chunks()) {
    for (size_t row = 0; row < chunk->size(); ++row) {
      Tally& tally = TallyOf(chunk->ids()[row]);
      Observe(tally, {chunk->packets[row], chunk->bytes[row]});
      totals->packets.push_back(tally.base.packets + tally.last.packets);
      totals->bytes.push_back(tally.base.bytes + tally.last.bytes);
    }
  }
  totals->snapshot = std::move(snapshot);
  return totals;
}

void CounterTotals::Observe(Tally& tally, const Amount& value) {
  if (value.WentBackFrom(tally.last)) {
    tally.base += tally.last;
    ++foreign_resets_;
  }
  tally.last = value;
}

CounterTotals::Tally& CounterTotals::TallyOf(uint32_t id) {
  if (id >= tallies_.size()) {
    tallies_.resize(std::max<size_t>(id + 1, 2 * tallies_.size()));
  }
  return tallies_[id];
}

}  // namespace nfmeter::accounting
