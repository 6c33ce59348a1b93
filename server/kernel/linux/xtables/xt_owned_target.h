// SPDX-License-Identifier: GPL-3.0-or-later
// What rules of owned chains do: the targets of x_tables for it.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_OWNED_TARGET_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_OWNED_TARGET_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// The target that libiptc says the entry of `rule` has.
std::string OwnedTargetName(const OwnedRule& rule);

// Appends the target of `rule` to the bytes of an entry, as libiptc wants it:
// jumps and verdicts by name. INVALID_ARGUMENT: no name of a chain.
absl::Status AppendOwnedTarget(Family family, const OwnedRule& rule,
                               std::vector<uint8_t>& bytes);

// Makes the jump of an entry a goto.
void SetGoto(Family family, std::vector<uint8_t>& entry);

// Takes the name away by which libiptc knows the chain of a jump.
void ClearTargetName(Family family, std::vector<uint8_t>& entry);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_OWNED_TARGET_H_
