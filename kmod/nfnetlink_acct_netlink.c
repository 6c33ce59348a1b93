// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands of nfnetlink's accounting subsystem. Answers and error codes
 * are those of the kernel's own module where both know the request: what
 * programs see of it is the interface.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "compat.h"
#include "nfnetlink_acct.h"
#include "nfnetlink_acct_message.h"
#include "include/nfnetlink_acct_ext.h"

static unsigned int max_objects __read_mostly = 1000000;
module_param(max_objects, uint, 0644);
MODULE_PARM_DESC(max_objects,
		 "Most accounting objects in one network namespace (default 1000000)");

static unsigned int acct_net_id __read_mostly;

static const struct nla_policy acct_policy[NFACCT_EXT_MAX + 1] = {
	[NFACCT_NAME]	= { .type = NLA_NUL_STRING, .len = NFACCT_NAME_MAX - 1 },
	[NFACCT_PKTS]	= { .type = NLA_U64 },
	[NFACCT_BYTES]	= { .type = NLA_U64 },
	[NFACCT_FLAGS]	= { .type = NLA_U32 },
	[NFACCT_QUOTA]	= { .type = NLA_U64 },
	[NFACCT_FILTER]	= { .type = NLA_NESTED },
	[NFACCT_EXT_REPLACE] = { .type = NLA_FLAG },
};

static const struct nla_policy acct_filter_policy[NFACCT_FILTER_MAX + 1] = {
	[NFACCT_FILTER_MASK]	= { .type = NLA_U32 },
	[NFACCT_FILTER_VALUE]	= { .type = NLA_U32 },
};

struct acct_net *acct_pernet(const struct net *net)
{
	return net_generic(net, acct_net_id);
}

static void acct_name(char name[NFACCT_NAME_MAX], const struct nlattr *attr)
{
	memset(name, 0, NFACCT_NAME_MAX);
	/* The policy has seen to the length and the end. */
	strscpy(name, nla_data(attr), NFACCT_NAME_MAX);
}

static int acct_wish_parse(struct acct_wish *wish,
			   const struct nlattr * const tb[],
			   struct netlink_ext_ack *extack)
{
	memset(wish, 0, sizeof(*wish));
	if (tb[NFACCT_PKTS]) {
		wish->set_pkts = true;
		wish->pkts = be64_to_cpu(nla_get_be64(tb[NFACCT_PKTS]));
	}
	if (tb[NFACCT_BYTES]) {
		wish->set_bytes = true;
		wish->bytes = be64_to_cpu(nla_get_be64(tb[NFACCT_BYTES]));
	}
	if (tb[NFACCT_QUOTA]) {
		wish->set_limit = true;
		wish->limit = be64_to_cpu(nla_get_be64(tb[NFACCT_QUOTA]));
	}
	if (!tb[NFACCT_FLAGS])
		return 0;

	wish->set_flags = true;
	wish->flags = ntohl(nla_get_be32(tb[NFACCT_FLAGS]));
	if (wish->flags & ~NFACCT_F_QUOTA) {
		NL_SET_ERR_MSG(extack, "Only the two quota flags can be set");
		return -EOPNOTSUPP;
	}
	if (wish->flags == NFACCT_F_QUOTA) {
		NL_SET_ERR_MSG(extack,
			       "A quota is either of packets or of bytes");
		return -EINVAL;
	}
	if (wish->flags && !wish->set_limit) {
		NL_SET_ERR_MSG(extack, "A quota needs its limit");
		return -EINVAL;
	}
	return 0;
}

/* As the kernel's own module does: to zero, and armed again. */
static void acct_reset(struct acct_net *an, struct acct *acct)
{
	struct acct_view view;

	acct_look(an, acct, &view);
	acct_subtract(an, acct, &view);
}

static int acct_replace(struct acct_net *an, struct acct *acct,
			const struct nlattr * const tb[],
			struct netlink_ext_ack *extack)
{
	struct acct_wish wish;
	int err;

	err = acct_wish_parse(&wish, tb, extack);
	if (err)
		return err;
	err = acct_change(an, acct, &wish);
	if (err == -EINVAL)
		NL_SET_ERR_MSG(extack,
			       "A limit needs a flag: this object has no quota");
	return err;
}

static int acct_add(struct acct_net *an, const char *name,
		    const struct nlattr * const tb[],
		    struct netlink_ext_ack *extack)
{
	struct acct_wish wish;
	int err;

	err = acct_wish_parse(&wish, tb, extack);
	if (err)
		return err;
	err = acct_create(an, name, &wish, READ_ONCE(max_objects));
	if (err == -ENOSPC)
		NL_SET_ERR_MSG(extack,
			       "This namespace has max_objects objects (parameter of nfnetlink_acct)");
	return err;
}

