// What the two halves of the port matches share: the kernel's structs and the
// range that is no condition.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_PORTS_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_PORTS_H_

#include <linux/dccp.h>
#include <linux/netfilter/xt_dccp.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <netinet/in.h>
// The header has a function that returns C's _Bool, and a macro `bytes`.
#define _Bool bool
#include <linux/netfilter/xt_sctp.h>
#undef _Bool
#undef bytes

#include <vector>

#include "kernel/rule_types.h"

namespace nfmeter::kernel {

using Ports = std::vector<PortRange>;

inline constexpr PortRange kAnyPort = {0, 0xffff};

// sctp and dccp say by flags which of their conditions hold. Their flags for
// ports are the same.
static_assert(XT_SCTP_SRC_PORTS == XT_DCCP_SRC_PORTS &&
              XT_SCTP_DEST_PORTS == XT_DCCP_DEST_PORTS);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_PORTS_H_
