# SPDX-License-Identifier: GPL-3.0-or-later
# Objects belong to a network namespace, and go with it, rules or not.
. /tests/check.sh

modprobe -a nfnetlink_acct xt_nfacct ip_tables ip6_tables veth nft_compat

ip netns add one
ip netns add two
ok "an object in one" ip netns exec one nfacct add shared
ok "the same name in another" ip netns exec two nfacct add shared
is "and not in the first one" "" "$(nfacct list)"
ip -n one link set lo up
ip netns exec one iptables-legacy -A OUTPUT -p udp -m nfacct \
  --nfacct-name shared
ok "packets in one" ip netns exec one udp 127.0.0.1 9 4 100
is "count there" 1 "$(ip netns exec one nfacct list | grep -c '= 0*4, bytes = 0*400 ')"
is "and nowhere else" 1 "$(ip netns exec two nfacct list | grep -c '= 0*, bytes = 0* ')"
ip netns exec one nfacct add elsewhere
refused "a rule does not see another namespace's objects" 'no such|no chain' \
  ip netns exec two iptables-legacy -A OUTPUT -m nfacct --nfacct-name elsewhere
ok "and sees its own" \
  ip netns exec two iptables-legacy -A OUTPUT -m nfacct --nfacct-name shared
ip netns exec one iptables-nft -A OUTPUT -m nfacct --nfacct-name shared ||
  fail "a rule of the other kind"

# Everything that can hold an object, left behind in the namespace.
leave() {
  ip netns add "$1"
  ip -n "$1" link set lo up
  ip netns exec "$1" sh -c '
    for i in 1 2 3 4 5 6 7 8 9; do nfacct add "free-$i"; done
    nfacct add held
    nfacct add capped packet 2
    for name in held capped; do
      iptables-legacy -A OUTPUT -m nfacct --nfacct-name $name
      ip6tables-legacy -A OUTPUT -m nfacct --nfacct-name $name
      iptables-nft -A OUTPUT -m nfacct --nfacct-name $name
    done
    udp 127.0.0.1 9 5 100' || fail "filling namespace $1"
}

# A debugging kernel keeps freed memory for a while, to see who still uses it;
# there, kmemleak looks for what is lost.
allowed=1500
[ ! -e /sys/kernel/debug/kmemleak ] || allowed=50000

# Slab and per-CPU memory, in kilobytes, when nothing is left to be freed.
memory() {
  usleep 300000
  echo 3 >/proc/sys/vm/drop_caches
  awk '/^(SUnreclaim|Percpu):/ { sum += $2 } END { print sum }' /proc/meminfo
}

round() {
  for namespace in a b c; do leave "$namespace-$1"; done
  ip netns exec "a-$1" udp 127.0.0.1 9 0 100 &
  sender=$!
  while [ -z "$(ip netns pids "a-$1")" ]; do kill -0 $sender || return 1; done
  for namespace in a b c; do ip netns delete "$namespace-$1"; done
  # The last process keeps the namespace while its packets still count.
  kill $sender
  wait $sender 2>/dev/null || true
}

ok "namespaces go with their objects and rules" round 1
before=$(memory)
for i in 2 3 4 5; do round $i || fail "round $i"; done
# Namespaces are taken apart later, by a worker of the kernel.
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  after=$(memory)
  [ $((after - before)) -lt $allowed ] && break
done
echo "memory: $before kB before, $after kB after 12 namespaces more"
[ $((after - before)) -lt $allowed ] || fail "memory is not given back"

ip netns delete one
ip netns delete two
# A module can go once the last namespace has let go of it.
for module in xt_nfacct nfnetlink_acct; do
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    rmmod $module 2>/dev/null && break
    usleep 300000
  done
  is "nobody holds $module any more" no \
    "$([ -d /sys/module/$module ] && echo yes || echo no)"
done

# Thousands of objects in a namespace that goes away at once. The stock module
# is slow to make them; of ours there are so many that their counters of each CPU,
# were they forgotten, would be seen.
count=2000
if [ "$NFM_MODULE" = ours ] && [ $allowed = 1500 ]; then count=20000; fi
modprobe nfnetlink_acct
before=$(memory)
for _ in 1 2 3 4; do
  unshare -n kmod_acct create $count || fail "$count objects in a namespace"
done
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  after=$(memory)
  [ $((after - before)) -lt $allowed ] && break
done
echo "memory: $before kB before, $after kB after 4 times $count objects"
[ $((after - before)) -lt $allowed ] || fail "memory is not given back"
finish
