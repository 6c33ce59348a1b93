// SPDX-License-Identifier: GPL-2.0
/*
 * iptables' side of the NFACCT target: -j NFACCT --nfacct-name NAME.
 *
 * There is no translation to nft: the rules of nft have no reference to
 * accounting objects, and a named counter is another thing.
 */
#include <stddef.h>
#include <stdio.h>
#include <xtables.h>

#include "include/xt_NFACCT.h"

enum {
	O_NAME = 0,
};

static const struct xt_option_entry nfacct_opts[] = {
	{
		.name	= "nfacct-name",
		.id	= O_NAME,
		.type	= XTTYPE_STRING,
		.min	= 1,
		/* A longer name is refused: cut, it would be another one. */
		.max	= NFACCT_NAME_MAX - 1,
		.flags	= XTOPT_MAND | XTOPT_PUT,
		XTOPT_POINTER(struct xt_nfacct_target_info, name),
	},
	XTOPT_TABLEEND,
};

static void nfacct_help(void)
{
	printf("NFACCT target options:\n"
	       "  --nfacct-name NAME\tcount in this accounting object\n"
	       "\t\t\t(made before: nfacct add NAME)\n");
}

static void nfacct_show(const char *prefix, const struct xt_entry_target *t)
{
	const struct xt_nfacct_target_info *info = (const void *)t->data;

	printf(" %snfacct-name ", prefix);
	xtables_save_string(info->name);
}

static void nfacct_print(const void *ip, const struct xt_entry_target *target,
			 int numeric)
{
	(void)ip;
	(void)numeric;
	nfacct_show("", target);
}

static void nfacct_save(const void *ip, const struct xt_entry_target *target)
{
	(void)ip;
	nfacct_show("--", target);
}

static struct xtables_target nfacct_target = {
	.family		= NFPROTO_UNSPEC,
	.name		= "NFACCT",
	.version	= XTABLES_VERSION,
	.revision	= 0,
	.size		= XT_ALIGN(sizeof(struct xt_nfacct_target_info)),
	.userspacesize	= offsetof(struct xt_nfacct_target_info, nfacct),
	.help		= nfacct_help,
	.print		= nfacct_print,
	.save		= nfacct_save,
	.x6_parse	= xtables_option_parse,
	.x6_options	= nfacct_opts,
};

__attribute__((constructor)) static void nfacct_register(void)
{
	xtables_register_target(&nfacct_target);
}
