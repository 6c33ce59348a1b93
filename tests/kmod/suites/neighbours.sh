# SPDX-License-Identifier: GPL-3.0-or-later
# Our modules beside the stock ones: where one is there, the other says no and
# the machine goes on.
. /tests/check.sh

release=$(uname -r)
extra=/modules/ours/lib/modules/$release/extra
stock=/modules/stock/lib/modules/$release/kernel/net/netfilter
modprobe nfnetlink

# A kernel with the subsystem built in is one whose module is always there. The
# loader refuses a second module of that name before it could speak, so ours
# gets another name here, as a built-in has none.
insmod $stock/nfnetlink_acct.ko
ok "the stock module works" nfacct add one
dmesg -c >/dev/null
refused "ours refuses to be a second one" 'invalid module format' \
  insmod /modules/nfnetlink_accx.ko
contains "and the kernel's log says why and beside whom" \
  "exports duplicate symbol nfnl_acct_find_get (owned by nfnetlink_acct)" \
  "$(dmesg)"
contains "the stock module goes on" "= one;" "$(nfacct list)"
is "nothing of ours is left" no \
  "$([ -d /sys/module/nfnetlink_accx ] && echo yes || echo no)"
refused "nor under its own name" 'exists|resource busy' \
  insmod $extra/nfnetlink_acct.ko

# The target works with the stock objects, and the stock match with ours: the
# symbols are the same.
modprobe -a iptable_filter x_tables
ok "our target loads on the stock objects" insmod $extra/xt_NFACCT.ko
ok "a rule" iptables-legacy -A OUTPUT -p udp -j NFACCT --nfacct-name one
udp 127.0.0.1 9 6 100
is "it counts" "6 600" "$(counted one)"
iptables-legacy -F
rmmod xt_NFACCT
ok "the stock module goes" rmmod nfnetlink_acct

ok "ours takes its place" insmod $extra/nfnetlink_acct.ko
is "with nothing of the other's" "" "$(nfacct list)"
ok "the stock match loads on our objects" insmod $stock/xt_nfacct.ko
nfacct add two
ok "a rule" iptables-legacy -A OUTPUT -p udp -m nfacct --nfacct-name two
udp 127.0.0.1 9 7 100
is "it counts" "7 700" "$(counted two)"
iptables-legacy -F
rmmod xt_nfacct
ok "our match loads on our objects" insmod $extra/xt_nfacct.ko
refused "the stock match beside it" exists insmod $stock/xt_nfacct.ko

# A limit of objects in a namespace.
parameter=/sys/module/nfnetlink_acct/parameters/max_objects
nfacct flush
is "a limit is there" 1000000 "$(cat $parameter)"
echo 10 >$parameter
ok "ten objects" kmod_acct create 10
refused "and no more" 'errno 28' kmod_acct create 1 eleventh
is "ten are there" 10 "$(kmod_acct dump)"
ok "another namespace has its own ten" unshare -n kmod_acct create 10
nfacct delete object-0
ok "one goes, one may come" kmod_acct create 1 another
finish
