/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differences between kernels from 5.10 on: all of them are here.
 *
 * Linux 5.13 gave nfnetlink callbacks one argument for all they need to know
 * (struct nfnl_info) and named the lock that they run under. The modules are
 * written for that; here, older kernels get the same struct, and callbacks of
 * the old shape that fill it in.
 */
#ifndef _NFACCT_COMPAT_H
#define _NFACCT_COMPAT_H

#include <linux/version.h>
#include <linux/netfilter/nfnetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "Linux 5.10 or newer is needed"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 13, 0)

struct nfnl_info {
	struct net		*net;
	struct sock		*sk;
	const struct nlmsghdr	*nlh;
	struct netlink_ext_ack	*extack;
};

#define NFACCT_CALLBACK(fn)						\
static int fn##_call(struct net *net, struct sock *sk,			\
		     struct sk_buff *skb, const struct nlmsghdr *nlh,	\
		     const struct nlattr * const tb[],			\
		     struct netlink_ext_ack *extack)			\
{									\
	const struct nfnl_info info = {					\
		.net = net, .sk = sk, .nlh = nlh, .extack = extack,	\
	};								\
									\
	return fn(skb, &info, tb);					\
}

#define NFACCT_CB(fn, pol, max) \
	{ .call = fn##_call, .policy = (pol), .attr_count = (max) }

#else

#define NFACCT_CALLBACK(fn)

#define NFACCT_CB(fn, pol, max)						\
	{ .call = (fn), .type = NFNL_CB_MUTEX, .policy = (pol),		\
	  .attr_count = (max) }

#endif

#endif /* _NFACCT_COMPAT_H */
