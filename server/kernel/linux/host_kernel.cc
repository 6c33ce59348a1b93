// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/host_kernel.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/linux/conntrack/netlink_flow_table.h"
#include "kernel/linux/linux_kernel.h"
#include "kernel/linux/nftables/nft_kernel.h"

namespace nfmeter::kernel {
namespace {

NftTable::Options TableOptions(bool read_only) {
  NftTable::Options options;
  options.read_only = read_only;
  return options;
}

absl::StatusOr<std::unique_ptr<Kernel>> OpenNftables(bool read_only,
                                                     std::string choice) {
  NFM_ASSIGN_OR_RETURN(
      std::unique_ptr<NftKernel> kernel,
      NftKernel::Open(TableOptions(read_only), std::move(choice),
                      NetlinkFlowTable::Open()));
  const absl::Status probed = kernel->capabilities()->acct;
  // The table belongs to somebody else, and waiting does not change that.
  if (absl::IsFailedPrecondition(probed)) return probed;
  if (probed.ok() && !read_only) NFM_RETURN_IF_ERROR(kernel->table().Claim());
  return kernel;
}

absl::StatusOr<std::unique_ptr<Kernel>> OpenIptables(Clock& clock,
                                                     std::string choice) {
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<LinuxKernel> kernel,
                       LinuxKernel::Open(clock, std::move(choice)));
  return kernel;
}

// What keeps nfacct and legacy iptables from counting here; OK: nothing.
absl::Status LackOfIptables(const Capabilities& found) {
  NFM_RETURN_IF_ERROR(found.acct);
  NFM_RETURN_IF_ERROR(found.rules.tables_ipv4);
  return found.rules.target_ipv4.ok() ? absl::OkStatus()
                                      : found.rules.match_ipv4;
}

// Whether the table of nf_tables holds what was made before.
bool HoldsObjects(NftKernel& kernel) {
  const auto state = kernel.table().Read();
  return state.ok() && state->has_value() && (*state)->ours &&
         (*state)->use > 0;
}

bool HoldsCounters(AcctTable& acct) {
  bool any = false;
  const auto dumped = acct.Dump(
      AcctDumpFilter::kAll,
      [&](absl::Span<const AcctRecord> records) { any |= !records.empty(); });
  return dumped.ok() && any;
}

absl::StatusOr<std::unique_ptr<Kernel>> Choose(bool read_only, Clock& clock) {
  absl::Status nftables;
  {
    const auto nft = NftKernel::Open(TableOptions(read_only));
    if (nft.ok() && HoldsObjects(**nft)) {
      return OpenNftables(
          read_only, "its table holds counters or rules that were made before");
    }
    nftables = nft.ok() ? (*nft)->capabilities()->acct : nft.status();
  }
  auto iptables = LinuxKernel::Open(clock, "nfacct and legacy iptables work");
  const absl::Status lack = iptables.ok()
                                ? LackOfIptables(*(*iptables)->capabilities())
                                : iptables.status();
  if (lack.ok()) return iptables;
  if (!nftables.ok()) {
    return OpenIptables(
        clock, absl::StrCat("nf_tables does not work here either, and is "
                            "chosen when nfmeterd starts once it does: ",
                            nftables.message()));
  }
  if (iptables.ok() && HoldsCounters((*iptables)->acct())) {
    return OpenIptables(clock, "nfacct holds counters that were made before");
  }
  return OpenNftables(read_only,
                      absl::StrCat("nfacct with legacy iptables does not work "
                                   "here: ",
                                   lack.message()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> OpenHostKernel(
    const HostKernelOptions& options, Clock& clock) {
  switch (options.backend) {
    case Backend::kIptables:
      return OpenIptables(clock, "--backend says so");
    case Backend::kNftables:
      return OpenNftables(options.read_only, "--backend says so");
    case Backend::kAuto:
      break;
  }
  return Choose(options.read_only, clock);
}

}  // namespace nfmeter::kernel
