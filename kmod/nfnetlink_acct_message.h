/* SPDX-License-Identifier: GPL-2.0-only */
/* How objects are written into messages: all of them are of the type NEW. */
#ifndef _NFNETLINK_ACCT_MESSAGE_H
#define _NFNETLINK_ACCT_MESSAGE_H

#include <linux/gfp.h>
#include <linux/types.h>

struct acct_view;
struct nlmsghdr;
struct sk_buff;

/* With room for one message. */
struct sk_buff *acct_msg_alloc(gfp_t gfp);

/*
 * Appends an object. NULL if there might be no room for it: @skb is as it was
 * then.
 */
struct nlmsghdr *acct_msg_put(struct sk_buff *skb, u32 portid, u32 seq,
			      const struct acct_view *view);

/* The answer to NFACCT_EXT_FEATURES, into an empty @skb. */
void acct_msg_put_features(struct sk_buff *skb, u32 portid, u32 seq,
			   u32 features);

#endif /* _NFNETLINK_ACCT_MESSAGE_H */
