// SPDX-License-Identifier: GPL-2.0-only
/* Accounting objects: lifetime, counters, quotas. See nfnetlink_acct.h. */
#include <linux/errno.h>
#include <linux/rcupdate.h>
#include <linux/rhashtable.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nfnetlink_acct.h"

static const struct rhashtable_params acct_names = {
	.key_len		= NFACCT_NAME_MAX,
	.key_offset		= offsetof(struct acct, name),
	.head_offset		= offsetof(struct acct, node),
	.automatic_shrinking	= true,
};

static struct acct_quota *acct_quota_of(struct acct_net *an,
					const struct acct *acct)
{
	return rcu_dereference_protected(acct->quota,
					 lockdep_is_held(&an->lock));
}

static struct acct_cpu __percpu *acct_cpu_alloc(void)
{
	struct acct_cpu __percpu *cpu;
	int i;

	/* Aligned so that no pair of counters spans two cache lines. */
	cpu = __alloc_percpu_gfp(sizeof(*cpu),
				 roundup_pow_of_two(sizeof(*cpu)),
				 GFP_KERNEL_ACCOUNT);
	if (!cpu)
		return NULL;
	for_each_possible_cpu(i)
		u64_stats_init(&per_cpu_ptr(cpu, i)->syncp);
	return cpu;
}

static void acct_cpu_sum(struct acct_cpu __percpu *cpu, u64 *pkts, u64 *bytes)
{
	unsigned int i;

	if (!cpu)
		return;
	/* A dump's inner loop: to test a bit is less than to search for it. */
	for (i = 0; i < nr_cpu_ids; i++) {
		u64 p, b;

		if (!cpu_possible(i))
			continue;
		acct_cpu_read(per_cpu_ptr(cpu, i), &p, &b);
		*pkts += p;
		*bytes += b;
	}
}

static struct acct_quota *acct_quota_alloc(u32 flags, u64 limit)
{
	struct acct_quota *quota = kzalloc(sizeof(*quota), GFP_KERNEL_ACCOUNT);

	if (quota) {
		quota->flags = flags;
		quota->limit = limit;
	}
	return quota;
}

static void acct_free(struct acct *acct)
{
	kfree(rcu_access_pointer(acct->quota));
	free_percpu(acct->cpu);
	kfree(acct);
}

static void acct_free_rcu(struct rcu_head *rcu)
{
	acct_free(container_of(rcu, struct acct, rcu));
}

/* No lookup finds the object after this. */
static void acct_unlink(struct acct_net *an, struct acct *acct)
{
	rhashtable_remove_fast(&an->names, &acct->node, acct_names);
	xa_erase(&an->ids, acct->id);
	an->count--;
	if (!++an->seq)
		an->seq = 1;
}

static int acct_link(struct acct_net *an, struct acct *acct)
{
	int err;

	do {
		/* A dump goes on at the next number: there has to be one. */
		if (++an->last_id == ULONG_MAX)
			an->last_id = 1;
		acct->id = an->last_id;
		err = xa_insert(&an->ids, acct->id, acct, GFP_KERNEL_ACCOUNT);
	} while (err == -EBUSY);
	if (err)
		return err;

	err = rhashtable_insert_fast(&an->names, &acct->node, acct_names);
	if (err) {
		xa_erase(&an->ids, acct->id);
		/* The table can't grow now: EBUSY would tell of a duplicate. */
		return -ENOMEM;
	}
	an->count++;
	if (!++an->seq)
		an->seq = 1;
	return 0;
}

struct acct *acct_find(struct acct_net *an, const char *name)
{
	lockdep_assert_held(&an->lock);
	return rhashtable_lookup_fast(&an->names, name, acct_names);
}

