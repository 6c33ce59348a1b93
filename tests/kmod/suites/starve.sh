# SPDX-License-Identifier: GPL-3.0-or-later
# Memory runs out at each allocation of a request in turn.
. /tests/check.sh

[ -e /proc/self/fail-nth ] || fail "this kernel has no fault injection"
echo 0 >/sys/kernel/debug/failslab/verbose
echo N >/sys/kernel/debug/failslab/ignore-gfp-wait
modprobe nfnetlink_acct
gtests kmod_starve_test
finish
