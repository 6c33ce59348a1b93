# SPDX-License-Identifier: GPL-3.0-or-later
# Dumps and resets while others write; limits that two reach at once.
. /tests/check.sh

modprobe -a nfnetlink_acct ip_tables
gtests kmod_dump_test
gtests kmod_quota_test
finish
