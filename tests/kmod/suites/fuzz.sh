# SPDX-License-Identifier: GPL-3.0-or-later
# Mutated messages by the thousand, two senders at once in one namespace.
# NFM_ARGUMENT is the first seed.
. /tests/check.sh

modprobe nfnetlink_acct
# Other subsystems, which mutations name, need not be looked for each time.
echo >/proc/sys/kernel/modprobe
seed=${NFM_ARGUMENT:-1}
seconds=8
kmod_fuzz "$seed" $seconds >/tmp/one 2>&1 &
one=$!
# Another one in a namespace of its own, and one that goes with its namespace.
unshare -n kmod_fuzz $((seed + 1)) $seconds >/tmp/two 2>&1 &
two=$!
wait $one && cat /tmp/one && echo "ok: seed $seed" || fail "seed $seed: $(cat /tmp/one)"
wait $two && cat /tmp/two && echo "ok: seed $((seed + 1))" ||
  fail "seed $((seed + 1)): $(cat /tmp/two)"
finish
