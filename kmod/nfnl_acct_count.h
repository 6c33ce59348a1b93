/* SPDX-License-Identifier: GPL-2.0-only */
/* What our nfnetlink_acct exports beyond linux/netfilter/nfnetlink_acct.h. */
#ifndef _NFNL_ACCT_COUNT_H
#define _NFNL_ACCT_COUNT_H

struct net;
struct nf_acct;
struct sk_buff;

/*
 * nfnl_acct_update and nfnl_acct_overquota in one: NFACCT_NO_QUOTA,
 * NFACCT_UNDERQUOTA or NFACCT_OVERQUOTA, this packet counted.
 */
int nfnl_acct_count(const struct sk_buff *skb, struct net *net,
		    struct nf_acct *nfacct);

#endif /* _NFNL_ACCT_COUNT_H */
