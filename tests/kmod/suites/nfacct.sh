# SPDX-License-Identifier: GPL-3.0-or-later
# The stock nfacct tool does on these modules what its manual says.
. /tests/check.sh

zeros="pkts = 00000000000000000000, bytes = 00000000000000000000"
modprobe nfnetlink_acct

is "an empty table is an empty list" "" "$(nfacct list)"
ok "an object is added" nfacct add http-traffic
ok "a second one is added" nfacct add https-traffic
refused "a name is added once" 'exists|busy' nfacct add http-traffic
is "a new object is shown with zeros" "{ $zeros } = http-traffic;" \
  "$(nfacct get http-traffic)"
is "the list has both, in the order of creation" \
  "{ $zeros } = http-traffic;
{ $zeros } = https-traffic;" "$(nfacct list)"
contains "the list in JSON" '"name" : "https-traffic"' "$(nfacct list json)"
contains "the list in XML" '<obj><name>http-traffic</name>' "$(nfacct list xml)"

ok "an object with a quota of packets" nfacct add capped-packets packet 3
ok "an object with a quota of bytes" nfacct add capped-bytes byte 250
is "a quota is shown" \
  "{ $zeros, quota = 00000000000000000003, mode = packet, overquota = no } = capped-packets;" \
  "$(nfacct get capped-packets)"
contains "a quota in JSON" '"quota" : 250, "mode" = "byte"' \
  "$(nfacct get capped-bytes json)"

modprobe -a iptable_filter xt_nfacct
for name in http-traffic capped-packets capped-bytes; do
  ok "a rule for $name" iptables-legacy -A OUTPUT -p udp -m nfacct \
    --nfacct-name $name
done
_STDBUF_O=L LD_PRELOAD=/usr/libexec/coreutils/libstdbuf.so \
  nfacct monitor >/tmp/monitor 2>&1 &
monitor=$!
# It says nothing until an event comes, but the kernel knows its socket.
until awk '$2 == 12 && $4 != "00000000" { found = 1 } END { exit !found }' \
  /proc/net/netlink; do
  kill -0 $monitor || break
done
ok "packets" udp 127.0.0.1 9 5 100
is "they are counted" "5 500" "$(counted http-traffic)"
contains "a quota of packets is over" "overquota = yes" \
  "$(nfacct get capped-packets)"
contains "a quota of bytes is over" "overquota = yes" \
  "$(nfacct get capped-bytes)"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  [ "$(grep -c capped /tmp/monitor)" -ge 2 ] && break
  usleep 200000
done
kill $monitor
is "each crossing is one event" 2 "$(grep -c capped /tmp/monitor)"
contains "the event of the quota of packets tells the value at that moment" \
  "pkts = 00000000000000000003, bytes = 00000000000000000300" \
  "$(grep capped-packets /tmp/monitor)"

refused "what a rule holds is not deleted" busy nfacct delete http-traffic
is "get with reset shows what was" \
  "{ pkts = 00000000000000000005, bytes = 00000000000000000500 } = http-traffic;" \
  "$(nfacct get http-traffic reset)"
is "and leaves zeros" "0 0" "$(counted http-traffic)"
nfacct get capped-packets reset >/dev/null
contains "a reset arms the quota again" "overquota = no" \
  "$(nfacct get capped-packets)"

ok "more packets" udp 127.0.0.1 9 2 100
nfacct list reset >/tmp/list
contains "list with reset shows what was" \
  "{ pkts = 00000000000000000002, bytes = 00000000000000000200 } = http-traffic;" \
  "$(cat /tmp/list)"
is "and leaves zeros everywhere" 4 \
  "$(nfacct list | grep -c "{ $zeros")"

ok "the rules go" iptables-legacy -F OUTPUT
ok "an object is deleted" nfacct delete https-traffic
refused "it is gone" 'no such' nfacct get https-traffic
refused "and can't be deleted twice" 'no such' nfacct delete https-traffic
ok "a rule holds one" iptables-legacy -A OUTPUT -m nfacct --nfacct-name \
  http-traffic
ok "flush" nfacct flush
is "flush leaves what is held" http-traffic \
  "$(nfacct list | sed 's/.*= \(.*\);/\1/')"
iptables-legacy -F OUTPUT

# Without a quota the match is always true, with one when that is exceeded: with
# DROP, a cap. On the way in, where no sender is told.
nfacct add seen
nfacct add cap packet 3
ok "a cap" iptables-legacy -A INPUT -p udp -m nfacct --nfacct-name seen
iptables-legacy -A INPUT -p udp -m nfacct --nfacct-name cap -j DROP
iptables-legacy -A INPUT -p udp -j ACCEPT
udp 127.0.0.1 9 8 100
is "all match, those beyond the cap are dropped, the others go on" "8 5 3" \
  "$(iptables-legacy -L INPUT -n -v -x |
     awk '$1 ~ /^[0-9]+$/ { printf "%s%s", between, $1; between = " " }')"
iptables-legacy -F INPUT

nfacct flush
echo '{ pkts = 00000000000000000012, bytes = 00000000000000003456 } = kept;' \
  >/tmp/saved
ok "restore" sh -c 'nfacct restore </tmp/saved'
is "restored values are those of the list" "12 3456" "$(counted kept)"
nfacct list >/tmp/again
is "list, flush, restore: the same list" "$(cat /tmp/saved)" "$(cat /tmp/again)"

nfacct flush
for i in $(seq 100); do nfacct add "bulk-$i" || fail "bulk-$i"; done
is "a hundred are listed" 100 "$(nfacct list | wc -l)"
finish
