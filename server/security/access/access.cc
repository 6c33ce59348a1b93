// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/access.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace nfmeter::security {
namespace {

constexpr absl::string_view kRoleNames[] = {"none", "viewer", "operator",
                                            "admin", "nobody"};

constexpr absl::string_view kFlowAccessNames[] = {"none", "summary", "full"};

// name, least role, work, mutates, whole host. Work::kAtOnce is left out where
// nothing follows.
constexpr Method kMethods[] = {
    {"nfmeter.v1.CounterService/CreateCounter", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/BatchCreateCounters", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/GetCounter", Role::kViewer},
    {"nfmeter.v1.CounterService/BatchGetCounters", Role::kViewer, Work::kRead},
    {"nfmeter.v1.CounterService/ListCounters", Role::kViewer, Work::kRead},
    {"nfmeter.v1.CounterService/UpdateCounter", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/ResetCounter", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/BatchResetCounters", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/DeleteCounter", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/BatchDeleteCounters", Role::kOperator,
     Work::kCounterChange, true},
    {"nfmeter.v1.CounterService/WatchQuotaEvents", Role::kViewer},
    {"nfmeter.v1.RuleService/CreateRule", Role::kOperator, Work::kRuleChange,
     true},
    {"nfmeter.v1.RuleService/BatchCreateRules", Role::kOperator,
     Work::kRuleChange, true},
    {"nfmeter.v1.RuleService/GetRule", Role::kViewer, Work::kRead},
    {"nfmeter.v1.RuleService/ListRules", Role::kViewer, Work::kRead},
    {"nfmeter.v1.RuleService/DeleteRule", Role::kOperator, Work::kRuleChange,
     true},
    {"nfmeter.v1.RuleService/BatchDeleteRules", Role::kOperator,
     Work::kRuleChange, true},
    {"nfmeter.v1.RuleService/ListChains", Role::kViewer, Work::kRead, false,
     true},
    {"nfmeter.v1.SnapshotService/GetSnapshot", Role::kViewer},
    {"nfmeter.v1.SnapshotService/WatchSnapshots", Role::kViewer},
    // Acknowledging and registering change what is kept, within bounds.
    {"nfmeter.v1.UsageService/CollectUsage", Role::kViewer},
    {"nfmeter.v1.UsageService/ListUsage", Role::kViewer, Work::kRead},
    {"nfmeter.v1.UsageService/ListGaps", Role::kViewer, Work::kRead},
    {"nfmeter.v1.UsageService/ListConsumers", Role::kViewer},
    {.name = "nfmeter.v1.UsageService/DeleteConsumer",
     .least_role = Role::kOperator,
     .work = Work::kCounterChange,
     .changes_readers = true},
    // Plans belong to the whole host, as their chains do.
    {"nfmeter.v1.PlanService/ApplyPlan", Role::kOperator, Work::kRuleChange,
     true, true},
    {"nfmeter.v1.PlanService/GetPlan", Role::kViewer, Work::kRead, false, true},
    {"nfmeter.v1.PlanService/ListPlans", Role::kViewer, Work::kRead, false,
     true},
    {"nfmeter.v1.PlanService/DeletePlan", Role::kOperator, Work::kRuleChange,
     true, true},
    {"nfmeter.v1.PlanService/ExportPlan", Role::kViewer, Work::kRead, false,
     true},
    {"nfmeter.v1.PlanService/GetPlanStatus", Role::kViewer, Work::kRead, false,
     true},
    {"nfmeter.v1.PlanService/WatchPlanStatus", Role::kViewer, Work::kAtOnce,
     false, true},
    {"nfmeter.v1.NodeService/GetNode", Role::kViewer},
    {.name = "nfmeter.v1.FlowService/ListFlows",
     .least_role = Role::kViewer,
     .least_flows = FlowAccess::kFull},
    {.name = "nfmeter.v1.FlowService/SummarizeFlows",
     .least_role = Role::kViewer,
     .work = Work::kRead,
     .least_flows = FlowAccess::kSummary},
    {.name = "nfmeter.v1.FlowService/WatchFlows",
     .least_role = Role::kViewer,
     .least_flows = FlowAccess::kSummary},
    // gRPC's own. Health is for everybody who gets in: probes have no role.
    {"grpc.health.v1.Health/Check", Role::kNone},
    {"grpc.health.v1.Health/Watch", Role::kNone},
    {"grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Role::kViewer},
    {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     Role::kViewer},
    {"grpc.channelz.v1.Channelz/GetTopChannels", Role::kAdmin, Work::kAtOnce,
     false, true},
    {"grpc.channelz.v1.Channelz/GetServers", Role::kAdmin, Work::kAtOnce, false,
     true},
    {"grpc.channelz.v1.Channelz/GetServer", Role::kAdmin, Work::kAtOnce, false,
     true},
    {"grpc.channelz.v1.Channelz/GetServerSockets", Role::kAdmin, Work::kAtOnce,
     false, true},
    {"grpc.channelz.v1.Channelz/GetChannel", Role::kAdmin, Work::kAtOnce, false,
     true},
    {"grpc.channelz.v1.Channelz/GetSubchannel", Role::kAdmin, Work::kAtOnce,
     false, true},
    {"grpc.channelz.v1.Channelz/GetSocket", Role::kAdmin, Work::kAtOnce, false,
     true},
};

}  // namespace

absl::string_view RoleName(Role role) {
  return kRoleNames[static_cast<size_t>(role)];
}

absl::string_view WorkName(Work work) {
  switch (work) {
    case Work::kAtOnce:
      return "at_once";
    case Work::kRead:
      return "reads";
    case Work::kCounterChange:
      return "counter_changes";
    case Work::kRuleChange:
      return "rule_changes";
  }
  return "";
}

std::optional<Role> ParseRole(absl::string_view name) {
  const auto* const found =
      std::find(std::begin(kRoleNames), std::end(kRoleNames), name);
  if (found == std::end(kRoleNames) || *found == RoleName(Role::kNobody)) {
    return std::nullopt;
  }
  return static_cast<Role>(found - kRoleNames);
}

absl::string_view FlowAccessName(FlowAccess access) {
  return kFlowAccessNames[static_cast<size_t>(access)];
}

std::optional<FlowAccess> ParseFlowAccess(absl::string_view name) {
  const auto* const found =
      std::find(std::begin(kFlowAccessNames), std::end(kFlowAccessNames), name);
  if (found == std::end(kFlowAccessNames)) return std::nullopt;
  return static_cast<FlowAccess>(found - kFlowAccessNames);
}

FlowRights FlowRights::Or(const FlowRights& other) const {
  // Lengths of prefixes are compared only among grants of the same access.
  if (access != other.access) return access > other.access ? *this : other;
  return {.access = access,
          .ipv4_bits = std::max(ipv4_bits, other.ipv4_bits),
          .ipv6_bits = std::max(ipv6_bits, other.ipv6_bits)};
}

absl::Span<const Method> AllMethods() { return kMethods; }

const Method* FindMethod(absl::string_view name) {
  static const auto* const methods = [] {
    auto* made = new absl::flat_hash_map<absl::string_view, const Method*>;
    for (const Method& method : kMethods) made->emplace(method.name, &method);
    return made;
  }();
  const auto found = methods->find(name);
  return found == methods->end() ? nullptr : found->second;
}

// Goes back to the last star only, so the time is bounded by the product of the
// lengths.
bool MatchesPattern(absl::string_view pattern, absl::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = absl::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != absl::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool Grant::Allows(const Method& method) const {
  if (role < method.least_role) return false;
  if (flows.access < method.least_flows) return false;
  if (method.whole_host && !counter_prefixes.empty()) return false;
  return methods.empty() ||
         std::any_of(methods.begin(), methods.end(),
                     [&](const std::string& pattern) {
                       return MatchesPattern(pattern, method.name);
                     });
}

}  // namespace nfmeter::security
