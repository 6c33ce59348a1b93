// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/book.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace nfmeter::accounting {
namespace {

// A time without readings up to this long is no gap.
constexpr absl::Duration kShortBlindness = absl::Minutes(1);

}  // namespace

Book::Book(Past past) : next_id_(past.next_id) {
  last_reading_ = past.last_reading;
  for (auto& [account, total] : past.accounts) {
    const auto slot = static_cast<uint32_t>(accounts_.size());
    Tally& tally = tallies_.emplace_back();
    tally.offset = account.base - account.kernel_base;
    tally.last = total - tally.offset;
    tally.taken = total;
    tally.live = account.state == Account::State::kLive;
    live_count_ += tally.live;
    by_name_[account.name] = slot;
    next_id_ = std::max(next_id_, account.id + 1);
    accounts_.push_back(std::move(account));
  }
  for (const Past::Intent& intent : past.intents) {
    intents_[intent.account] = intent;
  }
  rebased_.resize(accounts_.size());
  told_.resize(accounts_.size());
  const bool gone = !past.same_boot || !past.same_namespace;
  down_ = !past.same_boot        ? GapCause::kReboot
          : !past.same_namespace ? GapCause::kNamespaceChanged
                                 : GapCause::kServerDown;
  for (uint32_t slot = 0; slot < accounts_.size(); ++slot) {
    // What was read just before a change had been counted in any case.
    const auto intent = intents_.find(accounts_[slot].id);
    if (intent != intents_.end() &&
        !intent->second.value.WentBackFrom(tallies_[slot].last)) {
      tallies_[slot].last = intent->second.value;
      MarkMoved(slot);
    }
    if (!gone || !tallies_[slot].live) continue;
    tallies_[slot].live = false;
    --live_count_;
    accounts_[slot].state = Account::State::kAbsent;
    accounts_[slot].absence = *down_;
    accounts_[slot].end_time = last_reading_;
    MarkChanged(slot);
  }
  if (gone) intents_.clear();
}

// --- What happens ------------------------------------------------------------

void Book::NoteCreated(absl::Span<const kernel::AcctObject> objects,
                       Moment now) {
  for (const kernel::AcctObject& object : objects) {
    const Amount start = {object.packets, object.bytes};
    uint32_t slot = SlotOf(object.name);
    if (slot == kNone) {
      slot = Open(object.name, now);
      BeginSegment(slot, start, now);
      continue;
    }
    // Somebody else had deleted it, and no reading has shown that yet.
    if (tallies_[slot].live) Lose(slot, now.wall);
    Return(slot, start, now);
  }
}

void Book::NoteReset(absl::Span<const kernel::AcctObject> objects, Moment now) {
  for (const kernel::AcctObject& object : objects) {
    uint32_t slot = SlotOf(object.name);
    if (slot == kNone) slot = Open(object.name, now);
    Observe(slot, {object.packets, object.bytes}, now);
    Tally& tally = tallies_[slot];
    tally.offset = tally.total();
    tally.last = Amount();
    told_[slot] = Told();
    rebased_[slot] = now.boottime;
    accounts_[slot].base = tally.offset;
    accounts_[slot].kernel_base = Amount();
    accounts_[slot].reset_time = now.wall;
    MarkChanged(slot);
    closed_.settled.push_back(accounts_[slot].id);
  }
}

void Book::NoteDeleted(absl::Span<const kernel::AcctObject> objects,
                       Moment now) {
  for (const kernel::AcctObject& object : objects) {
    uint32_t slot = SlotOf(object.name);
    if (slot == kNone) slot = Open(object.name, now);
    Observe(slot, {object.packets, object.bytes}, now);
    Close(slot, now.wall);
  }
}

void Book::NoteMerged(absl::Span<const kernel::AcctObject> objects,
                      Moment now) {
  for (const kernel::AcctObject& object : objects) {
    const Amount more = {object.packets, object.bytes};
    uint32_t slot = SlotOf(object.name);
    if (slot == kNone) slot = Open(object.name, now);
    if (more.zero()) {
      AddGap({accounts_[slot].id, GapCause::kInterruptedReset, last_reading_,
              now.wall});
      continue;
    }
    tallies_[slot].offset += more;
    accounts_[slot].base += more;
    ++accounts_[slot].generation;
    MarkMoved(slot);
    MarkChanged(slot);
  }
}

void Book::NoteLabels(absl::string_view name) {
  if (const uint32_t slot = SlotOf(name); slot != kNone) MarkChanged(slot);
}

