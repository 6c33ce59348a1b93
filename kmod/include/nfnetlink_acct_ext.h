/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What this nfnetlink_acct understands beyond linux/netfilter/nfnetlink_acct.h.
 *
 * The attribute numbers are far above NFACCT_MAX, so that the kernel's own
 * module skips them: a program asks for NFACCT_EXT_FEATURES first.
 */
#ifndef _NFNETLINK_ACCT_EXT_H
#define _NFNETLINK_ACCT_EXT_H

enum nfnl_acct_ext_type {
	/*
	 * In a GET without a name and without NLM_F_DUMP (no payload): asks
	 * which module this is. Answered by one NEW message that carries the
	 * attribute as a big-endian u32 of nfnl_acct_ext_features. The kernel's
	 * own module refuses such a GET with EINVAL.
	 */
	NFACCT_EXT_FEATURES	= 30,

	/*
	 * In a NEW with NLM_F_REPLACE (no payload): the attributes given
	 * replace those of the existing object in one step; those not given
	 * stay. FLAGS of 0 takes the quota away; any other FLAGS needs QUOTA;
	 * QUOTA without FLAGS changes the limit alone, and is EINVAL for an
	 * object that has none. A quota is armed again by every such NEW. Without
	 * NLM_F_CREATE, a name that is not there is ENOENT.
	 *
	 * The kernel's own module does not look at the attribute, and zeroes the
	 * object as for any NLM_F_REPLACE: ask for the features first.
	 */
	NFACCT_EXT_REPLACE	= 31,

	NFACCT_EXT_MAX		= 31,
};

enum nfnl_acct_ext_features {
	/* Objects are found by hash: the cost of a name is constant. */
	NFACCT_EXT_F_HASH		= (1 << 0),
	/* Packets are counted per CPU, without atomics or shared lines. */
	NFACCT_EXT_F_PERCPU		= (1 << 1),
	/* A dump shows every object that exists throughout exactly once. */
	NFACCT_EXT_F_STABLE_DUMP	= (1 << 2),
	/* NLM_F_DUMP_INTR tells of objects that came or went meanwhile. */
	NFACCT_EXT_F_DUMP_INTR		= (1 << 3),
	/* GET_CTRZERO with NLM_F_DUMP resets what it reports, no more. */
	NFACCT_EXT_F_LOSSLESS_RESET	= (1 << 4),
	/* NFACCT_EXT_REPLACE is understood. */
	NFACCT_EXT_F_REPLACE		= (1 << 5),
};

#endif /* _NFNETLINK_ACCT_EXT_H */
