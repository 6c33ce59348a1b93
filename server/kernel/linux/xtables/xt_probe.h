// Questions about what this kernel has, asked without changing anything.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_PROBE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_PROBE_H_

#include <cstdint>
#include <string>
#include <vector>

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

// Asks the kernel to load what legacy iptables of this family needs, if it is a
// module and the kernel may load it. The socket options through which tables
// are read load nothing. Whether it helped, reading a table tells.
void LoadTables(Family family);

// False: nobody has used this table in this namespace so far, so its built-in
// chains are empty. iptables-save asks the same way, because reading a table
// brings it into being, with hooks that each packet passes from then on. True
// when it can't be known.
bool TableIsInUse(Family family, Table table);

// The tables of nf_tables, "inet filter", in the kernel's order. Empty when
// there are none or they can't be read.
std::vector<std::string> NfTablesTables();

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_PROBE_H_
