// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_kernel.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/linux/netlink/nf_tables_dump.h"
#include "kernel/linux/netlink/packet_bypass.h"
#include "kernel/linux/nftables/nft_name.h"

namespace nfmeter::kernel {
namespace {

// Where rules of table filter count: NF_IP_PRI_FILTER - 1.
constexpr int kFilterPriority = -1;

absl::Status NoTarget() {
  return MakeError(absl::StatusCode::kUnimplemented, "TARGET_UNAVAILABLE",
                   "nf_tables, by which this node counts, has no NFACCT target "
                   "(kmod/ brings it to legacy iptables)");
}

}  // namespace

absl::StatusOr<std::unique_ptr<NftKernel>> NftKernel::Open(
    const NftTable::Options& options, std::string choice,
    std::unique_ptr<FlowTable> flows) {
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<NftTable> table,
                       NftTable::Open(options));
  auto kernel = absl::WrapUnique(
      new NftKernel(std::move(table), std::move(choice), std::move(flows)));
  const auto found = kernel->Probe();
  if (absl::IsPermissionDenied(found->acct)) return found->acct;
  return kernel;
}

void NftKernel::KnowCounters(absl::Span<const std::string> names) {
  for (const std::string& name : names) {
    std::string object = NftObjectName(name);
    if (IsHashedNftName(object)) table_->names().Learn(std::move(object), name);
  }
}

std::string NftKernel::ToolName(absl::string_view counter) const {
  return NftObjectName(counter);
}

Capabilities NftKernel::FindCapabilities() {
  Capabilities found = {.backend = Backend::kNftables, .choice = choice_};
  // One transaction tries it all, for both families.
  found.acct = table_->Probe();
  found.features = acct_.Features();
  found.quotas = found.acct.ok() ? table_->quotas() : found.acct;
  found.quota_events =
      found.quotas.ok() ? acct_.WatchQuotas().status() : found.quotas;
  found.rules = {.tables_ipv4 = found.acct,
                 .tables_ipv6 = found.acct,
                 .match_ipv4 = found.acct,
                 .match_ipv6 = found.acct,
                 .target_ipv4 = NoTarget(),
                 .target_ipv6 = NoTarget()};
  if (flows_ != nullptr) found.flows = flows_->Probe();
  return found;
}

std::vector<std::string> NftKernel::Notices() {
  std::vector<std::string> notices;
  if (!table_->owned()) {
    notices.push_back(
        "table inet nfmeter is a plain one: a flush of the ruleset by anybody "
        "takes counters and rules away (Linux 6.9 and newer let nfmeterd own "
        "it).");
  }
  for (std::string& notice : LookForBypasses(kFilterPriority, kNftTable)) {
    notices.push_back(std::move(notice));
  }
  std::vector<std::string> tables = NfTablesTables();
  std::erase(tables, absl::StrCat("inet ", kNftTable));
  if (tables.empty()) return notices;
  notices.push_back(absl::StrCat(
      "other programs have nf_tables rules, too (", NameNfTablesTables(tables),
      "): packets pass both, and only those of table inet nfmeter are shown "
      "here."));
  return notices;
}

}  // namespace nfmeter::kernel
