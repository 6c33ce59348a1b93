// SPDX-License-Identifier: GPL-2.0-only
/*
 * What packets and rules call: the symbols of linux/netfilter/nfnetlink_acct.h,
 * and one of our own.
 *
 * Callers of nfnl_acct_update, nfnl_acct_overquota and nfnl_acct_count are
 * packets, in netfilter's RCU read-side sections, and hold a reference by their
 * rule.
 *
 * Kernels with symbol versions compute them from the types that this file can
 * see. It therefore includes what the kernel's own module does and defines
 * struct nf_acct as that one, so that the xtables modules of either side load
 * with the other's objects. Nobody looks into it: it is the outside's name of
 * struct acct.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/kernel.h>
#include <linux/skbuff.h>
#include <linux/atomic.h>
#include <linux/refcount.h>
#include <linux/netlink.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/types.h>
#include <linux/errno.h>
#include <net/netlink.h>
#include <net/sock.h>
#include <net/netns/generic.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>

#include "nfnetlink_acct.h"
#include "nfnl_acct_count.h"

struct nf_acct {
	atomic64_t		pkts;
	atomic64_t		bytes;
	unsigned long		flags;
	struct list_head	head;
	refcount_t		refcnt;
	char			name[NFACCT_NAME_MAX];
	struct rcu_head		rcu_head;
	char			data[];
};

static struct acct *to_acct(struct nf_acct *nfacct)
{
	return (struct acct *)nfacct;
}

struct nf_acct *nfnl_acct_find_get(struct net *net, const char *acct_name)
{
	return (struct nf_acct *)acct_get(acct_pernet(net), acct_name);
}
EXPORT_SYMBOL_GPL(nfnl_acct_find_get);

void nfnl_acct_put(struct nf_acct *nfacct)
{
	acct_put(to_acct(nfacct));
}
EXPORT_SYMBOL_GPL(nfnl_acct_put);

/* False if the object counts for a quota: then that has to be looked at. */
static __always_inline bool acct_count(struct acct *acct, u32 len)
{
	struct acct_cpu __percpu *cpu = READ_ONCE(acct->cpu);

	if (likely(cpu)) {
		acct_cpu_count(cpu, len);
		return true;
	}
	atomic64_inc(&acct->pkts);
	atomic64_add(len, &acct->bytes);
	return false;
}

void nfnl_acct_update(const struct sk_buff *skb, struct nf_acct *nfacct)
{
	acct_count(to_acct(nfacct), skb->len);
}
EXPORT_SYMBOL_GPL(nfnl_acct_update);

/* Apart, so that objects without a quota don't pay for it. */
static noinline int acct_compare(struct net *net, struct acct *acct)
{
	const struct acct_quota *quota;
	int result = NFACCT_NO_QUOTA;
	unsigned int seq;
	u64 spent;

	rcu_read_lock();
	do {
		seq = read_seqbegin(&acct->lock);
		quota = rcu_dereference(acct->quota);
		spent = quota ? acct_spent(acct, quota) : 0;
	} while (read_seqretry(&acct->lock, seq));

	if (quota) {
		if (spent >= quota->limit && !READ_ONCE(quota->over))
			acct_cross(net, acct, quota);
		result = spent > quota->limit ? NFACCT_OVERQUOTA :
						NFACCT_UNDERQUOTA;
	}
	rcu_read_unlock();
	return result;
}

int nfnl_acct_overquota(struct net *net, struct nf_acct *nfacct)
{
	struct acct *acct = to_acct(nfacct);

	if (!rcu_access_pointer(acct->quota))
		return NFACCT_NO_QUOTA;
	return acct_compare(net, acct);
}
EXPORT_SYMBOL_GPL(nfnl_acct_overquota);

int nfnl_acct_count(const struct sk_buff *skb, struct net *net,
		    struct nf_acct *nfacct)
{
	struct acct *acct = to_acct(nfacct);

	if (likely(acct_count(acct, skb->len)))
		return NFACCT_NO_QUOTA;
	return acct_compare(net, acct);
}
EXPORT_SYMBOL_GPL(nfnl_acct_count);