void Book::NoteSnapshot(const Snapshot& snapshot) {
  const Moment moment = {snapshot.wall_time, snapshot.boottime};
  const absl::Time now = moment.wall;
  if (snapshot_epoch_ != snapshot.epoch) {
    snapshot_epoch_ = snapshot.epoch;
    slots_by_id_.clear();
  }
  ++pass_;
  size_t seen = 0;
  for (const auto& chunk : snapshot.chunks()) {
    for (size_t row = 0; row < chunk->size(); ++row) {
      const uint32_t slot = SlotOf(snapshot, chunk->ids()[row]);
      Observe(slot, {chunk->packets[row], chunk->bytes[row]}, moment,
              snapshot.boottime);
      tallies_[slot].pass = pass_;
      ++seen;
    }
  }
  if (seen < live_count_) LookForMissing(now);
  // Across a restart only the wall clock tells how long it was.
  absl::Duration since = absl::ZeroDuration();
  if (last_reading_boottime_ != absl::InfiniteDuration()) {
    since = snapshot.boottime - last_reading_boottime_;
  } else if (last_reading_ != absl::InfinitePast()) {
    since = std::max(now - last_reading_, absl::ZeroDuration());
  }
  if (down_.has_value()) {
    EndFirstReading(now);
  } else if (last_reading_ != absl::InfinitePast() && since > kShortBlindness) {
    AddGap({0, GapCause::kIncompleteReading, last_reading_, now});
  }
  closed_.since_reading += since;
  closed_.reading = moment;
  last_reading_ = now;
  last_reading_boottime_ = snapshot.boottime;
}

void Book::NoteGap(absl::string_view name, GapCause cause, absl::Time from,
                   absl::Time to) {
  const uint32_t slot = SlotOf(name);
  if (slot == kNone) return;
  AddGap({accounts_[slot].id, cause, from, to});
}

void Book::NoteGap(Gap gap) { AddGap(std::move(gap)); }

void Book::CloseAbsent(absl::Time time) {
  std::vector<uint32_t> over;
  for (const auto& [name, slot] : by_name_) {
    if (!tallies_[slot].live && accounts_[slot].end_time < time) {
      over.push_back(slot);
    }
  }
  for (const uint32_t slot : over) Close(slot, accounts_[slot].end_time);
}

// --- Accounts and segments ---------------------------------------------------

uint32_t Book::SlotOf(absl::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? kNone : found->second;
}

uint32_t Book::SlotOf(const Snapshot& snapshot, uint32_t id) {
  if (id < slots_by_id_.size()) {
    const uint32_t slot = slots_by_id_[id];
    if (slot != kNone && tallies_[slot].snapshot_id == id) return slot;
  } else {
    slots_by_id_.resize(std::max<size_t>(id + 1, 2 * slots_by_id_.size()),
                        kNone);
  }
  const absl::string_view name = snapshot.names().KernelName(id);
  uint32_t slot = SlotOf(name);
  // Somebody else made it, and all that it has counted is new to us.
  if (slot == kNone) slot = Open(name, {snapshot.wall_time, snapshot.boottime});
  slots_by_id_[id] = slot;
  tallies_[slot].snapshot_id = id;
  return slot;
}

uint32_t Book::Open(absl::string_view name, Moment now) {
  uint32_t slot;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(accounts_.size());
    accounts_.emplace_back();
    tallies_.emplace_back();
    rebased_.emplace_back();
    told_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
    accounts_[slot] = Account();
    tallies_[slot] = Tally();
    told_[slot] = Told();
  }
  Account& account = accounts_[slot];
  account.id = next_id_++;
  account.name = std::string(name);
  account.create_time = now.wall;
  account.start_time = now.wall;
  rebased_[slot] = now.boottime;
  tallies_[slot].live = true;
  ++live_count_;
  by_name_[account.name] = slot;
  MarkChanged(slot);
  return slot;
}

void Book::Close(uint32_t slot, absl::Time now) {
  Tally& tally = tallies_[slot];
  Account& account = accounts_[slot];
  account.state = Account::State::kClosed;
  account.end_time = now;
  if (tally.total() != tally.taken) {
    closed_.totals.push_back(
        {account.id, tally.total(), tally.total() - tally.taken});
  }
  closed_.accounts.push_back(account);
  closed_.settled.push_back(account.id);
  live_count_ -= tally.live;
  by_name_.erase(account.name);
  intents_.erase(account.id);
  tally = Tally();
  free_slots_.push_back(slot);
}

void Book::BeginSegment(uint32_t slot, Amount kernel_base, Moment now) {
  Tally& tally = tallies_[slot];
  Account& account = accounts_[slot];
  account.base = tally.total();
  account.kernel_base = kernel_base;
  account.start_time = now.wall;
  rebased_[slot] = now.boottime;
  told_[slot] = Told();
  tally.offset = account.base - kernel_base;
  tally.last = kernel_base;
  MarkChanged(slot);
}

