# SPDX-License-Identifier: GPL-3.0-or-later
# No message that a user can send harms, and each is answered as it always was.
. /tests/check.sh

modprobe nfnetlink_acct
gtests kmod_messages_test
finish
