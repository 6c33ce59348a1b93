// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_health.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace nfmeter::accounting {
namespace {

using State = PlanStatus::State;

// From so many repairs in a row that were undone, it is called a fight.
constexpr int kFoughtFrom = 3;
// After so many looks without a repair a fight is over.
constexpr int kPeace = 12;
// The pause has its full length after so many doublings.
constexpr int kMostDoublings = 20;

}  // namespace

void PlanHealth::Name(absl::string_view name, absl::string_view etag) {
  status_.name = std::string(name);
  status_.etag = std::string(etag);
}

std::optional<absl::Time> PlanHealth::UnwellSince() const {
  if (status_.state == State::kInSync || status_.state == State::kApplying) {
    return std::nullopt;
  }
  return well_time_;
}

void PlanHealth::NoteProgress(PlanStep step, size_t done, size_t total) {
  status_.state = State::kApplying;
  status_.step = step;
  status_.done = done;
  status_.total = total;
}

void PlanHealth::NoteNotApplied() {
  if (status_.state == State::kApplying) status_.state = State::kInSync;
}

void PlanHealth::NoteLook(const Clock& clock) {
  status_.done = 0;
  status_.total = 0;
  status_.check_time = clock.WallTime();
  status_.next_check_time = absl::InfinitePast();
}

void PlanHealth::NoteMissed(const Clock& clock) {
  status_.missed_from = std::exchange(well_time_, clock.WallTime());
  status_.missed_to = well_time_;
  if (status_.missed_from != absl::InfinitePast()) {
    // The wall clock may have been set back meanwhile.
    status_.missed +=
        std::max(status_.missed_to - status_.missed_from, absl::ZeroDuration());
  }
  status_.repair_time = well_time_;
  ++status_.repairs;
}

void PlanHealth::NoteApplied(const Clock& clock) {
  NoteLook(clock);
  well_time_ = clock.WallTime();
  status_.state = State::kInSync;
  status_.message.clear();
  fought_ = 0;
  next_look_ = absl::ZeroDuration();
}

void PlanHealth::NoteFailed(const absl::Status& why, const Clock& clock,
                            const Options& options) {
  NoteLook(clock);
  status_.state = State::kFailed;
  status_.message = std::string(why.message());
  next_look_ = clock.BootTime() + options.check_interval;
}

void PlanHealth::NoteWell(const Clock& clock, const Options& options) {
  NoteLook(clock);
  well_time_ = clock.WallTime();
  if (clock.BootTime() - repaired_ > Memory(options)) fought_ = 0;
  if (fought_ >= kFoughtFrom) return;
  status_.state = State::kInSync;
  status_.message.clear();
}

void PlanHealth::NoteDrift(size_t differences, const Clock& clock) {
  NoteLook(clock);
  status_.state = State::kDrifted;
  status_.message =
      absl::StrCat(differences,
                   differences == 1 ? " chain, rule or counter is"
                                    : " chains, rules or counters are",
                   " not as wanted, and this server changes nothing");
}

void PlanHealth::NoteRepairedByApply(const Clock& clock) { NoteMissed(clock); }

// A program that undoes repairs may do it less often than we look.
absl::Duration PlanHealth::Memory(const Options& options) const {
  return std::max(kPeace * options.check_interval, pause_);
}

void PlanHealth::NotePutInPlace(absl::Span<const std::string> displaced_by,
                                const Clock& clock, const Options& options) {
  const absl::Duration now = clock.BootTime();
  absl::erase_if(displaced_by_, [&](const auto& each) {
    return now - each.second > Memory(options);
  });
  bool again = false;
  for (const std::string& rule : displaced_by) {
    again |= !displaced_by_.insert_or_assign(rule, now).second;
  }
  if (again) return NoteRepair(clock, options);
  NoteMissed(clock);
  NoteWell(clock, options);
}

void PlanHealth::NoteRepair(const Clock& clock, const Options& options) {
  NoteLook(clock);
  NoteMissed(clock);
  fought_ = std::min(fought_ + 1, kMostDoublings);
  repaired_ = clock.BootTime();
  if (fought_ < kFoughtFrom) {
    status_.state = State::kInSync;
    status_.message.clear();
    return;
  }
  status_.state = State::kFought;
  status_.message =
      "another program undoes each repair; the next one waits longer";
  pause_ = std::min(options.longest_pause,
                    options.check_interval * (int64_t{1} << (fought_ - 2)));
  next_look_ = clock.BootTime() + pause_;
  status_.next_check_time = clock.WallTime() + pause_;
}

}  // namespace nfmeter::accounting