void Book::Return(uint32_t slot, Amount kernel_base, Moment now) {
  Account& account = accounts_[slot];
  // At the first reading after a start, one gap for all counters covers it.
  if (!down_.has_value() || account.absence != *down_) {
    AddGap({account.id, account.absence, account.end_time, now.wall});
  }
  account.state = Account::State::kLive;
  account.end_time = absl::InfiniteFuture();
  ++account.generation;
  tallies_[slot].live = true;
  ++live_count_;
  BeginSegment(slot, kernel_base, now);
}

void Book::Lose(uint32_t slot, absl::Time now) {
  TakeTold(slot);
  Account& account = accounts_[slot];
  AddGap({account.id, GapCause::kForeignDelete, last_reading_, now});
  account.state = Account::State::kAbsent;
  account.absence = GapCause::kForeignDelete;
  account.end_time = now;
  tallies_[slot].live = false;
  --live_count_;
  MarkChanged(slot);
}

void Book::Observe(uint32_t slot, Amount value, Moment now,
                   absl::Duration read_after) {
  Tally& tally = tallies_[slot];
  // Only a reading that began after the value was told is surely newer.
  if (told_[slot].by < read_after && value.WentBackFrom(told_[slot].value)) {
    TakeTold(slot);
  }
  if (tally.live && value == tally.last && intents_.empty()) return;
  if (!tally.live) {
    Return(slot, Amount(), now);
  } else if (!intents_.empty() && intents_.contains(accounts_[slot].id)) {
    Settle(slot, value, now);
  } else if (value.WentBackFrom(tally.last)) {
    ++foreign_resets_;
    AddGap(
        {accounts_[slot].id, GapCause::kForeignReset, last_reading_, now.wall});
    BeginSegment(slot, Amount(), now);
  }
  if (value == tally.last) return;
  tally.last = value;
  MarkMoved(slot);
}

// The first reading of a counter that was about to be reset or deleted when the
// server ended: finds out whether that has happened.
void Book::Settle(uint32_t slot, Amount value, Moment now) {
  const auto found = intents_.find(accounts_[slot].id);
  const Past::Intent intent = found->second;
  intents_.erase(found);
  if (value == intent.value) return;
  const bool went_back = value.WentBackFrom(tallies_[slot].last);
  // The deletion did not happen, so nothing is missing.
  if (intent.deletes && !went_back) return;
  Gap gap = {intent.account, GapCause::kInterruptedReset, intent.time,
             now.wall};
  if (went_back) {
    AddGap(gap);
    BeginSegment(slot, Amount(), now);
    accounts_[slot].reset_time = intent.time;
  } else if (!intent.value.zero()) {
    // Either it went on counting, or it was reset and has counted more since.
    gap.at_most = intent.value;
    AddGap(gap);
  }
}

void Book::LookForMissing(absl::Time now) {
  for (uint32_t slot = 0; slot < tallies_.size(); ++slot) {
    if (!tallies_[slot].live || tallies_[slot].pass == pass_) continue;
    const auto intent = intents_.find(accounts_[slot].id);
    if (intent != intents_.end() && intent->second.deletes) {
      Close(slot, now);  // we deleted it just before the server ended
    } else {
      Lose(slot, now);
    }
  }
}

void Book::EndFirstReading(absl::Time now) {
  if (last_reading_ != absl::InfinitePast() &&
      (*down_ != GapCause::kServerDown ||
       now - last_reading_ > kShortBlindness)) {
    AddGap({0, *down_, last_reading_, now});
  }
  down_.reset();
  intents_.clear();
}

void Book::AddGap(Gap gap) { closed_.AddGap(std::move(gap)); }

void Book::MarkMoved(uint32_t slot) {
  if (std::exchange(tallies_[slot].moved, true)) return;
  moved_.push_back(slot);
}

void Book::MarkChanged(uint32_t slot) {
  if (std::exchange(tallies_[slot].changed, true)) return;
  changed_.push_back(slot);
}

// --- What is known -----------------------------------------------------------

std::optional<Book::Position> Book::Find(absl::string_view name) const {
  const uint32_t slot = SlotOf(name);
  if (slot == kNone) return std::nullopt;
  return Position{accounts_[slot], Newest(slot) + tallies_[slot].offset};
}

std::optional<Book::Known> Book::Describe(absl::string_view name, Amount value,
                                          absl::Duration since,
                                          absl::Duration now) {
  const uint32_t slot = SlotOf(name);
  if (slot == kNone) return std::nullopt;
  const Account& account = accounts_[slot];
  return Known{TotalAt(slot, value, since, now), account.create_time,
               account.start_time, account.reset_time};
}