static int acct_new(struct sk_buff *skb, const struct nfnl_info *info,
		    const struct nlattr * const tb[])
{
	struct acct_net *an = acct_pernet(info->net);
	char name[NFACCT_NAME_MAX] __aligned(4);
	u16 flags = info->nlh->nlmsg_flags;
	struct acct *acct;
	int err = 0;

	if (!tb[NFACCT_NAME])
		return -EINVAL;
	acct_name(name, tb[NFACCT_NAME]);
	if (!name[0])
		return -EINVAL;

	mutex_lock(&an->lock);
	acct = acct_find(an, name);
	if (acct && flags & NLM_F_EXCL)
		err = -EEXIST;
	else if (acct && !(flags & NLM_F_REPLACE))
		err = -EBUSY;
	else if (acct && tb[NFACCT_EXT_REPLACE])
		err = acct_replace(an, acct, tb, info->extack);
	else if (acct)
		acct_reset(an, acct);
	else if (flags & NLM_F_REPLACE && tb[NFACCT_EXT_REPLACE] &&
		 !(flags & NLM_F_CREATE))
		err = -ENOENT;
	else
		err = acct_add(an, name, tb, info->extack);
	mutex_unlock(&an->lock);
	return err;
}

NFACCT_CALLBACK(acct_new)

static int acct_del(struct sk_buff *skb, const struct nfnl_info *info,
		    const struct nlattr * const tb[])
{
	struct acct_net *an = acct_pernet(info->net);
	char name[NFACCT_NAME_MAX] __aligned(4);
	struct acct *acct;
	unsigned long id;
	int err = 0;

	mutex_lock(&an->lock);
	if (tb[NFACCT_NAME]) {
		acct_name(name, tb[NFACCT_NAME]);
		acct = acct_find(an, name);
		err = acct ? acct_delete(an, acct) : -ENOENT;
	} else {
		/* Those that rules hold stay, and that is no error. */
		xa_for_each(&an->ids, id, acct) {
			acct_delete(an, acct);
			cond_resched();
		}
	}
	mutex_unlock(&an->lock);
	return err;
}

NFACCT_CALLBACK(acct_del)

static int acct_get_features(struct sk_buff *skb, const struct nfnl_info *info)
{
	const u32 portid = NETLINK_CB(skb).portid;
	struct sk_buff *answer;

	answer = acct_msg_alloc(GFP_KERNEL);
	if (!answer)
		return -ENOMEM;
	acct_msg_put_features(answer, portid, info->nlh->nlmsg_seq,
			      NFACCT_EXT_F_HASH | NFACCT_EXT_F_PERCPU |
			      NFACCT_EXT_F_STABLE_DUMP |
			      NFACCT_EXT_F_DUMP_INTR |
			      NFACCT_EXT_F_LOSSLESS_RESET |
			      NFACCT_EXT_F_REPLACE);
	return nfnetlink_unicast(answer, info->net, portid);
}

static bool acct_is_reset(const struct nlmsghdr *nlh)
{
	return NFNL_MSG_TYPE(nlh->nlmsg_type) == NFNL_MSG_ACCT_GET_CTRZERO;
}

static int acct_get_one(struct sk_buff *skb, const struct nfnl_info *info,
			const struct nlattr *attr)
{
	struct acct_net *an = acct_pernet(info->net);
	const u32 portid = NETLINK_CB(skb).portid;
	char name[NFACCT_NAME_MAX] __aligned(4);
	struct acct_view view;
	struct sk_buff *answer;
	struct acct *acct;
	int err = -ENOENT;

	acct_name(name, attr);
	answer = acct_msg_alloc(GFP_KERNEL);
	if (!answer)
		return -ENOMEM;

	mutex_lock(&an->lock);
	acct = acct_find(an, name);
	if (!acct)
		goto unlock;
	acct_look(an, acct, &view);
	err = -EMSGSIZE;
	if (!acct_msg_put(answer, portid, info->nlh->nlmsg_seq, &view))
		goto unlock;
	/* What could not be delivered is not reset. */
	err = nfnetlink_unicast(answer, info->net, portid);
	answer = NULL;
	if (!err && acct_is_reset(info->nlh))
		acct_subtract(an, acct, &view);
unlock:
	mutex_unlock(&an->lock);
	kfree_skb(answer);
	return err;
}

/* How many objects a filter passes over before others may run. */
#define ACCT_DUMP_BREATH	1024

/* A dump in progress, in the callback's own memory. */
struct acct_dump {
	unsigned long	last;	/* number of the object looked at last */
	u32		mask;	/* of flags; no filter: 0, which all match */
	u32		value;
};

static struct acct_dump *acct_dump_of(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct acct_dump) > sizeof(cb->ctx));
	return (struct acct_dump *)cb->ctx;
}

static int acct_dump_start(struct netlink_callback *cb)
{
	struct acct_dump *dump = acct_dump_of(cb);
	struct nlattr *tb[NFACCT_FILTER_MAX + 1];
	const struct nlattr *attr = cb->data;
	int err;

	if (!attr)
		return 0;
	err = nla_parse_nested_deprecated(tb, NFACCT_FILTER_MAX, attr,
					  acct_filter_policy, NULL);
	if (err < 0)
		return err;
	if (!tb[NFACCT_FILTER_MASK] || !tb[NFACCT_FILTER_VALUE])
		return -EINVAL;
	dump->mask = ntohl(nla_get_be32(tb[NFACCT_FILTER_MASK]));
	dump->value = ntohl(nla_get_be32(tb[NFACCT_FILTER_VALUE]));
	return 0;
}

