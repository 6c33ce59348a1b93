// SPDX-License-Identifier: GPL-3.0-or-later
// The NFACCT target of nfmeter's own kernel module xt_NFACCT (kmod/): counts,
// and goes on.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_ACCT_TARGET_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_ACCT_TARGET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

inline constexpr size_t kAcctTargetNameBytes = 32;  // NFACCT_NAME_MAX

// Its struct, as kmod/include/xt_NFACCT.h has it for the kernel.
struct XtAcctTargetInfo {
  char name[kAcctTargetNameBytes];
  void* object __attribute__((aligned(8)));  // the kernel's own
};

// Appends the target of a rule that counts by it. INVALID_ARGUMENT: the name
// does not fit, or the rule has another verdict than to continue.
absl::Status AppendAcctTarget(const RuleSpec& rule,
                              std::vector<uint8_t>& bytes);

// Sets counter, form and verdict.
bool DecodeAcctTarget(const MatchContext& context, const XtAcctTargetInfo& info,
                      DecodedEntry& out);

// As iptables-save prints it: " --nfacct-name NAME".
void PrintAcctTarget(const MatchContext& context, const XtAcctTargetInfo& info,
                     std::string& text);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_ACCT_TARGET_H_