// The total when the kernel had `value`, which was read after `since`.
Amount Book::TotalAt(uint32_t slot, Amount value, absl::Duration since,
                     absl::Duration now) {
  const Tally& tally = tallies_[slot];
  const Amount newest = Newest(slot);
  const bool sure = tally.live && rebased_[slot] < since &&
                    !down_.has_value() && !value.WentBackFrom(newest);
  if (!sure) return newest + tally.offset;
  if (value != newest) told_[slot] = {value, now};
  return value + tally.offset;
}

Amount Book::Newest(uint32_t slot) const {
  const Told& told = told_[slot];
  const Amount& last = tallies_[slot].last;
  return told.by == kNever || told.value.WentBackFrom(last) ? last : told.value;
}

void Book::TakeTold(uint32_t slot) {
  const Amount newest = Newest(slot);
  told_[slot] = Told();
  if (newest == tallies_[slot].last) return;
  tallies_[slot].last = newest;
  MarkMoved(slot);
}

std::vector<Amount> Book::DescribeTotals(const Snapshot& snapshot,
                                         const SnapshotChunk& chunk,
                                         absl::Duration now) {
  std::vector<Amount> totals;
  totals.reserve(chunk.size());
  for (size_t row = 0; row < chunk.size(); ++row) {
    const Amount value = {chunk.packets[row], chunk.bytes[row]};
    const uint32_t slot = FindSlot(snapshot, chunk.ids()[row]);
    totals.push_back(
        slot == kNone ? value : TotalAt(slot, value, snapshot.boottime, now));
  }
  return totals;
}

// Of a snapshot of any epoch.
uint32_t Book::FindSlot(const Snapshot& snapshot, uint32_t id) const {
  if (snapshot.epoch == snapshot_epoch_ && id < slots_by_id_.size()) {
    const uint32_t slot = slots_by_id_[id];
    if (slot != kNone && tallies_[slot].snapshot_id == id) return slot;
  }
  return SlotOf(snapshot.names().KernelName(id));
}

std::vector<Amount> Book::TotalsOf(const Snapshot& snapshot) const {
  std::vector<Amount> totals;
  totals.reserve(snapshot.size());
  for (const auto& chunk : snapshot.chunks()) {
    for (const uint32_t id : chunk->ids()) {
      const uint32_t slot = FindSlot(snapshot, id);
      totals.push_back(slot == kNone ? Amount() : tallies_[slot].total());
    }
  }
  return totals;
}

std::vector<Book::Past::Entry> Book::All() const {
  std::vector<Past::Entry> all;
  all.reserve(by_name_.size());
  for (const auto& [name, slot] : by_name_) {
    all.push_back({accounts_[slot], tallies_[slot].total()});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.account.id < b.account.id;
  });
  return all;
}

Checkpoint Book::Totals() const {
  Checkpoint checkpoint;
  checkpoint.rows.reserve(by_name_.size());
  for (const auto& [name, slot] : by_name_) {
    checkpoint.rows.push_back({accounts_[slot].id, tallies_[slot].taken});
  }
  std::sort(checkpoint.rows.begin(), checkpoint.rows.end(),
            [](const auto& a, const auto& b) { return a.account < b.account; });
  return checkpoint;
}

void Book::TakeAllAgain(BookChanges& changes) {
  absl::flat_hash_set<uint64_t> open;
  for (const auto& [name, slot] : by_name_) {
    open.insert(accounts_[slot].id);
    tallies_[slot].taken = Amount();
    MarkMoved(slot);
    MarkChanged(slot);
  }
  for (BookChanges* each : {&changes, &closed_}) {
    std::erase_if(each->totals, [&](const BookChanges::Total& total) {
      return open.contains(total.account);
    });
    for (BookChanges::Total& total : each->totals) total.delta = total.total;
  }
}

void Book::Take(BookChanges& changes) {
  for (const uint32_t slot : moved_) {
    Tally& tally = tallies_[slot];
    if (!std::exchange(tally.moved, false)) continue;  // its account has left
    const Amount total = tally.total();
    closed_.totals.push_back({accounts_[slot].id, total, total - tally.taken});
    tally.taken = total;
  }
  moved_.clear();
  for (const uint32_t slot : changed_) {
    if (!std::exchange(tallies_[slot].changed, false)) continue;
    closed_.accounts.push_back(accounts_[slot]);
  }
  changed_.clear();
  changes.Append(std::exchange(closed_, BookChanges()));
}

}  // namespace nfmeter::accounting
