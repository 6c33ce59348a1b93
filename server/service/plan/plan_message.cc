// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/plan_message.h"

#include <string>

#include "service/gate/time_message.h"
#include "service/match/match_message.h"

namespace nfmeter::service {
namespace {

v1::PlanChange::Kind ToProto(accounting::PlanChange::Kind kind) {
  switch (kind) {
    case accounting::PlanChange::Kind::kAdd:
      return v1::PlanChange::KIND_ADD;
    case accounting::PlanChange::Kind::kRemove:
      return v1::PlanChange::KIND_REMOVE;
    case accounting::PlanChange::Kind::kChange:
      break;
  }
  return v1::PlanChange::KIND_CHANGE;
}

v1::PlanStatus::State ToProto(accounting::PlanStatus::State state) {
  using State = accounting::PlanStatus::State;
  switch (state) {
    case State::kInSync:
      return v1::PlanStatus::STATE_IN_SYNC;
    case State::kDrifted:
      return v1::PlanStatus::STATE_DRIFTED;
    case State::kFought:
      return v1::PlanStatus::STATE_FOUGHT;
    case State::kFailed:
      return v1::PlanStatus::STATE_FAILED;
    case State::kApplying:
      break;
  }
  return v1::PlanStatus::STATE_APPLYING;
}

absl::string_view StepName(accounting::PlanStep step) {
  switch (step) {
    case accounting::PlanStep::kCompare:
      return "compare";
    case accounting::PlanStep::kCounters:
      return "counters";
    case accounting::PlanStep::kRules:
      return "rules";
    case accounting::PlanStep::kCleanUp:
      break;
  }
  return "clean up";
}

}  // namespace

void ToProto(const accounting::PlanInfo& info, v1::Plan* proto) {
  proto->set_name(info.name);
  proto->set_etag(info.etag);
  proto->set_owner(info.owner);
  ToProto(info.apply_time, proto->mutable_apply_time());
}

void ToProto(const accounting::PlanInfo& info, v1::PlanCost* proto) {
  proto->set_counters(info.counters);
  proto->set_rules(info.cost.rules);
  proto->set_chains(info.cost.chains);
  proto->set_max_rules_met(info.cost.most);
  proto->set_mean_rules_met(info.cost.mean);
}

void ToProto(const accounting::PlanChange& change, v1::PlanChange* proto) {
  proto->set_kind(ToProto(change.kind));
  proto->set_counter(change.counter);
  for (const std::string& field : change.fields) proto->add_fields(field);
  if (!change.counter.empty()) return;
  proto->set_chain(change.chains.chain);
  proto->set_family(ToProto(change.chains.family));
  proto->set_table(std::string(kernel::TableName(change.chains.table)));
  for (const std::string& rule : change.chains.missing) {
    proto->add_added_rules(rule);
  }
  for (const std::string& rule : change.chains.unwanted) {
    proto->add_removed_rules(rule);
  }
}

void ToProto(const accounting::PlanStatus& status, v1::PlanStatus* proto) {
  proto->set_name(status.name);
  proto->set_etag(status.etag);
  proto->set_state(ToProto(status.state));
  proto->set_message(status.message);
  proto->set_repairs(status.repairs);
  const auto set = [](absl::Time time, auto mutable_time) {
    if (time != absl::InfinitePast()) ToProto(time, mutable_time());
  };
  set(status.check_time, [&] { return proto->mutable_check_time(); });
  set(status.repair_time, [&] { return proto->mutable_repair_time(); });
  set(status.missed_from, [&] { return proto->mutable_missed_from(); });
  set(status.missed_to, [&] { return proto->mutable_missed_to(); });
  set(status.next_check_time, [&] { return proto->mutable_next_check_time(); });
  if (status.state == accounting::PlanStatus::State::kApplying) {
    proto->set_step(std::string(StepName(status.step)));
    proto->set_done(status.done);
    proto->set_total(status.total);
  }
}

}  // namespace nfmeter::service
