/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a module of rules counts a packet, to be included by its one source: with
 * one call where the objects' module is ours, with two where it is the kernel's
 * own. Which it is, is found out when the module of rules is loaded: that of the
 * objects is held by it from then on.
 */
#ifndef _XT_NFACCT_COUNT_H
#define _XT_NFACCT_COUNT_H

#include <linux/module.h>
#include <linux/static_call.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netfilter/x_tables.h>

#include "nfnl_acct_count.h"

static int nfacct_count_in_two(const struct sk_buff *skb, struct net *net,
			       struct nf_acct *nfacct)
{
	nfnl_acct_update(skb, nfacct);
	return nfnl_acct_overquota(net, nfacct);
}

DEFINE_STATIC_CALL(nfacct_count, nfacct_count_in_two);

static bool nfacct_count_held;

static void __init nfacct_count_find(void)
{
	typeof(nfnl_acct_count) *in_one = symbol_get(nfnl_acct_count);

	nfacct_count_held = in_one;
	if (in_one)
		static_call_update(nfacct_count, in_one);
}

static void nfacct_count_forget(void)
{
	if (nfacct_count_held)
		symbol_put(nfnl_acct_count);
}

static int nfacct_count(const struct sk_buff *skb,
			const struct xt_action_param *par,
			struct nf_acct *nfacct)
{
	return static_call(nfacct_count)(skb, xt_net(par), nfacct);
}

#endif /* _XT_NFACCT_COUNT_H */
