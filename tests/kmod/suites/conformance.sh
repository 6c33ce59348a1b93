# SPDX-License-Identifier: GPL-3.0-or-later
# nfmeterd's own layer over the kernel keeps its promises on these modules.
. /tests/check.sh

modprobe -a ip_tables ip6_tables
for suite in table quota; do
  gtests "conformance_acct_${suite}_test" '-*Fake:*/Nftables'
done
for suite in table refusal foreign counting_form restoration; do
  gtests "conformance_rule_${suite}_test" '*/Iptables.*' \
    '.*ATargetThatIsMissing.*'
done
modprobe xt_NFACCT 2>/dev/null # the stock modules have none
gtests system_xt_target_test '*' '.*PacketsAreCountedExactly.*/IPv6'
finish