int acct_create(struct acct_net *an, const char *name,
		const struct acct_wish *wish, unsigned int max)
{
	struct acct *acct;
	int err = -ENOMEM;

	lockdep_assert_held(&an->lock);
	if (an->count >= max)
		return -ENOSPC;

	acct = kzalloc(sizeof(*acct), GFP_KERNEL_ACCOUNT);
	if (!acct)
		return -ENOMEM;
	memcpy(acct->name, name, NFACCT_NAME_MAX);
	acct->name_size = strlen(name) + 1;
	seqlock_init(&acct->lock);
	refcount_set(&acct->refcnt, 1);
	atomic64_set(&acct->pkts, wish->pkts);
	atomic64_set(&acct->bytes, wish->bytes);
	if (wish->flags) {
		struct acct_quota *quota;

		quota = acct_quota_alloc(wish->flags, wish->limit);
		if (!quota)
			goto free;
		RCU_INIT_POINTER(acct->quota, quota);
	} else {
		acct->cpu = acct_cpu_alloc();
		if (!acct->cpu)
			goto free;
	}

	err = acct_link(an, acct);
	if (err)
		goto free_after_readers;
	return 0;

free:
	acct_free(acct);
	return err;
free_after_readers:
	/* A reader of the hash chain may have seen it. */
	call_rcu(&acct->rcu, acct_free_rcu);
	return err;
}

int acct_delete(struct acct_net *an, struct acct *acct)
{
	lockdep_assert_held(&an->lock);
	if (!refcount_dec_if_one(&acct->refcnt))
		return -EBUSY;
	acct_unlink(an, acct);
	call_rcu(&acct->rcu, acct_free_rcu);
	return 0;
}

bool acct_look_if(struct acct_net *an, struct acct *acct,
		  struct acct_view *view, u32 mask, u32 value)
{
	const struct acct_quota *quota = acct_quota_of(an, acct);

	view->flags = 0;
	view->limit = 0;
	if (quota) {
		view->flags = quota->flags |
			      (READ_ONCE(quota->over) ? NFACCT_F_OVERQUOTA : 0);
		view->limit = quota->limit;
	}
	/* Before the counters, which are read from every CPU. */
	if ((view->flags & mask) != value)
		return false;
	view->name = acct->name;
	view->name_size = acct->name_size;
	view->use = refcount_read(&acct->refcnt);
	view->pkts = atomic64_read(&acct->pkts);
	view->bytes = atomic64_read(&acct->bytes);
	acct_cpu_sum(acct->cpu, &view->pkts, &view->bytes);
	return true;
}

void acct_look(struct acct_net *an, struct acct *acct, struct acct_view *view)
{
	acct_look_if(an, acct, view, 0, 0);
}

void acct_subtract(struct acct_net *an, struct acct *acct,
		   const struct acct_view *view)
{
	struct acct_quota *quota = acct_quota_of(an, acct);

	if (!quota) {
		atomic64_sub(view->pkts, &acct->pkts);
		atomic64_sub(view->bytes, &acct->bytes);
		return;
	}
	/* A packet must not compare the old value with the limit armed anew. */
	write_seqlock_bh(&acct->lock);
	atomic64_sub(view->pkts, &acct->pkts);
	atomic64_sub(view->bytes, &acct->bytes);
	WRITE_ONCE(quota->over, false);
	write_sequnlock_bh(&acct->lock);
}

/*
 * Moves what was counted per CPU to the shared counters, for a quota to look
 * at. Packets that were about to count per CPU are waited for, or they would
 * be missing in the comparison for good.
 */
static void acct_cpu_fold(struct acct *acct)
{
	struct acct_cpu __percpu *cpu = acct->cpu;
	u64 pkts = 0, bytes = 0;

	if (!cpu)
		return;
	WRITE_ONCE(acct->cpu, NULL);
	/* nfnetlink's lock is held, and all namespaces' requests wait for it. */
	synchronize_rcu_expedited();
	acct_cpu_sum(cpu, &pkts, &bytes);
	atomic64_add(pkts, &acct->pkts);
	atomic64_add(bytes, &acct->bytes);
	free_percpu(cpu);
}

