// SPDX-License-Identifier: GPL-3.0-or-later
// Questions about what this kernel has, asked without changing anything.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_PROBE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_PROBE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// All of these look at the network namespace of the calling thread.

// OK: the kernel has this match in this revision (it loads the module if need
// be and if it may). UNIMPLEMENTED, MATCH_UNAVAILABLE: it has not.
// PERMISSION_DENIED.
absl::Status ProbeMatchRevision(Family family, absl::string_view name,
                                uint8_t revision);

// The same of a target. UNIMPLEMENTED, TARGET_UNAVAILABLE.
absl::Status ProbeTargetRevision(Family family, absl::string_view name,
                                 uint8_t revision);

// OK: the kernel has legacy iptables of this family, and this process may use
// it. Whether the module of a table is there shows only when the first rule is
// made: to ask for a table makes it. UNIMPLEMENTED, TABLE_UNAVAILABLE.
// PERMISSION_DENIED.
absl::Status ProbeIpTables(Family family);

// The same, and has the kernel load what it lacks, if it may.
absl::Status ProbeTables(Family family);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_PROBE_H_
