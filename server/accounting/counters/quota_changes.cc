// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/quota_changes.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"

namespace nfmeter::accounting {
namespace {

using kernel::AcctObject;
using kernel::QuotaLimit;

// What ending a change that has begun may take, whatever is left of the
// caller's time.
constexpr absl::Duration kEndTime = absl::Seconds(10);

kernel::Patience ToTheEnd() {
  return kernel::Patience::ToTheEnd(SystemClock().BootTime() + kEndTime);
}

// The quota of a stand-in, which counts from 0: what is left of the counter's,
// so that rules that ask for it go on as they will. At least 1: reached by the
// next packet, as one that is reached already.
std::optional<QuotaLimit> LeftOf(const std::optional<QuotaLimit>& quota,
                                 const AcctObject& counter) {
  if (!quota.has_value()) return std::nullopt;
  const uint64_t used = quota->unit == QuotaLimit::Unit::kPackets
                            ? counter.packets
                            : counter.bytes;
  return QuotaLimit{quota->unit, quota->limit > used ? quota->limit - used : 1};
}

absl::Status HalfDone(const std::string& counter, const absl::Status& why) {
  ErrorDetails details = GetErrorDetails(why);
  details.metadata["cause"] = details.reason;
  details.reason = "CHANGE_HALF_DONE";
  return MakeError(
      absl::StatusCode::kAborted,
      absl::StrCat("rules of counter ", ShownNames({counter}),
                   " count into another object for now, as they could not be "
                   "changed back: ",
                   why.message(),
                   "; nothing is lost, and the next change of this counter, "
                   "or a restart, ends it"),
      std::move(details));
}

}  // namespace

// A counter whose object is being made anew.
class QuotaChanges::Marked {
 public:
  Marked(QuotaChanges& changes, const std::string& counter)
      : changes_(changes), counter_(counter) {
    absl::MutexLock lock(&changes_.mutex_);
    changes_.under_way_.insert(counter_);
  }
  ~Marked() {
    absl::MutexLock lock(&changes_.mutex_);
    changes_.under_way_.erase(counter_);
  }
  Marked(const Marked&) = delete;
  Marked& operator=(const Marked&) = delete;

 private:
  QuotaChanges& changes_;
  const std::string counter_;
};

bool QuotaChanges::IsUnderWay(absl::string_view counter) const {
  absl::MutexLock lock(&mutex_);
  return under_way_.contains(counter);
}

std::vector<std::string> QuotaChanges::Unfinished() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> counters(unfinished_.begin(), unfinished_.end());
  std::sort(counters.begin(), counters.end());
  return counters;
}

void QuotaChanges::Remember(const std::string& counter,
                            const absl::Status& finished) {
  absl::MutexLock lock(&mutex_);
  if (finished.ok()) {
    unfinished_.erase(counter);
  } else {
    unfinished_.insert(counter);
  }
}

absl::Status QuotaChanges::Carry(const Change& change) {
  NFM_ASSIGN_OR_RETURN(const kernel::QuotaChange in_place,
                       parts_.lane.Run(Lane::Priority::kNormal, [&] {
                         return parts_.table.SetQuota(
                             change.counter, change.quota, change.dry_run);
                       }));
  if (in_place == kernel::QuotaChange::kDone) return absl::OkStatus();
  return parts_.rules.InTurnOfChanges(
      change.patience, [&](kernel::RuleTable& rules) -> absl::Status {
        const kernel::RuleTable::CounterMove away = {
            .from = change.counter,
            .to = kernel::StandInName(change.counter),
            .dry_run = true};
        NFM_RETURN_IF_ERROR(rules.MoveRules(away, change.patience).status());
        if (change.dry_run) return absl::OkStatus();
        const Marked marked(*this, change.counter);
        return Renew(rules, change);
      });
}

