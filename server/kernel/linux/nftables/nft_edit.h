// SPDX-License-Identifier: GPL-3.0-or-later
// An edit of rules as messages of a transaction.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_EDIT_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_EDIT_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "kernel/acct_table.h"
#include "kernel/kernel_edit.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_contents.h"
#include "kernel/linux/nftables/nft_exchange.h"

namespace nfmeter::kernel {

// Counters that rules may count into, and whether each has a quota.
using NftCounters = absl::flat_hash_map<std::string, bool>;

// Adds the edits of tables to one batch, and knows afterwards which message was
// about which rule. The edits and their contents outlive it.
class NftEdit {
 public:
  NftEdit(NftBatch& batch, const NftCounters& counters)
      : batch_(batch), counters_(counters), cgroups_(CgroupPaths::Find()) {}

  // Plans `edit` against `contents` and adds it. Statuses as PlanEdit() and
  // CompileNftRule(). NOT_FOUND, COUNTER_NOT_FOUND: the counters that are
  // missing, ten of them at most. INVALID_ARGUMENT, RULE_REFUSED: a cgroup that
  // is not there, or that can't be asked for in that chain.
  absl::Status Add(const TableEdit& edit, const NftContents& contents);

  // The rules that the edits delete, in the order of Add().
  std::vector<std::vector<Rule>>& deleted() { return deleted_; }

  // Why the kernel refused the batch; `errors` are not those of ERESTART.
  absl::Status Explain(const NftErrors& errors) const;

 private:
  // Where a rule stands in a chain under change: a handle, or the number of a
  // rule of this batch.
  struct Slot {
    bool is_new = false;
    uint64_t rule = 0;
  };
  using Slots = std::vector<Slot>;

  absl::Status CheckCounters(const TableEdit& edit) const;
  absl::Status AddRule(const TableEdit& edit, const RuleSpec& spec,
                       uint64_t packets, uint64_t bytes,
                       const NftBatch::Place& place);
  absl::Status Restore(const TableEdit& edit, const NftContents& contents,
                       std::vector<Slots>& chains);
  absl::Status Insert(const TableEdit& edit);
  // Says that messages since the last call are about this rule.
  void Blame(const RuleSpec* rule) { blamed_.resize(batch_.size(), rule); }

  NftBatch& batch_;
  const NftCounters& counters_;
  const CgroupPaths cgroups_;
  std::vector<std::vector<Rule>> deleted_;
  std::vector<const RuleSpec*> blamed_;  // of each message; null: none
  uint32_t next_set_ = 1;
  uint32_t next_rule_ = 1;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_EDIT_H_
