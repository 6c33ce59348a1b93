#include "app/host_kernel.h"

#include <utility>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/xtables/iptc_rule_table.h"

namespace nfmeter::app {
namespace {

using accounting::Lane;
using kernel::Family;

constexpr absl::Duration kNoticesAge = absl::Seconds(5);

absl::Status ProbeQuotaEvents(kernel::AcctTable& acct) {
  return acct.WatchQuotas().status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostKernel>> HostKernel::Open(
    Lane& rule_lane, Lane& rule_read_lane, Clock& clock) {
  auto host =
      absl::WrapUnique(new HostKernel(rule_lane, rule_read_lane, clock));
  NFM_ASSIGN_OR_RETURN(host->acct_, kernel::NetlinkAcctTable::Open());
  NFM_ASSIGN_OR_RETURN(host->rule_acct_, kernel::NetlinkAcctTable::Open(
                                             {.sockets = 2, .sweeps = false}));
  KernelParts& parts = host->parts_;
  parts.nfacct = host->acct_->Probe();
  if (absl::IsPermissionDenied(parts.nfacct)) return parts.nfacct;
  parts.features = host->acct_->Features();
  parts.quota_events =
      parts.nfacct.ok() ? ProbeQuotaEvents(*host->acct_) : parts.nfacct;
  NFM_RETURN_IF_ERROR(rule_lane.Run(Lane::Priority::kUrgent, [&host] {
    host->rules_ = std::make_unique<kernel::IptcRuleTable>();
    host->ProbeRules();
    return absl::OkStatus();
  }));
  NFM_RETURN_IF_ERROR(rule_read_lane.Run(Lane::Priority::kUrgent, [&host] {
    host->rule_reads_ = std::make_unique<kernel::IptcRuleTable>();
    host->RefreshNotices();
    return absl::OkStatus();
  }));
  return host;
}

HostKernel::~HostKernel() {
  // Where they were made. A full lane is one of a server that ends anyway.
  const auto drop = [](Lane& lane, std::unique_ptr<kernel::RuleTable>& table) {
    lane.Run(Lane::Priority::kNormal,
             [&table] {
               table.reset();
               return absl::OkStatus();
             })
        .IgnoreError();
  };
  drop(rule_lane_, rules_);
  drop(rule_read_lane_, rule_reads_);
}

void HostKernel::ProbeRules() {
  accounting::RuleCapabilities& probed = parts_.rules;
  probed.tables_ipv4 = rules_->ProbeTables(Family::kIpv4);
  probed.tables_ipv6 = rules_->ProbeTables(Family::kIpv6);
  probed.match_ipv4 = rules_->ProbeMatch(Family::kIpv4);
  probed.match_ipv6 = rules_->ProbeMatch(Family::kIpv6);
  probed.target_ipv4 = rules_->ProbeTarget(Family::kIpv4);
  probed.target_ipv6 = rules_->ProbeTarget(Family::kIpv6);
}

void HostKernel::RefreshNotices() {
  std::vector<std::string> notices = rule_reads_->Notices();
  absl::MutexLock lock(&mutex_);
  notices_ = std::move(notices);
  notices_read_ = clock_.BootTime();
  refreshing_ = false;
}

std::vector<std::string> HostKernel::Notices() {
  bool refresh = false;
  std::vector<std::string> notices;
  {
    absl::MutexLock lock(&mutex_);
    notices = notices_;
    refresh = !refreshing_ && clock_.BootTime() - notices_read_ > kNoticesAge;
    if (refresh) refreshing_ = true;
  }
  if (refresh &&
      !rule_read_lane_
           .Post(Lane::Priority::kNormal, [this] { RefreshNotices(); })
           .ok()) {
    absl::MutexLock lock(&mutex_);
    refreshing_ = false;
  }
  return notices;
}

}  // namespace nfmeter::app