absl::Status QuotaChanges::Renew(kernel::RuleTable& rules,
                                 const Change& change) {
  // Of a change before that could not be ended.
  NFM_RETURN_IF_ERROR(Finish(rules, change.counter, /*after_restart=*/false));
  const absl::Status at_once = MakeAnew(change);
  if (!absl::IsFailedPrecondition(at_once)) return at_once;
  const std::string stand_in = kernel::StandInName(change.counter);
  NFM_RETURN_IF_ERROR(
      parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
        NFM_ASSIGN_OR_RETURN(const AcctObject counter,
                             parts_.table.Get(change.counter));
        return parts_.table
            .Create({AcctObject{.name = stand_in,
                                .quota = LeftOf(change.quota, counter)}})
            .front();
      }));
  absl::Status status =
      rules.MoveRules({.from = change.counter, .to = stand_in}, change.patience)
          .status();
  if (status.ok()) {
    status = MakeAnew(change);
    // No rule of anybody's does.
    if (absl::IsFailedPrecondition(status)) {
      status = CountersInUse({change.counter}, {},
                             "its quota can't be changed until that goes");
    }
  }
  const absl::Status finished =
      Finish(rules, change.counter, /*after_restart=*/false);
  Remember(change.counter, finished);
  if (!finished.ok()) return HalfDone(change.counter, finished);
  return status;
}

// With the values that it has. In one job, so that nobody resets it between.
absl::Status QuotaChanges::MakeAnew(const Change& change) {
  return parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
    NFM_ASSIGN_OR_RETURN(AcctObject counter, parts_.table.Get(change.counter));
    counter.quota = change.quota;
    return parts_.table.Renew(counter);
  });
}

absl::Status QuotaChanges::Finish(kernel::RuleTable& rules,
                                  const std::string& counter,
                                  bool after_restart) {
  const std::string stand_in = kernel::StandInName(counter);
  const absl::Status found = parts_.table.Get(stand_in).status();
  if (absl::IsNotFound(found)) return absl::OkStatus();
  NFM_RETURN_IF_ERROR(found);
  NFM_RETURN_IF_ERROR(
      rules.MoveRules({.from = stand_in, .to = counter}, ToTheEnd()).status());
  return Merge(counter, after_restart);
}

// The stand-in is zero before it is told, so that nothing is told twice.
absl::Status QuotaChanges::Merge(const std::string& counter,
                                 bool after_restart) {
  const std::string stand_in = kernel::StandInName(counter);
  NFM_RETURN_IF_ERROR(
      parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
        absl::StatusOr<AcctObject> counted =
            std::move(parts_.table.GetAndReset({stand_in}).front());
        NFM_RETURN_IF_ERROR(counted.status());
        counted->name = counter;
        const bool nothing = counted->packets == 0 && counted->bytes == 0;
        if (!nothing || after_restart) {
          parts_.observers.OnMerged({&*counted, 1});
        }
        return absl::OkStatus();
      }));
  parts_.observers.Commit().IgnoreError();
  return parts_.lane.Run(Lane::Priority::kNormal, [&] {
    return parts_.table.Delete({stand_in}).front();
  });
}

absl::StatusOr<size_t> QuotaChanges::FinishOld(
    const kernel::Patience& patience) {
  std::vector<AcctObject> old;
  absl::flat_hash_map<std::string, std::string> counters;  // by stand-in
  NFM_RETURN_IF_ERROR(
      parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
        NFM_RETURN_IF_ERROR(
            parts_.table
                .Dump(kernel::AcctDumpFilter::kStandIns,
                      [&](absl::Span<const kernel::AcctRecord> records) {
                        for (const kernel::AcctRecord& record : records) {
                          old.push_back({.name = std::string(record.name),
                                         .use_count = record.use_count});
                        }
                      })
                .status());
        if (old.empty()) return absl::OkStatus();
        return parts_.table
            .Dump(kernel::AcctDumpFilter::kAll,
                  [&](absl::Span<const kernel::AcctRecord> records) {
                    for (const kernel::AcctRecord& record : records) {
                      counters[kernel::StandInName(record.name)] =
                          std::string(record.name);
                    }
                  })
            .status();
      }));
  if (old.empty()) return 0;
  size_t finished = 0;
  NFM_RETURN_IF_ERROR(parts_.rules.InTurnOfChanges(
      patience, [&](kernel::RuleTable& rules) -> absl::Status {
        for (const AcctObject& each : old) {
          const auto counter = counters.find(each.name);
          if (counter == counters.end()) continue;  // of none that is there
          const absl::Status status =
              Finish(rules, counter->second, /*after_restart=*/true);
          Remember(counter->second, status);
          NFM_RETURN_IF_ERROR(status);
          ++finished;
        }
        return absl::OkStatus();
      }));
  return finished;
}

}  // namespace nfmeter::accounting
