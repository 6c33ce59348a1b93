# SPDX-License-Identifier: GPL-3.0-or-later
# Memory runs out anywhere, for tools as well as for the kernel: requests fail,
# nothing else does.
. /tests/check.sh

if [ ! -d /sys/kernel/debug/failslab ]; then
  fail "this kernel has no failslab"
  finish
fi
modprobe -a nfnetlink_acct iptable_filter xt_nfacct xt_NFACCT
cd /sys/kernel/debug/failslab || exit 1
echo Y >task-filter
echo 0 >verbose
echo -1 >times
echo N >ignore-gfp-wait

# starved COMMAND...: with every tenth of its allocations failing.
starved() {
  sh -c 'echo 1 >/proc/self/make-it-fail; exec "$@"' sh "$@" >/dev/null 2>&1
}

for probability in 2 10 40; do
  echo $probability >probability
  for i in $(seq 20); do
    starved nfacct add "object-$i"
    starved nfacct list
    starved nfacct list reset
    starved iptables-legacy -A OUTPUT -p udp -j NFACCT \
      --nfacct-name "object-$i"
    starved iptables-legacy -A OUTPUT -p udp -m nfacct \
      --nfacct-name "object-$i"
    starved unshare -n nfacct add "object-$i"
    starved nfacct delete "object-$((i / 2))"
  done
  starved kmod_acct create 500 "starved-$probability-"
  starved kmod_fuzz $probability 5
done
echo 0 >probability
cd /tmp
iptables-legacy -F
ok "afterwards everything can go" nfacct flush
is "and has gone" "" "$(nfacct list)"
ok "and come" nfacct add again
finish
