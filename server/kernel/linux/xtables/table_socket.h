// SPDX-License-Identifier: GPL-3.0-or-later
// Which sockets iptables' tables are read through.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_TABLE_SOCKET_H_
#define NFMETER_KERNEL_LINUX_XTABLES_TABLE_SOCKET_H_

namespace nfmeter::kernel {

// From now on this process, libiptc included, opens datagram sockets where it
// asks for the raw ones (IPPROTO_RAW) through which libiptc talks to the
// kernel. The kernel answers on any socket of the family and wants
// CAP_NET_ADMIN for that (do_ipt_get_ctl() in net/ipv4/netfilter/ip_tables.c);
// CAP_NET_RAW is for opening a raw one alone. Call it while there is one
// thread.
void UseTablesWithoutRawSockets();

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_TABLE_SOCKET_H_
