// SPDX-License-Identifier: GPL-3.0-or-later
// How a plan and the kernel compare, over time.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_HEALTH_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_HEALTH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/plans/plan_applier.h"
#include "base/clock.h"

namespace nfmeter::accounting {

struct PlanStatus {
  enum class State { kInSync, kDrifted, kFought, kFailed, kApplying };

  std::string name;
  std::string etag;
  State state = State::kInSync;
  std::string message;  // what is wrong; empty: nothing
  uint64_t repairs = 0;
  absl::Time check_time = absl::InfinitePast();
  absl::Time repair_time = absl::InfinitePast();
  // In which accounts may have missed packets before that repair.
  absl::Time missed_from = absl::InfinitePast();
  absl::Time missed_to = absl::InfinitePast();
  absl::Duration missed;  // all such windows since the start of the server
  // While it is fought: when it is looked at next.
  absl::Time next_check_time = absl::InfinitePast();

  // While it is applied: how far it is.
  PlanStep step = PlanStep::kCompare;
  size_t done = 0;
  size_t total = 0;

  friend bool operator==(const PlanStatus&, const PlanStatus&) = default;
};

// Makes a status of what looks find, and says when the next repair may be: each
// that others undo makes the next one wait twice as long. Not thread-safe.
class PlanHealth {
 public:
  struct Options {
    // Between looks.
    absl::Duration check_interval = absl::Seconds(5);
    // The longest wait for a repair.
    absl::Duration longest_pause = absl::Minutes(5);
  };

  const PlanStatus& status() const { return status_; }
  bool MayLook(absl::Duration boottime) const { return boottime >= next_look_; }

  void Name(absl::string_view name, absl::string_view etag);
  // The kernel was as it should be then, for all that is known.
  void WasWell(absl::Time time) { well_time_ = time; }
  // When it was last known to be well, if at the last look it was not, or had
  // just been repaired once more.
  std::optional<absl::Time> UnwellSince() const;
  // What is to be repaired was not to be there before then.
  void WasMade(absl::Time time) { well_time_ = std::max(well_time_, time); }
  void NoteProgress(PlanStep step, size_t done, size_t total);
  // That came to nothing: it is as it was before, which the next look proves.
  void NoteNotApplied();
  // It was applied as it is now.
  void NoteApplied(const Clock& clock);
  // It can't be compared or repaired.
  void NoteFailed(const absl::Status& why, const Clock& clock,
                  const Options& options);
  void NoteWell(const Clock& clock, const Options& options);
  // So many chains or rules differ, and nothing is to be changed.
  void NoteDrift(size_t differences, const Clock& clock);
  void NoteRepair(const Clock& clock, const Options& options);
  // The same of jumps that these rules of others had come before, or rules of
  // ours. Nobody undoes a repair by a rule that was not there at an earlier
  // one.
  void NotePutInPlace(absl::Span<const std::string> displaced_by,
                      const Clock& clock, const Options& options);
  // Others had changed something when it was applied, which made it good.
  void NoteRepairedByApply(const Clock& clock);

 private:
  void NoteLook(const Clock& clock);
  // How long after a repair another one may answer to somebody who undoes it.
  absl::Duration Memory(const Options& options) const;
  // It is well now, and may not have been since it last was.
  void NoteMissed(const Clock& clock);

  PlanStatus status_;
  absl::Time well_time_ = absl::InfinitePast();  // last known
  int fought_ = 0;  // repairs in a row that were undone
  absl::Duration repaired_ = absl::ZeroDuration();  // boottime, the last time
  absl::Duration pause_ = absl::ZeroDuration();     // behind that
  absl::Duration next_look_ = absl::ZeroDuration();
  // Rules of others, and when jumps were last put before them.
  absl::flat_hash_map<std::string, absl::Duration> displaced_by_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_HEALTH_H_
