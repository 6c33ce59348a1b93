// SPDX-License-Identifier: GPL-2.0-only
/*
 * How objects are written into messages: by hand, because a dump is made of many
 * small attributes, and to look for room once for all of them, and to copy
 * nothing of unknown length, is much of its speed.
 */
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/netlink.h>

#include "compat.h"
#include "nfnetlink_acct.h"
#include "nfnetlink_acct_message.h"
#include "include/nfnetlink_acct_ext.h"

/* Room for any message; padding may precede each of the 64-bit values. */
#define ACCT_MSG_MAX							\
	(NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct nfgenmsg)) +		\
	 NLA_ALIGN(NLA_HDRLEN + NFACCT_NAME_MAX) +			\
	 3 * (2 * NLA_HDRLEN + sizeof(u64)) +				\
	 2 * (NLA_HDRLEN + sizeof(u32)))

/* Attributes are written where there is room for any message. */
static __always_inline void *acct_put_attr(void *to, int type,
					   const void *data, int len)
{
	struct nlattr *attr = to;

	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	memcpy(nla_data(attr), data, len);
	return to + nla_total_size(len);
}

static __always_inline void *acct_put_be32(void *to, int type, u32 value)
{
	__be32 be = htonl(value);

	return acct_put_attr(to, type, &be, sizeof(be));
}

static __always_inline void *acct_put_be64(void *to, int type, u64 value)
{
	__be64 be = cpu_to_be64(value);

	/* Machines that need it get the value, not the header, aligned. */
	if (!IS_ENABLED(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) &&
	    IS_ALIGNED((unsigned long)to, 8))
		to = acct_put_attr(to, NFACCT_PAD, "", 0);
	return acct_put_attr(to, type, &be, sizeof(be));
}

/*
 * The padding of the name is copied with it, and what follows is written over
 * what is too much: copies of constant length are a few moves.
 */
static __always_inline void *acct_put_name(void *to,
					   const struct acct_view *view)
{
	struct nlattr *attr = to;

	attr->nla_type = NFACCT_NAME;
	attr->nla_len = nla_attr_size(view->name_size);
	memcpy(nla_data(attr), view->name, NFACCT_NAME_MAX);
	return to + nla_total_size(view->name_size);
}

static __always_inline void *acct_put_header(struct nlmsghdr *nlh, u32 portid,
					     u32 seq)
{
	struct nfgenmsg *gen = nlmsg_data(nlh);

	nlh->nlmsg_type = nfnl_msg_type(NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_NEW);
	/* Answers are MULTI, single ones too; an event (port 0) is not. */
	nlh->nlmsg_flags = portid ? NLM_F_MULTI : 0;
	nlh->nlmsg_seq = seq;
	nlh->nlmsg_pid = portid;
	gen->nfgen_family = AF_UNSPEC;
	gen->version = NFNETLINK_V0;
	gen->res_id = 0;
	return (void *)gen + NLMSG_ALIGN(sizeof(*gen));
}

struct sk_buff *acct_msg_alloc(gfp_t gfp)
{
	return alloc_skb(ACCT_MSG_MAX, gfp);
}

/* All attributes end where the next may start. */
static void acct_msg_end(struct sk_buff *skb, struct nlmsghdr *nlh,
			 const void *to)
{
	nlh->nlmsg_len = to - (void *)nlh;
	__skb_put(skb, nlh->nlmsg_len);
}

struct nlmsghdr *acct_msg_put(struct sk_buff *skb, u32 portid, u32 seq,
			      const struct acct_view *view)
{
	struct nlmsghdr *nlh = (void *)skb_tail_pointer(skb);
	void *to;

	if (skb_tailroom(skb) < ACCT_MSG_MAX)
		return NULL;
	to = acct_put_header(nlh, portid, seq);
	to = acct_put_name(to, view);
	to = acct_put_be64(to, NFACCT_PKTS, view->pkts);
	to = acct_put_be64(to, NFACCT_BYTES, view->bytes);
	to = acct_put_be32(to, NFACCT_USE, view->use);
	if (view->flags & NFACCT_F_QUOTA) {
		to = acct_put_be32(to, NFACCT_FLAGS, view->flags);
		to = acct_put_be64(to, NFACCT_QUOTA, view->limit);
	}
	acct_msg_end(skb, nlh, to);
	return nlh;
}

void acct_msg_put_features(struct sk_buff *skb, u32 portid, u32 seq,
			   u32 features)
{
	struct nlmsghdr *nlh = (void *)skb_tail_pointer(skb);
	void *to;

	to = acct_put_header(nlh, portid, seq);
	to = acct_put_be32(to, NFACCT_EXT_FEATURES, features);
	acct_msg_end(skb, nlh, to);
}

/* Called for packets: whoever misses the event finds it in a dump. */
void acct_report(struct net *net, const struct acct_view *view)
{
	struct sk_buff *skb;

	if (!nfnetlink_has_listeners(net, NFNLGRP_ACCT_QUOTA))
		return;
	skb = acct_msg_alloc(GFP_ATOMIC);
	if (!skb)
		return;
	if (!acct_msg_put(skb, 0, 0, view)) {
		kfree_skb(skb);
		return;
	}
	nfnetlink_send(skb, net, 0, NFNLGRP_ACCT_QUOTA, 0, GFP_ATOMIC);
}
