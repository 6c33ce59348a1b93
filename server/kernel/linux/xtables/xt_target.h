// SPDX-License-Identifier: GPL-3.0-or-later
// What the codec knows of targets beside verdicts and chains: how iptables-save
// prints them.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_TARGET_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_TARGET_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// The options of an extension target, with a leading space or empty; of one
// without a printer, " [N bytes]". `info` is the target's own struct as the
// kernel sizes it (aligned).
std::string FormatTargetOptions(Family family, absl::string_view name,
                                uint8_t revision,
                                absl::Span<const uint8_t> info);

// The name that iptables-save prints for it where that is another than the
// kernel's (NOTRACK for a kind of CT); else empty.
absl::string_view TargetAlias(absl::string_view name, uint8_t revision,
                              absl::Span<const uint8_t> info);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_TARGET_H_
