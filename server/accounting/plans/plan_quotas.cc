// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_quotas.h"

#include <optional>
#include <utility>

#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// How old the values may be that are held against thresholds.
constexpr absl::Duration kStaleness = absl::Seconds(1);
// A clock that is set back by less meets no beginning of a period again.
constexpr absl::Duration kMostSetBack = absl::Hours(1);

// How much of its limit the object has used, in percent.
uint64_t PercentOf(const kernel::AcctObject& object) {
  const kernel::QuotaLimit& limit = *object.quota;
  const uint64_t used = limit.unit == kernel::QuotaLimit::Unit::kPackets
                            ? object.packets
                            : object.bytes;
  return static_cast<uint64_t>(static_cast<unsigned __int128>(used) * 100 /
                               limit.limit);
}

}  // namespace

absl::StatusOr<QuotaState*> PlanQuotas::StateOf(const std::string& plan) {
  const auto found = plans_.find(plan);
  if (found != plans_.end()) return &found->second;
  NFM_ASSIGN_OR_RETURN(std::optional<QuotaState> stored, store_.QuotasOf(plan));
  if (!stored.has_value()) {
    stored = QuotaState{.renew_time = clock_.WallTime()};
    NFM_RETURN_IF_ERROR(store_.PutQuotas(plan, *stored));
  }
  return &plans_.emplace(plan, *std::move(stored)).first->second;
}

absl::Status PlanQuotas::Look(const std::string& plan,
                              const CompiledPlan& compiled) {
  if (!compiled.watched_quotas) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(QuotaState* const state, StateOf(plan));
  NFM_RETURN_IF_ERROR(Renew(plan, compiled, *state));
  return TellThresholds(plan, compiled, *state);
}

absl::Status PlanQuotas::NoteApplied(const std::string& plan,
                                     const CompiledPlan& compiled) {
  if (!compiled.watched_quotas) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(QuotaState* const state, StateOf(plan));
  QuotaState next = *state;
  next.renew_time = clock_.WallTime();
  NFM_RETURN_IF_ERROR(store_.PutQuotas(plan, next));
  *state = std::move(next);
  return absl::OkStatus();
}

absl::Status PlanQuotas::Renew(const std::string& plan,
                               const CompiledPlan& compiled,
                               QuotaState& state) {
  const absl::Time now = clock_.WallTime();
  if (state.renew_time > now + kMostSetBack) {
    // The clock was wrong: no period would begin until that time.
    QuotaState next = state;
    next.renew_time = now;
    NFM_RETURN_IF_ERROR(store_.PutQuotas(plan, next));
    state = std::move(next);
  }
  std::vector<std::string> due;
  for (const PlannedCounter& counter : compiled.counters) {
    if (counter.quota.has_value() && counter.quota->period.has_value() &&
        PeriodStart(*counter.quota->period, now) > state.renew_time) {
      due.push_back(counter.name);
    }
  }
  if (due.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(const auto found,
                       counters_.Find(due, absl::ZeroDuration()));
  QuotaState next = state;
  next.renew_time = now;
  std::vector<CounterTarget> targets;
  for (size_t i = 0; i < due.size(); ++i) {
    next.told.erase(due[i]);
    if (found[i].has_value()) targets.push_back({.name = due[i]});
  }
  if (!targets.empty()) {
    NFM_ASSIGN_OR_RETURN(
        const CounterBatch reset,
        counter_editor_.Reset(targets, /*validate_only=*/false));
    if (!reset.failures.empty()) return reset.failures[0].status;
  }
  NFM_RETURN_IF_ERROR(store_.PutQuotas(plan, next));
  state = std::move(next);
  return absl::OkStatus();
}

absl::Status PlanQuotas::TellThresholds(const std::string& plan,
                                        const CompiledPlan& compiled,
                                        QuotaState& state) {
  std::vector<std::string> names;
  std::vector<const PlanQuota*> quotas;
  for (const PlannedCounter& counter : compiled.counters) {
    if (!counter.quota.has_value() || counter.quota->thresholds.empty()) {
      continue;
    }
    names.push_back(counter.name);
    quotas.push_back(&*counter.quota);
  }
  if (names.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(const auto found, counters_.Find(names, kStaleness));
  QuotaState next = state;
  struct Event {
    kernel::AcctObject object;
    uint32_t percent;
  };
  std::vector<Event> events;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!found[i].has_value() || !found[i]->object.quota.has_value()) continue;
    const uint64_t used = PercentOf(found[i]->object);
    const auto told = state.told.find(names[i]);
    const uint32_t before = told == state.told.end() ? 0 : told->second;
    uint32_t reached = 0;
    for (const uint32_t threshold : quotas[i]->thresholds) {
      if (threshold > used) break;
      reached = threshold;
      if (threshold > before) events.push_back({found[i]->object, threshold});
    }
    // Lower than before if somebody has reset it.
    if (reached == 0) {
      next.told.erase(names[i]);
    } else {
      next.told[names[i]] = reached;
    }
  }
  if (next == state) return absl::OkStatus();
  // Stored first: a server that is killed in between tells nothing twice.
  NFM_RETURN_IF_ERROR(store_.PutQuotas(plan, next));
  state = std::move(next);
  for (const Event& event : events) {
    hub_.TellThreshold(event.object, event.percent);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::accounting
