// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_health.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace nfmeter::accounting {
namespace {

using State = PlanStatus::State;

// Repairs in a row that were undone, from which on it is called a fight.
constexpr int kFoughtFrom = 3;
// Looks without a repair after which a fight is over.
constexpr int kPeace = 12;
// The pause is as long as it gets by then.
constexpr int kMostDoublings = 20;

}  // namespace

void PlanHealth::Name(absl::string_view name, absl::string_view etag) {
  status_.name = std::string(name);
  status_.etag = std::string(etag);
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

absl::Time PlanHealth::NoteLook(const Clock& clock) {
  status_.done = 0;
  status_.total = 0;
  return std::exchange(status_.check_time, clock.WallTime());
}

void PlanHealth::NoteApplied(const Clock& clock) {
  NoteLook(clock);
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
  // Who undoes repairs need not do it between any two looks.
  if (clock.BootTime() - repaired_ >
      std::max(kPeace * options.check_interval, pause_)) {
    fought_ = 0;
  }
  if (fought_ >= kFoughtFrom) return;
  status_.state = State::kInSync;
  status_.message.clear();
}

void PlanHealth::NoteDrift(size_t chains, const Clock& clock) {
  NoteLook(clock);
  status_.state = State::kDrifted;
  status_.message =
      absl::StrCat(chains, chains == 1 ? " chain is" : " chains are",
                   " not as the plan wants, and this server changes nothing");
}

void PlanHealth::NoteRepair(const Clock& clock, const Options& options) {
  status_.missed_from = NoteLook(clock);
  status_.missed_to = status_.check_time;
  status_.repair_time = status_.check_time;
  ++status_.repairs;
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
  next_look_ = clock.BootTime() +
               std::min(options.longest_pause,
                        options.check_interval * (int64_t{1} << (fought_ - 2)));
}

}  // namespace nfmeter::accounting
