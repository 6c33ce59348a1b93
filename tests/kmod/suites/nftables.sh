# SPDX-License-Identifier: GPL-3.0-or-later
# nfmeterd's layer over nf_tables keeps its promises where the kernel has neither
# nfnetlink_acct nor x_tables.
. /tests/check.sh

# As in a kernel that was built without them.
find "/modules/$NFM_MODULE/lib/modules/" \( -name 'nfnetlink_acct.ko' \
  -o -name 'nft_compat.ko' -o -name 'x_tables.ko' -o -name 'ip*table*.ko' \
  -o -name 'xt_*.ko' \) -exec rm {} \;
refused "there is no nfacct" 'could not insert' modprobe nfnetlink_acct
refused "there are no x_tables" 'could not insert' modprobe x_tables
for suite in table quota; do
  gtests "conformance_acct_${suite}_test" '*/Nftables'
done
for suite in rule_table rule_refusal rule_foreign rule_counting_form \
             rule_restoration kernel_edit; do
  gtests "conformance_${suite}_test" '*/Nftables.*' "$(printf '%s' \
    '.*(ATargetThatIs|OfEachForm|OfBothForms|ATargetForAMissing' \
    '|ATargetOfSomebody|ChainsOfUsers|AUserChain|PoliciesAndReferences).*')"
done
[ "$failures" = 0 ]
exit
