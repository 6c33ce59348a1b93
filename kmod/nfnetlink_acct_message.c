// SPDX-License-Identifier: GPL-2.0
/* How objects are written into messages. */
#include <linux/skbuff.h>
#include <linux/string.h>
#include <net/netlink.h>

#include "compat.h"
#include "nfnetlink_acct.h"
#include "nfnetlink_acct_message.h"

/* Room for any message; padding may precede each of the 64-bit values. */
#define ACCT_PAYLOAD_MAX						\
	(NLMSG_ALIGN(sizeof(struct nfgenmsg)) +				\
	 NLA_ALIGN(NLA_HDRLEN + NFACCT_NAME_MAX) +			\
	 3 * (2 * NLA_HDRLEN + sizeof(u64)) +				\
	 2 * (NLA_HDRLEN + sizeof(u32)))

static void *acct_put_attr(void *to, int type, const void *data, int len)
{
	struct nlattr *attr = to;

	attr->nla_type = type;
	attr->nla_len = nla_attr_size(len);
	memcpy(nla_data(attr), data, len);
	memset(nla_data(attr) + len, 0, nla_padlen(len));
	return to + nla_total_size(len);
}

void *acct_put_be32(void *to, int type, u32 value)
{
	__be32 be = htonl(value);

	return acct_put_attr(to, type, &be, sizeof(be));
}

static void *acct_put_be64(void *to, int type, u64 value)
{
	__be64 be = cpu_to_be64(value);

	/* Machines that need it get the value, not the header, aligned. */
	if (!IS_ENABLED(CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS) &&
	    IS_ALIGNED((unsigned long)to, 8))
		to = acct_put_attr(to, NFACCT_PAD, "", 0);
	return acct_put_attr(to, type, &be, sizeof(be));
}

struct sk_buff *acct_msg_alloc(gfp_t gfp)
{
	return nlmsg_new(ACCT_PAYLOAD_MAX, gfp);
}

struct nlmsghdr *acct_msg_start(struct sk_buff *skb, u32 portid, u32 seq,
				void **to)
{
	struct nfgenmsg *gen;
	struct nlmsghdr *nlh;

	/* Answers are MULTI, single ones too; an event (port 0) is not. */
	nlh = nlmsg_put(skb, portid, seq,
			nfnl_msg_type(NFNL_SUBSYS_ACCT, NFNL_MSG_ACCT_NEW),
			ACCT_PAYLOAD_MAX, portid ? NLM_F_MULTI : 0);
	if (!nlh)
		return NULL;
	gen = nlmsg_data(nlh);
	gen->nfgen_family = AF_UNSPEC;
	gen->version = NFNETLINK_V0;
	gen->res_id = 0;
	*to = (void *)gen + NLMSG_ALIGN(sizeof(*gen));
	return nlh;
}

void acct_msg_end(struct sk_buff *skb, struct nlmsghdr *nlh, void *to)
{
	nlmsg_trim(skb, to);
	nlmsg_end(skb, nlh);
}

struct nlmsghdr *acct_msg_put(struct sk_buff *skb, u32 portid, u32 seq,
			      const struct acct_view *view)
{
	struct nlmsghdr *nlh;
	void *to;

	nlh = acct_msg_start(skb, portid, seq, &to);
	if (!nlh)
		return NULL;
	to = acct_put_attr(to, NFACCT_NAME, view->name,
			   strlen(view->name) + 1);
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
