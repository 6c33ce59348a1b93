// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel of this host, by nf_tables alone.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_KERNEL_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_KERNEL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel/kernel.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/linux/nftables/nft_acct_table.h"
#include "kernel/linux/nftables/nft_rule_table.h"
#include "kernel/linux/nftables/nft_table.h"

namespace nfmeter::kernel {

// Counters and rules in `table inet nfmeter`, which this process owns where it
// can. Needs CAP_NET_ADMIN and nothing else. Thread-safe.
class NftKernel : public Kernel {
 public:
  // In the network namespace of the calling thread. Succeeds without nf_tables;
  // the probe tells. PERMISSION_DENIED: not even counters may be read.
  // `choice`: why this one, for people. `flows`: for flows(), which no table of
  // ours has to do with; null where nobody asks for them.
  static absl::StatusOr<std::unique_ptr<NftKernel>> Open(
      const NftTable::Options& options, std::string choice = "",
      std::unique_ptr<FlowTable> flows = nullptr);
  static absl::StatusOr<std::unique_ptr<NftKernel>> Open() {
    return Open(NftTable::Options());
  }

  AcctTable& acct() override { return acct_; }
  AcctTable& rule_acct() override { return acct_; }
  RuleTable& rules() override { return rules_; }
  RuleTable& rule_reads() override { return rules_; }
  FlowTable& flows() override { return *flows_; }
  CgroupTree& cgroups() override { return cgroups_; }
  std::vector<std::string> Notices() override;
  void KnowCounters(absl::Span<const std::string> names) override;
  std::string ToolName(absl::string_view counter) const override;
  absl::string_view acct_backend() const override {
    return "nf_tables counters";
  }
  absl::string_view rule_backend() const override { return "nf_tables rules"; }

  NftTable& table() { return *table_; }

 private:
  NftKernel(std::unique_ptr<NftTable> table, std::string choice,
            std::unique_ptr<FlowTable> flows)
      : choice_(std::move(choice)),
        flows_(std::move(flows)),
        table_(std::move(table)),
        acct_(*table_),
        rules_(*table_, acct_) {}

  Capabilities FindCapabilities() override;

  const std::string choice_;
  const std::unique_ptr<FlowTable> flows_;
  LinuxCgroupTree cgroups_;
  const std::unique_ptr<NftTable> table_;
  NftAcctTable acct_;
  NftRuleTable rules_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_KERNEL_H_
