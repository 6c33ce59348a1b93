// SPDX-License-Identifier: GPL-3.0-or-later
// Packets that go by rules which are gone.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_PACKET_GRACE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_PACKET_GRACE_H_

namespace nfmeter::kernel {

// Waits until each packet that was on its way through the rules has come out at
// their end: they go in read sections of RCU. Some 10 ms. Best effort: a kernel
// with nohz_full CPUs refuses to wait (membarrier(2)).
void WaitForPackets();

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_PACKET_GRACE_H_
