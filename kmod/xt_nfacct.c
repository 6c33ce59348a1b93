// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nfacct match: counts every packet that it sees, and matches it unless
 * the object has a quota that is not exceeded.
 *
 * A rule holds a reference to its object from checkentry to destroy; this
 * module is held by its rules, and holds the objects' module by its symbols.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/skbuff.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_nfacct.h>

#include "xt_nfacct_count.h"

/* The pointer is in another place in the two revisions on some machines. */
static struct nf_acct *nfacct_get(const struct xt_mtchk_param *par,
				  const char *name)
{
	struct nf_acct *nfacct = nfnl_acct_find_get(par->net, name);

	if (!nfacct)
		pr_info_ratelimited("there is no accounting object '%.*s'\n",
				    NFACCT_NAME_MAX, name);
	return nfacct;
}

static bool nfacct_match(const struct sk_buff *skb,
			 const struct xt_action_param *par,
			 struct nf_acct *nfacct)
{
	return nfacct_count(skb, par, nfacct) != NFACCT_UNDERQUOTA;
}

static bool nfacct_mt(const struct sk_buff *skb, struct xt_action_param *par)
{
	const struct xt_nfacct_match_info *info = par->matchinfo;

	return nfacct_match(skb, par, info->nfacct);
}

static int nfacct_mt_check(const struct xt_mtchk_param *par)
{
	struct xt_nfacct_match_info *info = par->matchinfo;

	info->nfacct = nfacct_get(par, info->name);
	return info->nfacct ? 0 : -ENOENT;
}

static void nfacct_mt_destroy(const struct xt_mtdtor_param *par)
{
	const struct xt_nfacct_match_info *info = par->matchinfo;

	nfnl_acct_put(info->nfacct);
}

static bool nfacct_mt_v1(const struct sk_buff *skb,
			 struct xt_action_param *par)
{
	const struct xt_nfacct_match_info_v1 *info = par->matchinfo;

	return nfacct_match(skb, par, info->nfacct);
}

static int nfacct_mt_check_v1(const struct xt_mtchk_param *par)
{
	struct xt_nfacct_match_info_v1 *info = par->matchinfo;

	info->nfacct = nfacct_get(par, info->name);
	return info->nfacct ? 0 : -ENOENT;
}

static void nfacct_mt_destroy_v1(const struct xt_mtdtor_param *par)
{
	const struct xt_nfacct_match_info_v1 *info = par->matchinfo;

	nfnl_acct_put(info->nfacct);
}

static struct xt_match nfacct_mt_reg[] __read_mostly = {
	{
		.name		= "nfacct",
		.revision	= 0,
		.family		= NFPROTO_UNSPEC,
		.match		= nfacct_mt,
		.checkentry	= nfacct_mt_check,
		.destroy	= nfacct_mt_destroy,
		.matchsize	= sizeof(struct xt_nfacct_match_info),
		.usersize	= offsetof(struct xt_nfacct_match_info, nfacct),
		.me		= THIS_MODULE,
	},
	{
		.name		= "nfacct",
		.revision	= 1,
		.family		= NFPROTO_UNSPEC,
		.match		= nfacct_mt_v1,
		.checkentry	= nfacct_mt_check_v1,
		.destroy	= nfacct_mt_destroy_v1,
		.matchsize	= sizeof(struct xt_nfacct_match_info_v1),
		.usersize	= offsetof(struct xt_nfacct_match_info_v1,
					   nfacct),
		.me		= THIS_MODULE,
	},
};

static int __init nfacct_mt_init(void)
{
	int err;

	nfacct_count_find();
	err = xt_register_matches(nfacct_mt_reg, ARRAY_SIZE(nfacct_mt_reg));
	if (err)
		nfacct_count_forget();
	return err;
}

static void __exit nfacct_mt_exit(void)
{
	xt_unregister_matches(nfacct_mt_reg, ARRAY_SIZE(nfacct_mt_reg));
	nfacct_count_forget();
}

module_init(nfacct_mt_init);
module_exit(nfacct_mt_exit);

MODULE_DESCRIPTION("Xtables: match that counts in accounting objects");
MODULE_AUTHOR("The nfmeter authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(NFACCT_MODULE_VERSION);
MODULE_ALIAS("ipt_nfacct");
MODULE_ALIAS("ip6t_nfacct");
MODULE_ALIAS("ebt_nfacct");
