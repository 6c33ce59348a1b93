# SPDX-License-Identifier: GPL-3.0-or-later
# nfmeterd's own layer over the kernel keeps its promises on these modules.
. /tests/check.sh

modprobe -a ip_tables ip6_tables
gtests conformance_tests 'Kernel/Acct*-*Fake:*/Nftables'
for suite in Table Refusal Foreign CountingForm Restoration; do
  gtests conformance_tests "Rule${suite}Test/Iptables.*" \
    '.*ATargetThatIsMissing.*'
done
modprobe xt_NFACCT 2>/dev/null # the stock modules have none
gtests kmod_target_test '*' '.*PacketsAreCountedExactly.*/IPv6'
finish