static int acct_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct acct_net *an = acct_pernet(sock_net(skb->sk));
	struct acct_dump *dump = acct_dump_of(cb);
	const bool reset = acct_is_reset(cb->nlh);
	XA_STATE(xas, &an->ids, dump->last + 1);
	unsigned int skipped = 0;
	struct acct_view view;
	struct acct *acct;

	mutex_lock(&an->lock);
	/*
	 * Readers tend to stop at the first message that is marked as
	 * interrupted: the nfacct tool in the middle of its list, and who resets
	 * would lose what was taken out of the counters already. So a dump is
	 * marked at its end alone, where the core compares cb->seq with
	 * cb->prev_seq as it was at the start.
	 */
	cb->seq = an->seq;
	if (!cb->prev_seq)
		cb->prev_seq = cb->seq;
	/* The lock keeps the objects; that of RCU is what xas_* asks for. */
	rcu_read_lock();
	xas_for_each(&xas, acct, ULONG_MAX) {
		if (acct_look_if(an, acct, &view, dump->mask, dump->value)) {
			if (!acct_msg_put(skb, NETLINK_CB(cb->skb).portid,
					  cb->nlh->nlmsg_seq, &view))
				break;
			if (reset)
				acct_subtract(an, acct, &view);
		} else if (++skipped % ACCT_DUMP_BREATH == 0) {
			/* No message that is full puts an end to these. */
			xas_pause(&xas);
			rcu_read_unlock();
			cond_resched();
			rcu_read_lock();
		}
		dump->last = acct->id;
	}
	rcu_read_unlock();
	mutex_unlock(&an->lock);
	return skb->len;
}

static int acct_get_msg(struct sk_buff *skb, const struct nfnl_info *info,
			const struct nlattr * const tb[])
{
	if (info->nlh->nlmsg_flags & NLM_F_DUMP) {
		struct netlink_dump_control control = {
			.start	= acct_dump_start,
			.dump	= acct_dump,
			.data	= (void *)tb[NFACCT_FILTER],
		};

		return netlink_dump_start(info->sk, skb, info->nlh, &control);
	}
	if (tb[NFACCT_NAME])
		return acct_get_one(skb, info, tb[NFACCT_NAME]);
	if (tb[NFACCT_EXT_FEATURES])
		return acct_get_features(skb, info);
	return -EINVAL;
}

NFACCT_CALLBACK(acct_get_msg)

static const struct nfnl_callback acct_callbacks[NFNL_MSG_ACCT_MAX] = {
	[NFNL_MSG_ACCT_NEW] =
		NFACCT_CB(acct_new, acct_policy, NFACCT_EXT_MAX),
	[NFNL_MSG_ACCT_GET] =
		NFACCT_CB(acct_get_msg, acct_policy, NFACCT_EXT_MAX),
	[NFNL_MSG_ACCT_GET_CTRZERO] =
		NFACCT_CB(acct_get_msg, acct_policy, NFACCT_EXT_MAX),
	[NFNL_MSG_ACCT_DEL] =
		NFACCT_CB(acct_del, acct_policy, NFACCT_EXT_MAX),
};

static const struct nfnetlink_subsystem acct_subsystem = {
	.name		= "acct",
	.subsys_id	= NFNL_SUBSYS_ACCT,
	.cb_count	= NFNL_MSG_ACCT_MAX,
	.cb		= acct_callbacks,
};

static int __net_init acct_pernet_init(struct net *net)
{
	return acct_net_init(acct_pernet(net));
}

static void __net_exit acct_pernet_exit(struct net *net)
{
	acct_net_exit(acct_pernet(net));
}

static struct pernet_operations acct_pernet_ops = {
	.init	= acct_pernet_init,
	.exit	= acct_pernet_exit,
	.id	= &acct_net_id,
	.size	= sizeof(struct acct_net),
};

static int __init acct_init(void)
{
	int err;

	err = register_pernet_subsys(&acct_pernet_ops);
	if (err)
		return err;
	err = nfnetlink_subsys_register(&acct_subsystem);
	if (err) {
		unregister_pernet_subsys(&acct_pernet_ops);
		if (err == -EBUSY)
			pr_err("this kernel has an accounting of its own already (built in?): not loaded; rules with NFACCT and nfacct use the kernel's\n");
	}
	return err;
}

static void __exit acct_exit(void)
{
	nfnetlink_subsys_unregister(&acct_subsystem);
	unregister_pernet_subsys(&acct_pernet_ops);
	/* Objects are freed by functions of this module. */
	rcu_barrier();
}

module_init(acct_init);
module_exit(acct_exit);

MODULE_DESCRIPTION("Accounting objects for netfilter: hashed, per CPU");
MODULE_AUTHOR("The nfmeter authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(NFACCT_MODULE_VERSION);
MODULE_ALIAS_NFNL_SUBSYS(NFNL_SUBSYS_ACCT);
