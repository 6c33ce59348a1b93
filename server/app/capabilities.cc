// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/capabilities.h"

#include <google/protobuf/descriptor.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/flow.pb.h"
#include "nfmeter/v1/node.pb.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::app {
namespace {

// The service of the file that the message is from.
template <typename Message>
const google::protobuf::ServiceDescriptor* ServiceOf() {
  return Message::descriptor()->file()->service(0);
}
constexpr auto CounterService = ServiceOf<v1::Counter>;
constexpr auto RuleService = ServiceOf<v1::Rule>;
constexpr auto SnapshotService = ServiceOf<v1::SnapshotFrame>;
constexpr auto UsageService = ServiceOf<v1::UsageRecord>;
constexpr auto NodeService = ServiceOf<v1::Node>;
constexpr auto FlowService = ServiceOf<v1::Flow>;
constexpr auto PlanService = ServiceOf<v1::Plan>;

using Methods = std::vector<std::string>;

std::string Method(const google::protobuf::ServiceDescriptor* service,
                   absl::string_view name) {
  return absl::StrCat(service->full_name(), "/", name);
}

void AddMethods(const google::protobuf::ServiceDescriptor* service,
                Methods& methods) {
  for (int i = 0; i < service->method_count(); ++i) {
    methods.push_back(Method(service, service->method(i)->name()));
  }
}

service::NodeCapability Capability(absl::string_view name,
                                   const absl::Status& probed,
                                   absl::string_view backend, Methods methods) {
  return {.name = std::string(name),
          .available = probed.ok(),
          .detail = std::string(
              probed.ok() ? backend : absl::string_view(probed.message())),
          .methods = std::move(methods)};
}

// What an accounting with these features brings.
std::string FeaturesText(const kernel::AcctFeatures& features) {
  std::vector<absl::string_view> brought;
  const auto add = [&](bool has, absl::string_view what) {
    if (has) brought.push_back(what);
  };
  add(features.constant_lookup, "counters are found by hash");
  add(features.per_cpu, "packets are counted per CPU");
  add(features.stable_dump, "snapshots are whole in one pass");
  add(features.lossless_reset, "resetting dumps lose nothing");
  add(features.replace, "objects can be replaced in place");
  return absl::StrCat("nfmeter's own nfnetlink_acct: ",
                      absl::StrJoin(brought, ", "));
}

// Whether objects are more than Linux's own; nothing needs that.
absl::Status Extended(const kernel::Capabilities& kernel) {
  if (!kernel.features.ok()) return kernel.features.status();
  if (*kernel.features != kernel::AcctFeatures()) return absl::OkStatus();
  return absl::UnimplementedError(
      "the kernel's own nfnetlink_acct, with which everything works; "
      "nfmeter's kernel modules (kmod/README.md) make large numbers of "
      "counters cheaper");
}

// The parts by which rules of a family count: one of them is enough.
void AddForms(const absl::Status& match, const absl::Status& target,
              absl::string_view family, absl::string_view backend,
              const Methods& methods,
              std::vector<service::NodeCapability>& out) {
  const bool by_target = !match.ok() && target.ok();
  out.push_back(Capability(absl::StrCat("nfacct_match_", family), match,
                           backend, by_target ? Methods() : methods));
  out.push_back(Capability(absl::StrCat("nfacct_target_", family), target,
                           backend, by_target ? methods : Methods()));
  if (by_target) {
    absl::StrAppend(&out[out.size() - 2].detail,
                    "; rules count by the NFACCT target instead, and have no "
                    "verdict");
  } else if (match.ok() && !target.ok()) {
    absl::StrAppend(&out.back().detail,
                    "; nothing needs it: rules count by the nfacct match");
  }
}

// The parts of nfacct and legacy iptables.
void AddIptables(const kernel::Capabilities& kernel,
                 absl::string_view acct_backend, absl::string_view rule_backend,
                 const Methods& counting, const Methods& rules,
                 std::vector<service::NodeCapability>& out) {
  const Methods new_rules = {Method(RuleService(), "CreateRule"),
                             Method(RuleService(), "BatchCreateRules")};
  const absl::Status extended = Extended(kernel);
  out.push_back(Capability("nfacct", kernel.acct, acct_backend, counting));
  out.push_back(Capability("nfacct_extended", extended,
                           extended.ok() ? FeaturesText(*kernel.features) : "",
                           {}));
  AddForms(kernel.rules.match_ipv4, kernel.rules.target_ipv4, "ipv4",
           rule_backend, new_rules, out);
  AddForms(kernel.rules.match_ipv6, kernel.rules.target_ipv6, "ipv6",
           rule_backend, new_rules, out);
  out.push_back(Capability("iptables_ipv4", kernel.rules.tables_ipv4,
                           rule_backend, rules));
  out.push_back(Capability("iptables_ipv6", kernel.rules.tables_ipv6,
                           rule_backend, rules));
}

// All but quotas is one part: a transaction tries all of it.
void AddNftables(const kernel::Capabilities& kernel, Methods counting,
                 const Methods& rules,
                 std::vector<service::NodeCapability>& out) {
  counting.insert(counting.end(), rules.begin(), rules.end());
  out.push_back(Capability("nf_tables", kernel.acct,
                           "table inet nfmeter; rules can't match ipsets",
                           std::move(counting)));
  out.push_back(Capability("nf_tables_quotas", kernel.quotas,
                           "counters can have quotas of bytes",
                           {Method(CounterService(), "WatchQuotaEvents")}));
}

}  // namespace

