/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* The NFACCT target of xtables, as rules carry it. */
#ifndef _XT_NFACCT_TARGET_H
#define _XT_NFACCT_TARGET_H

#include <linux/netfilter/nfnetlink_acct.h>

struct nf_acct;

/* The layout of struct xt_nfacct_match_info_v1. */
struct xt_nfacct_target_info {
	char		name[NFACCT_NAME_MAX];

	/* Used by the kernel alone. */
	struct nf_acct	*nfacct __attribute__((aligned(8)));
};

#endif /* _XT_NFACCT_TARGET_H */
