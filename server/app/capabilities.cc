#include "app/capabilities.h"

#include <google/protobuf/descriptor.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/node.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "nfmeter/v1/snapshot.pb.h"

namespace nfmeter::app {
namespace {

const google::protobuf::ServiceDescriptor* CounterService() {
  return v1::Counter::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor* RuleService() {
  return v1::Rule::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor* SnapshotService() {
  return v1::SnapshotFrame::descriptor()->file()->service(0);
}
const google::protobuf::ServiceDescriptor* NodeService() {
  return v1::Node::descriptor()->file()->service(0);
}

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

}  // namespace

std::vector<service::NodeCapability> NodeCapabilities(
    const KernelParts& parts, absl::string_view acct_backend,
    absl::string_view rule_backend) {
  Methods counting;
  AddMethods(CounterService(), counting);
  AddMethods(SnapshotService(), counting);
  Methods rules;
  AddMethods(RuleService(), rules);
  const Methods new_rules = {Method(RuleService(), "CreateRule"),
                             Method(RuleService(), "BatchCreateRules")};
  counting.insert(counting.end(), new_rules.begin(), new_rules.end());
  return {
      Capability("nfacct", parts.nfacct, acct_backend, counting),
      Capability("nfacct_match_ipv4", parts.rules.match_ipv4, rule_backend,
                 new_rules),
      Capability("nfacct_match_ipv6", parts.rules.match_ipv6, rule_backend,
                 new_rules),
      Capability("iptables_ipv4", parts.rules.tables_ipv4, rule_backend, rules),
      Capability("iptables_ipv6", parts.rules.tables_ipv6, rule_backend, rules),
      Capability("quota_events", parts.quota_events, acct_backend,
                 {Method(CounterService(), "WatchQuotaEvents")})};
}

std::vector<ServiceHealth> HealthOf(const KernelParts& parts) {
  return {{CounterService()->full_name(), parts.nfacct.ok()},
          {SnapshotService()->full_name(), parts.nfacct.ok()},
          {RuleService()->full_name(),
           parts.rules.tables_ipv4.ok() || parts.rules.tables_ipv6.ok()},
          {NodeService()->full_name(), true}};
}

}  // namespace nfmeter::app
