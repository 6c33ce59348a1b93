// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/linux_kernel.h"

#include <linux/netfilter_ipv4.h>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/linux/conntrack/netlink_flow_table.h"
#include "kernel/linux/netlink/nf_tables_dump.h"
#include "kernel/linux/netlink/packet_bypass.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/xtables/iptc_rule_table.h"
#include "kernel/linux/xtables/table_presence.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_probe.h"

namespace nfmeter::kernel {
namespace {

constexpr absl::Duration kNoticesAge = absl::Seconds(5);

RuleCapabilities ProbeRules() {
  const auto match = [](Family family) {
    return ProbeMatchRevision(family, kAcctMatch, kAcctMatchRevision);
  };
  const auto target = [](Family family) {
    return ProbeTargetRevision(family, kAcctTarget, 0);
  };
  return {.tables_ipv4 = ProbeTables(Family::kIpv4),
          .tables_ipv6 = ProbeTables(Family::kIpv6),
          .match_ipv4 = match(Family::kIpv4),
          .match_ipv6 = match(Family::kIpv6),
          .target_ipv4 = target(Family::kIpv4),
          .target_ipv6 = target(Family::kIpv6)};
}

std::string NfTablesNotice() {
  const std::vector<std::string> tables = NfTablesTables();
  if (tables.empty()) return "";
  return absl::StrCat(
      "nf_tables is in use beside legacy iptables (",
      NameNfTablesTables(tables),
      "): packets pass both, its rules count on their own and are not shown "
      "here.");
}

std::vector<std::string> LookForNotices() {
  std::vector<std::string> notices;
  for (std::string notice : {NfTablesNotice(), InvisibleTablesNotice()}) {
    if (!notice.empty()) notices.push_back(std::move(notice));
  }
  for (std::string& notice : LookForBypasses(NF_IP_PRI_FILTER)) {
    notices.push_back(std::move(notice));
  }
  return notices;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinuxKernel>> LinuxKernel::Open(
    Clock& clock, std::string choice, const NetworkNamespace& network) {
  auto kernel =
      absl::WrapUnique(new LinuxKernel(clock, std::move(choice), network));
  NFM_ASSIGN_OR_RETURN(
      kernel->acct_,
      NetlinkAcctTable::Open({.network = network, .names = kernel->names_}));
  NFM_ASSIGN_OR_RETURN(kernel->rule_acct_,
                       NetlinkAcctTable::Open({.network = network,
                                               .sockets = 2,
                                               .names = kernel->names_,
                                               .sweeps = false}));
  for (auto* rules : {&kernel->rules_, &kernel->rule_reads_}) {
    *rules = std::make_unique<IptcRuleTable>(
        *kernel->rule_acct_, IptcHandle::Open, network, kernel->names_);
  }
  kernel->flows_ = NetlinkFlowTable::Open();
  const auto found = kernel->Probe();
  if (absl::IsPermissionDenied(found->acct)) return found->acct;
  return kernel;
}

void LinuxKernel::KnowCounters(absl::Span<const std::string> names) {
  for (const std::string& name : names) {
    if (name.size() > kNfacctNameMaxBytes) {
      names_->Learn(NfacctName(name), name);
    }
  }
}

Capabilities LinuxKernel::FindCapabilities() {
  const NamespaceVisit visit(network_);
  Capabilities found = {.backend = Backend::kIptables, .choice = choice_};
  found.acct = rule_acct_->Probe();
  found.features = rule_acct_->Features();
  found.quota_events =
      found.acct.ok() ? rule_acct_->WatchQuotas().status() : found.acct;
  found.rules = ProbeRules();
  found.flows = flows_->Probe();
  return found;
}

std::vector<std::string> LinuxKernel::Notices() {
  {
    absl::MutexLock lock(&mutex_);
    if (clock_.BootTime() - notices_read_ <= kNoticesAge) return notices_;
    notices_read_ = clock_.BootTime();  // other callers take the old ones
  }
  std::vector<std::string> notices;
  {
    const NamespaceVisit visit(network_);
    notices = LookForNotices();
  }
  absl::MutexLock lock(&mutex_);
  notices_ = notices;
  return notices;
}

}  // namespace nfmeter::kernel
