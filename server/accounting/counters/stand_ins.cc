// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/stand_ins.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "accounting/counters/in_slices.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"

namespace nfmeter::accounting {
namespace {

using kernel::AcctObject;
using kernel::QuotaLimit;

constexpr absl::Duration kEndTime = absl::Seconds(10);

// A stand-in begins with one packet of no bytes. So one that has counted
// nothing is told from one that was read and zeroed by a server that ended
// before it could tell what came out.
constexpr uint64_t kMark = 1;

// The quota of a stand-in, which counts from kMark packets: what is left of the
// counter's, so that rules that ask for it go on as they will. At least 1:
// reached by the next packet, as one that is reached already.
std::optional<QuotaLimit> LeftOf(const std::optional<QuotaLimit>& quota,
                                 const AcctObject& counter) {
  if (!quota.has_value()) return std::nullopt;
  const uint64_t used = quota->unit == QuotaLimit::Unit::kPackets
                            ? counter.packets
                            : counter.bytes;
  const uint64_t left = quota->limit > used ? quota->limit - used : 1;
  const bool packets = quota->unit == QuotaLimit::Unit::kPackets;
  return QuotaLimit{quota->unit, packets ? left + kMark : left};
}

// Something that is gone already is no error.
absl::Status FirstError(absl::Span<const absl::Status> statuses) {
  absl::Status first;
  for (const absl::Status& each : statuses) {
    if (!absl::IsNotFound(each)) first.Update(each);
  }
  return first;
}

absl::Status HalfDone(absl::Span<const std::string> counters,
                      const absl::Status& why) {
  ErrorDetails details = GetErrorDetails(why);
  details.metadata["cause"] = details.reason;
  details.reason = "CHANGE_HALF_DONE";
  return MakeError(
      absl::StatusCode::kAborted,
      absl::StrCat("rules of counter ", ShownNames(counters),
                   " count into another object for now, as they could not be "
                   "changed back: ",
                   why.message(),
                   "; nothing is lost, and the next change of this counter, "
                   "or a restart, ends it"),
      std::move(details));
}

}  // namespace

std::vector<std::string> NamesOf(absl::Span<const NewQuota> quotas) {
  std::vector<std::string> names;
  for (const NewQuota& each : quotas) names.push_back(each.counter);
  return names;
}

kernel::Patience PatienceToEnd() {
  return kernel::Patience::ToTheEnd(SystemClock().BootTime() + kEndTime);
}

StandIns::Guard::Guard(StandIns& stand_ins, std::vector<std::string> counters)
    : stand_ins_(stand_ins), counters_(std::move(counters)) {
  absl::MutexLock lock(&stand_ins_.mutex_);
  stand_ins_.guarded_.insert(counters_.begin(), counters_.end());
}

StandIns::Guard::~Guard() {
  absl::MutexLock lock(&stand_ins_.mutex_);
  for (const std::string& each : counters_) stand_ins_.guarded_.erase(each);
}

bool StandIns::IsGuarded(absl::string_view counter) const {
  absl::MutexLock lock(&mutex_);
  return guarded_.contains(counter);
}

std::vector<std::string> StandIns::Unfinished() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> counters(unfinished_.begin(), unfinished_.end());
  std::sort(counters.begin(), counters.end());
  return counters;
}

absl::Status StandIns::Remember(absl::Span<const std::string> counters,
                                const absl::Status& finished) {
  absl::MutexLock lock(&mutex_);
  for (const std::string& counter : counters) {
    if (finished.ok()) {
      unfinished_.erase(counter);
    } else {
      unfinished_.insert(counter);
    }
  }
  return finished.ok() ? absl::OkStatus() : HalfDone(counters, finished);
}

absl::Status StandIns::Make(absl::Span<const NewQuota> quotas) {
  return EachSlice<NewQuota>(quotas, [&](absl::Span<const NewQuota> some) {
    return parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
      std::vector<AcctObject> made;
      const auto counters = parts_.table.GetEach(NamesOf(some));
      for (size_t i = 0; i < some.size(); ++i) {
        NFM_RETURN_IF_ERROR(counters[i].status());
        made.push_back({.name = kernel::StandInName(some[i].counter),
                        .packets = kMark,
                        .quota = LeftOf(some[i].quota, *counters[i])});
      }
      return FirstError(parts_.table.Create(made));
    });
  });
}

// In one job, so that nobody resets it between.
absl::Status StandIns::MakeAnew(const NewQuota& quota) {
  const absl::Status made =
      parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
        NFM_ASSIGN_OR_RETURN(AcctObject counter,
                             parts_.table.Get(quota.counter));
        counter.quota = quota.quota;
        return parts_.table.Renew(counter);
      });
  if (!absl::IsFailedPrecondition(made)) return made;
  return CountersInUse({quota.counter}, {},
                       "its quota can't be changed until that goes");
}

// Stand-ins are reset before the observers are told of them, so that nothing is
// told twice.
absl::Status StandIns::Merge(absl::Span<const std::string> counters,
                             bool after_restart) {
  return EachSlice<std::string>(
      counters, [&](absl::Span<const std::string> some) {
        std::vector<std::string> names;
        for (const std::string& each : some) {
          names.push_back(kernel::StandInName(each));
        }
        absl::Status read =
            parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
              absl::Status failed;
              std::vector<AcctObject> counted;
              auto last = parts_.table.GetAndReset(names);
              for (size_t i = 0; i < last.size(); ++i) {
                if (absl::IsNotFound(last[i].status())) continue;
                failed.Update(last[i].status());
                if (!last[i].ok()) continue;
                const bool told = last[i]->packets < kMark;
                if (!told) last[i]->packets -= kMark;
                const bool nothing =
                    last[i]->packets == 0 && last[i]->bytes == 0;
                // The server before this one may have reset it, and ended
                // before all observers had been told.
                const bool unknown = told && after_restart;
                if (nothing && !unknown) continue;
                last[i]->name = some[i];
                counted.push_back(*std::move(last[i]));
              }
              parts_.observers.OnMerged(counted);
              return failed;
            });
        NFM_RETURN_IF_ERROR(read);
        parts_.observers.Commit().IgnoreError();
        return parts_.lane.Run(Lane::Priority::kNormal, [&] {
          return FirstError(parts_.table.Delete(names));
        });
      });
}

absl::StatusOr<std::vector<StandIns::Left>> StandIns::All() const {
  absl::flat_hash_map<std::string, uint32_t> stand_ins;
  std::vector<Left> left;
  NFM_RETURN_IF_ERROR(
      parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
        NFM_RETURN_IF_ERROR(
            parts_.table
                .Dump(kernel::AcctDumpFilter::kStandIns,
                      [&](absl::Span<const kernel::AcctRecord> records) {
                        for (const kernel::AcctRecord& record : records) {
                          stand_ins[std::string(record.name)] =
                              record.use_count;
                        }
                      })
                .status());
        if (stand_ins.empty()) return absl::OkStatus();
        return parts_.table
            .Dump(kernel::AcctDumpFilter::kAll,
                  [&](absl::Span<const kernel::AcctRecord> records) {
                    for (const kernel::AcctRecord& record : records) {
                      const auto found =
                          stand_ins.find(kernel::StandInName(record.name));
                      if (found == stand_ins.end()) continue;
                      left.push_back({std::string(record.name), found->second});
                    }
                  })
            .status();
      }));
  return left;
}

}  // namespace nfmeter::accounting
