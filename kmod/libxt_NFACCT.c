// SPDX-License-Identifier: GPL-2.0-only
/*
 * iptables' side of the NFACCT target: -j NFACCT --nfacct-name NAME.
 *
 * There is no translation to nft: the rules of nft have no reference to
 * accounting objects, and a named counter is another thing.
 */
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
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

static void nfacct_print(const void *ip, const struct xt_entry_target *target,
			 int numeric)
{
	const struct xt_nfacct_target_info *info = (const void *)target->data;

	(void)ip;
	(void)numeric;
	printf(" nfacct-name");
	xtables_save_string(info->name);
}

static void nfacct_save(const void *ip, const struct xt_entry_target *target)
{
	const struct xt_nfacct_target_info *info = (const void *)target->data;

	(void)ip;
	printf(" --nfacct-name");
	xtables_save_string(info->name);
}

/* ebtables reads options the older way, and lists rules as they were given. */
static const struct option nfacct_bridge_opts[] = {
	{ .name = "nfacct-name", .has_arg = required_argument, .val = '1' },
	XT_GETOPT_TABLEEND,
};

static int nfacct_bridge_parse(int c, char **argv, int invert,
			       unsigned int *flags, const void *entry,
			       struct xt_entry_target **target)
{
	struct xt_nfacct_target_info *info = (void *)(*target)->data;
	size_t length;

	(void)argv;
	(void)entry;
	if (c != '1')
		return 0;
	if (invert)
		xtables_error(PARAMETER_PROBLEM,
			      "NFACCT: --nfacct-name can't be inverted");
	if (*flags)
		xtables_error(PARAMETER_PROBLEM,
			      "NFACCT: --nfacct-name can be given once");
	length = strlen(optarg);
	if (length == 0 || length >= sizeof(info->name))
		xtables_error(PARAMETER_PROBLEM,
			      "NFACCT: a name has 1 to %zu characters",
			      sizeof(info->name) - 1);
	memcpy(info->name, optarg, length + 1);
	*flags = 1;
	return 1;
}

static void nfacct_bridge_check(unsigned int flags)
{
	if (!flags)
		xtables_error(PARAMETER_PROBLEM,
			      "NFACCT: --nfacct-name must be given");
}

static void nfacct_bridge_print(const void *ip,
				const struct xt_entry_target *target,
				int numeric)
{
	const struct xt_nfacct_target_info *info = (const void *)target->data;

	(void)ip;
	(void)numeric;
	printf("--nfacct-name");
	xtables_save_string(info->name);
}

static struct xtables_target nfacct_targets[] = {
	{
		.family		= NFPROTO_UNSPEC,
		.name		= "NFACCT",
		.version	= XTABLES_VERSION,
		.revision	= 0,
		.size		= XT_ALIGN(sizeof(struct xt_nfacct_target_info)),
		.userspacesize	= offsetof(struct xt_nfacct_target_info,
					   nfacct),
		.help		= nfacct_help,
		.print		= nfacct_print,
		.save		= nfacct_save,
		.x6_parse	= xtables_option_parse,
		.x6_options	= nfacct_opts,
	},
	{
		.family		= NFPROTO_BRIDGE,
		.name		= "NFACCT",
		.version	= XTABLES_VERSION,
		.revision	= 0,
		.size		= XT_ALIGN(sizeof(struct xt_nfacct_target_info)),
		.userspacesize	= offsetof(struct xt_nfacct_target_info,
					   nfacct),
		.help		= nfacct_help,
		.print		= nfacct_bridge_print,
		.parse		= nfacct_bridge_parse,
		.final_check	= nfacct_bridge_check,
		.extra_opts	= nfacct_bridge_opts,
	},
};

__attribute__((constructor)) static void nfacct_register(void)
{
	xtables_register_targets(nfacct_targets,
				 sizeof(nfacct_targets) /
				 sizeof(nfacct_targets[0]));
}
