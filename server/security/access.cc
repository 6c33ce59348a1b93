#include "security/access.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"

namespace nfmeter::security {
namespace {

constexpr absl::string_view kRoleNames[] = {"none", "viewer", "operator",
                                            "admin"};

constexpr Method kMethods[] = {
    {"nfmeter.v1.CounterService/CreateCounter", Role::kOperator, true},
    {"nfmeter.v1.CounterService/BatchCreateCounters", Role::kOperator, true},
    {"nfmeter.v1.CounterService/GetCounter", Role::kViewer},
    {"nfmeter.v1.CounterService/BatchGetCounters", Role::kViewer},
    {"nfmeter.v1.CounterService/ListCounters", Role::kViewer},
    {"nfmeter.v1.CounterService/ResetCounter", Role::kOperator, true},
    {"nfmeter.v1.CounterService/BatchResetCounters", Role::kOperator, true},
    {"nfmeter.v1.CounterService/DeleteCounter", Role::kOperator, true},
    {"nfmeter.v1.CounterService/BatchDeleteCounters", Role::kOperator, true},
    {"nfmeter.v1.CounterService/WatchQuotaEvents", Role::kViewer},
    {"nfmeter.v1.RuleService/CreateRule", Role::kOperator, true},
    {"nfmeter.v1.RuleService/BatchCreateRules", Role::kOperator, true},
    {"nfmeter.v1.RuleService/GetRule", Role::kViewer},
    {"nfmeter.v1.RuleService/ListRules", Role::kViewer},
    {"nfmeter.v1.RuleService/DeleteRule", Role::kOperator, true},
    {"nfmeter.v1.RuleService/BatchDeleteRules", Role::kOperator, true},
    {"nfmeter.v1.RuleService/ListChains", Role::kViewer, false, true},
    {"nfmeter.v1.SnapshotService/GetSnapshot", Role::kViewer},
    {"nfmeter.v1.SnapshotService/WatchSnapshots", Role::kViewer},
    {"nfmeter.v1.NodeService/GetNode", Role::kViewer},
};

}  // namespace

absl::string_view RoleName(Role role) {
  return kRoleNames[static_cast<size_t>(role)];
}

std::optional<Role> ParseRole(absl::string_view name) {
  const auto* const found =
      std::find(std::begin(kRoleNames), std::end(kRoleNames), name);
  if (found == std::end(kRoleNames)) return std::nullopt;
  return static_cast<Role>(found - kRoleNames);
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

}  // namespace nfmeter::security
