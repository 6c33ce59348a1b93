// SPDX-License-Identifier: GPL-2.0-only
/*
 * The NFACCT target: counts the packet, and the next rule has it. A quota's
 * event is sent as by the match; what to do with a packet beyond the quota is
 * for other rules to say.
 *
 * A rule holds a reference to its object from checkentry to destroy; this
 * module is held by its rules, and holds the objects' module by its symbols.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_bridge/ebtables.h>

#include "include/xt_NFACCT.h"
#include "xt_nfacct_count.h"

static unsigned int nfacct_tg(struct sk_buff *skb,
			      const struct xt_action_param *par)
{
	const struct xt_nfacct_target_info *info = par->targinfo;

	nfacct_count(skb, par, info->nfacct);
	return XT_CONTINUE;
}

/* Bridges number their verdicts otherwise. */
static unsigned int nfacct_tg_bridge(struct sk_buff *skb,
				     const struct xt_action_param *par)
{
	const struct xt_nfacct_target_info *info = par->targinfo;

	nfacct_count(skb, par, info->nfacct);
	return EBT_CONTINUE;
}

static int nfacct_tg_check(const struct xt_tgchk_param *par)
{
	struct xt_nfacct_target_info *info = par->targinfo;

	if (!info->name[0] ||
	    strnlen(info->name, sizeof(info->name)) == sizeof(info->name))
		return -EINVAL;
	info->nfacct = nfnl_acct_find_get(par->net, info->name);
	if (!info->nfacct) {
		pr_info_ratelimited("there is no accounting object '%s'\n",
				    info->name);
		return -ENOENT;
	}
	return 0;
}

static void nfacct_tg_destroy(const struct xt_tgdtor_param *par)
{
	const struct xt_nfacct_target_info *info = par->targinfo;

	nfnl_acct_put(info->nfacct);
}

static struct xt_target nfacct_tg_reg[] __read_mostly = {
	{
		.name		= "NFACCT",
		.revision	= 0,
		.family		= NFPROTO_UNSPEC,
		.target		= nfacct_tg,
		.checkentry	= nfacct_tg_check,
		.destroy	= nfacct_tg_destroy,
		.targetsize	= sizeof(struct xt_nfacct_target_info),
		.usersize	= offsetof(struct xt_nfacct_target_info,
					   nfacct),
		.me		= THIS_MODULE,
	},
	{
		/* arptables takes none that is not its own. */
		.name		= "NFACCT",
		.revision	= 0,
		.family		= NFPROTO_ARP,
		.target		= nfacct_tg,
		.checkentry	= nfacct_tg_check,
		.destroy	= nfacct_tg_destroy,
		.targetsize	= sizeof(struct xt_nfacct_target_info),
		.usersize	= offsetof(struct xt_nfacct_target_info,
					   nfacct),
		.me		= THIS_MODULE,
	},
	{
		.name		= "NFACCT",
		.revision	= 0,
		.family		= NFPROTO_BRIDGE,
		.target		= nfacct_tg_bridge,
		.checkentry	= nfacct_tg_check,
		.destroy	= nfacct_tg_destroy,
		.targetsize	= sizeof(struct xt_nfacct_target_info),
		.usersize	= offsetof(struct xt_nfacct_target_info,
					   nfacct),
		.me		= THIS_MODULE,
	},
};

static int __init nfacct_tg_init(void)
{
	int err;

	nfacct_count_find();
	err = xt_register_targets(nfacct_tg_reg, ARRAY_SIZE(nfacct_tg_reg));
	if (err)
		nfacct_count_forget();
	return err;
}

static void __exit nfacct_tg_exit(void)
{
	xt_unregister_targets(nfacct_tg_reg, ARRAY_SIZE(nfacct_tg_reg));
	nfacct_count_forget();
}

module_init(nfacct_tg_init);
module_exit(nfacct_tg_exit);

MODULE_DESCRIPTION("Xtables: target that counts in accounting objects");
MODULE_AUTHOR("The nfmeter authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(NFACCT_MODULE_VERSION);
MODULE_ALIAS("ipt_NFACCT");
MODULE_ALIAS("ip6t_NFACCT");
MODULE_ALIAS("arpt_NFACCT");
MODULE_ALIAS("ebt_NFACCT");