/*
 * All memory is taken before anything changes, and the change itself is one
 * step for packets. Users are kept out by the namespace's lock.
 */
int acct_change(struct acct_net *an, struct acct *acct,
		const struct acct_wish *wish)
{
	struct acct_quota *old = acct_quota_of(an, acct), *new = NULL;
	u32 flags = wish->set_flags ? wish->flags : old ? old->flags : 0;
	struct acct_cpu __percpu *cpu = NULL;
	struct acct_view now;

	if (wish->set_limit && !flags && !wish->set_flags)
		return -EINVAL;
	if (flags) {
		new = acct_quota_alloc(flags, wish->set_limit ? wish->limit :
							       old->limit);
		if (!new)
			return -ENOMEM;
		acct_cpu_fold(acct);
	} else if (old) {
		cpu = acct_cpu_alloc();
		if (!cpu)
			return -ENOMEM;
	}

	write_seqlock_bh(&acct->lock);
	acct_look(an, acct, &now);
	if (wish->set_pkts)
		atomic64_add(wish->pkts - now.pkts, &acct->pkts);
	if (wish->set_bytes)
		atomic64_add(wish->bytes - now.bytes, &acct->bytes);
	rcu_assign_pointer(acct->quota, new);
	if (cpu)
		/* Whoever sees the counters sees them initialised. */
		smp_store_release(&acct->cpu, cpu);
	write_sequnlock_bh(&acct->lock);

	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

void acct_cross(struct net *net, struct acct *acct,
		const struct acct_quota *quota)
{
	struct acct_quota *mine;
	struct acct_view view;
	bool first = false;

	read_seqlock_excl_bh(&acct->lock);
	mine = rcu_dereference(acct->quota);
	if (mine == quota && !mine->over &&
	    acct_spent(acct, mine) >= mine->limit) {
		WRITE_ONCE(mine->over, true);
		first = true;
		view.name = acct->name;
		view.name_size = acct->name_size;
		view.pkts = atomic64_read(&acct->pkts);
		view.bytes = atomic64_read(&acct->bytes);
		view.use = refcount_read(&acct->refcnt);
		view.flags = mine->flags | NFACCT_F_OVERQUOTA;
		view.limit = mine->limit;
	}
	read_sequnlock_excl_bh(&acct->lock);
	if (first)
		acct_report(net, &view);
}

struct acct *acct_get(struct acct_net *an, const char *name)
{
	char key[NFACCT_NAME_MAX] __aligned(4) = {};
	struct acct *acct;

	if (strnlen(name, sizeof(key)) == sizeof(key))
		return NULL;
	strscpy(key, name, sizeof(key));

	rcu_read_lock();
	acct = rhashtable_lookup(&an->names, key, acct_names);
	if (acct && !refcount_inc_not_zero(&acct->refcnt))
		acct = NULL;
	rcu_read_unlock();
	return acct;
}

void acct_put(struct acct *acct)
{
	if (refcount_dec_and_test(&acct->refcnt))
		call_rcu(&acct->rcu, acct_free_rcu);
}

int acct_net_init(struct acct_net *an)
{
	mutex_init(&an->lock);
	/* Charges the nodes that xa_insert() takes under its own lock, too. */
	xa_init_flags(&an->ids, XA_FLAGS_ACCOUNT);
	an->seq = 1;
	return rhashtable_init(&an->names, &acct_names);
}

/* Objects that rules still hold live on until those are gone. */
void acct_net_exit(struct acct_net *an)
{
	struct acct *acct;
	unsigned long id;

	mutex_lock(&an->lock);
	xa_for_each(&an->ids, id, acct) {
		acct_unlink(an, acct);
		acct_put(acct);
		cond_resched();
	}
	mutex_unlock(&an->lock);
	xa_destroy(&an->ids);
	rhashtable_destroy(&an->names);
	mutex_destroy(&an->lock);
}
