# SPDX-License-Identifier: GPL-3.0-or-later
# Replacing an object in one step, for those who ask for it; all others see what
# they always saw.
. /tests/check.sh

modprobe -a nfnetlink_acct ip_tables
gtests kmod_replace_test
finish
