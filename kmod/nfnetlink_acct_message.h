/* SPDX-License-Identifier: GPL-2.0 */
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
 * Starts a message with room for any object, of which acct_msg_end() gives back
 * what is not used: dumps are made of many small attributes, and to look for
 * room once for all of them is much of their speed. NULL if there is none; @skb
 * is as it was then. @to is where attributes go.
 */
struct nlmsghdr *acct_msg_start(struct sk_buff *skb, u32 portid, u32 seq,
				void **to);
void *acct_put_be32(void *to, int type, u32 value);
void acct_msg_end(struct sk_buff *skb, struct nlmsghdr *nlh, void *to);

/* A whole message, or NULL if there is no room. */
struct nlmsghdr *acct_msg_put(struct sk_buff *skb, u32 portid, u32 seq,
			      const struct acct_view *view);

#endif /* _NFNETLINK_ACCT_MESSAGE_H */
