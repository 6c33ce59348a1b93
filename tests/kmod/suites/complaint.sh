# SPDX-License-Identifier: GPL-3.0-or-later
# Does nothing wrong, and yet has to fail: the kernel's log is looked at.
echo 'WARNING: this is what a suite must not be forgiven' >/dev/kmsg
exit 0
