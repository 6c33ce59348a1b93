// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/packet_grace.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace nfmeter::kernel {

void WaitForPackets() { syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0); }

}  // namespace nfmeter::kernel