std::string DescribeBackend(const kernel::Capabilities& kernel) {
  return absl::StrCat(
      kernel.backend == kernel::Backend::kNftables ? "nf_tables" : "iptables",
      kernel.choice.empty() ? "" : ": ", kernel.choice);
}

std::vector<service::NodeCapability> NodeCapabilities(
    const kernel::Capabilities& kernel, absl::string_view acct_backend,
    absl::string_view rule_backend) {
  Methods counting;
  AddMethods(CounterService(), counting);
  AddMethods(SnapshotService(), counting);
  Methods rules;
  AddMethods(RuleService(), rules);
  const bool nftables = kernel.backend == kernel::Backend::kNftables;
  std::vector<service::NodeCapability> capabilities = {
      Capability("backend", absl::OkStatus(), DescribeBackend(kernel), {})};
  if (nftables) {
    AddNftables(kernel, std::move(counting), rules, capabilities);
  } else {
    counting.insert(counting.end(),
                    {Method(RuleService(), "CreateRule"),
                     Method(RuleService(), "BatchCreateRules")});
    AddIptables(kernel, acct_backend, rule_backend, counting, rules,
                capabilities);
  }
  capabilities.push_back(
      Capability("quota_events", kernel.quota_events, acct_backend,
                 {Method(CounterService(), "WatchQuotaEvents")}));
  Methods flows;
  AddMethods(FlowService(), flows);
  capabilities.push_back(
      Capability("flows", kernel.flows, "nf_conntrack_netlink", flows));
  return capabilities;
}

std::vector<ServiceHealth> HealthOf(const kernel::Capabilities& kernel,
                                    bool ledger_writable) {
  const bool rules =
      kernel.rules.tables_ipv4.ok() || kernel.rules.tables_ipv6.ok();
  return {{CounterService()->full_name(), kernel.acct.ok()},
          {SnapshotService()->full_name(), kernel.acct.ok()},
          {RuleService()->full_name(), rules},
          {PlanService()->full_name(), kernel.acct.ok() && rules},
          {FlowService()->full_name(), kernel.flows.ok()},
          {UsageService()->full_name(), kernel.acct.ok() && ledger_writable},
          {NodeService()->full_name(), true}};
}

}  // namespace nfmeter::app
