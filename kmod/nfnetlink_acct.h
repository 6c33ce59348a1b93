/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accounting objects: what the parts of nfnetlink_acct.ko know of each other.
 *
 *   nfnetlink_acct_object.c   the objects: lifetime, counters, quotas
 *   nfnetlink_acct_netlink.c  the commands of users
 *   nfnetlink_acct_message.c  the messages that answer them, and events
 *   nfnetlink_acct_symbols.c  what packets and rules call
 *
 * Lifetime. An object is created with one reference, that of its namespace's
 * table; each rule holds another. Only an object that no rule holds is deleted
 * on request (the count goes from 1 to 0 in one step, after which no lookup can
 * take a reference any more); a namespace that goes away drops its own
 * reference, and the last rule frees the object. Memory is freed after an RCU
 * grace period, for packets and lookups that still look at it.
 *
 * Locking.
 *   acct_net.lock (mutex)  the table of a namespace, and everything that users
 *                          change in its objects. Dumps hold it for one message
 *                          buffer at a time. Taken inside nfnetlink's lock and
 *                          the socket's dump lock.
 *   acct.lock (seqlock)    makes a change of values and quota one step for a
 *                          packet that compares them, and lets one packet alone
 *                          report that a limit was crossed. Innermost.
 *   RCU                    lookups by name from rules, and packets: netfilter
 *                          hooks run in read-side sections.
 *
 * Counting. An object without a quota counts per CPU, in acct.cpu; one with a
 * quota counts in the shared acct.pkts and acct.bytes, because every packet has
 * to be compared with the exact sum. The value is always the sum of both, so
 * that setting a counter is an addition of the difference to the shared part:
 * whatever is counted meanwhile stays counted. The shared part of an object that
 * counts per CPU is negative after a reset.
 */
#ifndef _NFNETLINK_ACCT_INTERNAL_H
#define _NFNETLINK_ACCT_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bottom_half.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/seqlock.h>
#include <linux/u64_stats_sync.h>
#include <linux/xarray.h>
#include <linux/netfilter/nfnetlink_acct.h>

#define NFACCT_F_QUOTA	(NFACCT_F_QUOTA_PKTS | NFACCT_F_QUOTA_BYTES)

struct acct_cpu {
	u64			pkts;
	u64			bytes;
	struct u64_stats_sync	syncp;	/* empty on 64-bit */
};

/* Immutable but for @over; replaced as a whole. */
struct acct_quota {
	u64			limit;
	u32			flags;	/* one of NFACCT_F_QUOTA */
	bool			over;	/* written under acct.lock */
	struct rcu_head		rcu;
};

struct acct {
	/* Read for every packet; @cpu is NULL while there is a quota. */
	struct acct_cpu __percpu	*cpu;
	struct acct_quota __rcu		*quota;

	/* The table's; the name is padded with zeros, being a hash key. */
	struct rhash_head		node;
	char				name[NFACCT_NAME_MAX] __aligned(4);
	unsigned int			name_size;	/* its NUL included */
	refcount_t			refcnt;

	/* What neither packets nor dumps read. */
	unsigned long			id;
	struct rcu_head			rcu;

	/* Written by packets of objects with a quota: a line of their own. */
	atomic64_t			pkts ____cacheline_aligned_in_smp;
	atomic64_t			bytes;
	seqlock_t			lock;
};

/* The objects of one network namespace. */
struct acct_net {
	struct mutex		lock;	/* of all below, see above */
	struct rhashtable	names;

	/*
	 * By number, in the order of creation. Numbers are not used again (on
	 * 32-bit: not before four thousand million others), so the number of
	 * the object looked at last is all that a dump has to remember.
	 */
	struct xarray		ids;
	unsigned long		last_id;
	unsigned int		count;

	/* Changes when an object comes or goes; never 0, for netlink. */
	unsigned int		seq;
};

/* The state of an object at one time. */
struct acct_view {
	const char	*name;		/* padded with zeros */
	unsigned int	name_size;	/* its NUL included */
	u64		pkts;
	u64		bytes;
	u32		use;
	u32		flags;
	u64		limit;
};

/* What a user asks an object to become. */
struct acct_wish {
	bool		set_pkts;
	bool		set_bytes;
	bool		set_flags;
	bool		set_limit;
	u64		pkts;
	u64		bytes;
	u32		flags;
	u64		limit;
};

int acct_net_init(struct acct_net *an);
void acct_net_exit(struct acct_net *an);

/* With acct_net.lock held; @name is zero-padded to NFACCT_NAME_MAX. */
struct acct *acct_find(struct acct_net *an, const char *name);
int acct_create(struct acct_net *an, const char *name,
		const struct acct_wish *wish, unsigned int max);
int acct_delete(struct acct_net *an, struct acct *acct);
void acct_look(struct acct_net *an, struct acct *acct, struct acct_view *view);
/* Only if its flags are @value under @mask; false if they are not. */
bool acct_look_if(struct acct_net *an, struct acct *acct,
		  struct acct_view *view, u32 mask, u32 value);
void acct_subtract(struct acct_net *an, struct acct *acct,
		   const struct acct_view *view);
int acct_change(struct acct_net *an, struct acct *acct,
		const struct acct_wish *wish);

/* From anywhere. */
struct acct *acct_get(struct acct_net *an, const char *name);
void acct_put(struct acct *acct);

/*
 * For a packet that found @quota's limit reached, in its RCU read-side section:
 * reports it, if no other packet has and nobody has changed the object since.
 */
void acct_cross(struct net *net, struct acct *acct,
		const struct acct_quota *quota);

struct acct_net *acct_pernet(const struct net *net);
void acct_report(struct net *net, const struct acct_view *view);

static inline u64 acct_spent(const struct acct *acct,
			     const struct acct_quota *quota)
{
	return quota->flags & NFACCT_F_QUOTA_PKTS ?
	       atomic64_read(&acct->pkts) : atomic64_read(&acct->bytes);
}

#if BITS_PER_LONG == 64
/* One instruction each on most machines, whatever interrupts them. */
static inline void acct_cpu_count(struct acct_cpu __percpu *cpu, u32 len)
{
	this_cpu_inc(cpu->pkts);
	this_cpu_add(cpu->bytes, len);
}

static inline void acct_cpu_read(const struct acct_cpu *one, u64 *pkts,
				 u64 *bytes)
{
	*pkts = READ_ONCE(one->pkts);
	*bytes = READ_ONCE(one->bytes);
}
#else
static inline void acct_cpu_count(struct acct_cpu __percpu *cpu, u32 len)
{
	struct acct_cpu *mine;

	local_bh_disable();
	mine = this_cpu_ptr(cpu);
	u64_stats_update_begin(&mine->syncp);
	mine->pkts++;
	mine->bytes += len;
	u64_stats_update_end(&mine->syncp);
	local_bh_enable();
}

static inline void acct_cpu_read(const struct acct_cpu *one, u64 *pkts,
				 u64 *bytes)
{
	unsigned int start;

	/* A machine with one CPU has no other guard against its packets. */
	local_bh_disable();
	do {
		start = u64_stats_fetch_begin(&one->syncp);
		*pkts = one->pkts;
		*bytes = one->bytes;
	} while (u64_stats_fetch_retry(&one->syncp, start));
	local_bh_enable();
}
#endif

#endif /* _NFNETLINK_ACCT_INTERNAL_H */
