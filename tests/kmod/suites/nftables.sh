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
gtests conformance_tests 'Kernel/Acct*/Nftables'
for suite in RuleTable RuleRefusal RuleForeign RuleCountingForm \
             RuleRestoration KernelEdit; do
  gtests conformance_tests "${suite}Test/Nftables.*" "$(printf '%s' \
    '.*(ATargetThatIs|OfEachForm|OfBothForms|ATargetForAMissing' \
    '|ATargetOfSomebody|ChainsOfUsers|AUserChain|PoliciesAndReferences).*')"
done
[ "$failures" = 0 ]
exit
