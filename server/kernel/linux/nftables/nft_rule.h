// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of ours <-> what nf_tables keeps of them. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_message.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// A rule counts where the legacy one of its place would: each built-in chain is
// a base chain of its own, "ip-filter-INPUT", just before those of others at
// the same place, so that it sees what they drop. It is there as long as it has
// rules.
std::string NftChainName(Family family, Table table, absl::string_view chain);
// Where that base chain gets its packets. `chain` is a built-in one of `table`.
NftHook NftHookOf(Table table, absl::string_view chain);

// A cgroup as nf_tables knows it.
struct NftCgroup {
  uint64_t id = 0;
  uint32_t level = 0;  // below the root
};

// What a rule is made of besides itself.
struct NftRuleParts {
  // The counter has a quota: the verdict is given only while it is exceeded.
  bool quota = false;
  // Of match.cgroup_path.
  NftCgroup cgroup;
  // Of the rule's own counter.
  uint64_t packets = 0;
  uint64_t bytes = 0;
  // Of the first set that it needs; others are numbered upwards.
  uint32_t first_set = 1;
};

struct NftRule {
  std::vector<NftBatch::Set> sets;  // to be made before it
  NftRuleBytes bytes;
};

// `rule` breaks no law of kernel/rule_law.h. UNIMPLEMENTED, MATCH_UNAVAILABLE:
// a condition that nf_tables has not (ip_set); TARGET_UNAVAILABLE: it has no
// such target. INVALID_ARGUMENT, RULE_NOT_EXPRESSIBLE: conntrack states beside
// those of NAT, or a comment and a cgroup's path that are too long together.
absl::StatusOr<NftRule> CompileNftRule(Family family, const RuleSpec& rule,
                                       const NftRuleParts& parts);

// The conditions of `rule` alone, without what counts, a verdict and a comment.
absl::StatusOr<NftRule> CompileNftMatch(Family family, const RuleSpec& rule,
                                        const NftRuleParts& parts);

// Ranges of keys of an anonymous set, by its name; nullopt: can't be had.
using NftSetLookup = absl::FunctionRef<std::optional<std::vector<NftElement>>(
    const std::string& name)>;

// The reverse, for any rule in a chain of ours. One that is not ours has what
// can be said of it.
Rule ReadNftRuleOf(Family family, Table table, absl::string_view chain,
                   const NftRuleInfo& info, NftSetLookup sets);

// What else nft prints of a rule.
struct NftRuleTraits {
  bool counts_itself = true;  // beside its counter
  bool asks_quota = false;
  bool goes_to = false;  // a verdict that names a chain does not come back
};

// The rule as `nft -s list` prints it; what is not ours of it by name only.
std::string NftRuleText(Family family, const Rule& rule,
                        const NftRuleTraits& traits);

// The comment in the kernel: "nfmeter:ID", and the user's words where nft can
// print them.
std::string NftRuleComment(absl::string_view id, absl::string_view words);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_H_
