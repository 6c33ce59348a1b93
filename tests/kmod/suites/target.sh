# SPDX-License-Identifier: GPL-3.0-or-later
# The NFACCT target: the example that nfacct was made for, as it was written,
# with real packets, for both iptables, both families, bridges and ARP.
. /tests/check.sh

modprobe -a nfnetlink_acct veth iptable_filter ip6table_filter

# Two hosts with a cable between them; the left one counts.
network() {
  ip netns add left
  ip netns add right
  ip -n left link add cable type veth peer name cable netns right
  for host in left right; do
    ip -n $host link set lo up
    ip -n $host link set cable up
  done
  ip -n left address add 10.0.0.1/24 dev cable
  ip -n right address add 10.0.0.2/24 dev cable
  ip -n left address add fd00::1/64 dev cable nodad
  ip -n right address add fd00::2/64 dev cable nodad
}
left() { ip netns exec left "$@"; }
right() { ip netns exec right "$@"; }

network
left nfacct add http-traffic
for variant in legacy nft; do
  PATH=/variants/$variant:$PATH
  export PATH

  ok "$variant: the example, word for word" left \
    iptables -I INPUT -p tcp --sport 80 -j NFACCT --nfacct-name http-traffic
  contains "$variant: it is saved as it was given" \
    "-A INPUT -p tcp -m tcp --sport 80 -j NFACCT --nfacct-name http-traffic" \
    "$(left iptables-save)"
  contains "$variant: it is listed" "NFACCT" "$(left iptables -L INPUT -n)"
  contains "$variant: the list names the object" "http-traffic" \
    "$(left iptables -L INPUT -n)"
  contains "$variant: help" "--nfacct-name" "$(left iptables -j NFACCT --help)"
  left iptables-save >/tmp/rules
  ok "$variant: restore takes what save gives" left iptables-restore /tmp/rules
  left iptables-save | grep -v '^[#:]' >/tmp/after
  grep -v '^[#:]' /tmp/rules >/tmp/before
  ok "$variant: and gives the same" cmp /tmp/before /tmp/after
  left iptables -C INPUT -p tcp --sport 80 -j NFACCT --nfacct-name \
    http-traffic || fail "$variant: the rule can't be checked for"

  refused "$variant: a name is needed" 'nfacct-name' left \
    iptables -A INPUT -j NFACCT
  refused "$variant: an empty name" . left \
    iptables -A INPUT -j NFACCT --nfacct-name ''
  refused "$variant: an object that is not there" . left \
    iptables -A INPUT -j NFACCT --nfacct-name nobody
  refused "$variant: a name of 32 bytes" . left iptables -A INPUT -j NFACCT \
    --nfacct-name 12345678901234567890123456789012
  is "$variant: nothing came of those" 1 \
    "$(left iptables-save | grep -c NFACCT)"

  # TCP from port 80: a page from the host on the right.
  left nfacct get http-traffic reset >/dev/null
  right iptables -I OUTPUT -p tcp --sport 80
  echo "hello" | right nc -l -p 80 >/dev/null &
  server=$!
  until right cat /proc/net/tcp /proc/net/tcp6 | grep -q ':0050 .* 0A '; do
    kill -0 $server || break
  done
  echo "get" | left nc -w 5 10.0.0.2 80 >/tmp/page
  wait $server
  contains "$variant: the page came" hello "$(cat /tmp/page)"
  usleep 300000
  sent=$(right iptables -L OUTPUT -n -v -x | awk '/spt:80/ { print $1, $2 }')
  is "$variant: every packet of the page is counted, with its bytes" \
    "$sent" "$(left sh -c '. /tests/check.sh; counted http-traffic')"
  right iptables -F OUTPUT
  left iptables -F INPUT
done
ok "nobody holds the object any more" left nfacct delete http-traffic

# Exact numbers, over the cable and over loopback, in every chain and family.
left nfacct add cable-in
left nfacct add all-out
counts() { left sh -c '. /tests/check.sh; counted "$1"' sh "$1"; }
for variant in legacy nft; do
  PATH=/variants/$variant:$PATH
  left iptables -A INPUT -p udp -s 10.0.0.2 -j NFACCT --nfacct-name cable-in
  left ip6tables -A INPUT -p udp -s fd00::2 -j NFACCT --nfacct-name cable-in
  left iptables -A INPUT -p udp -s 10.0.0.2 -j DROP
  left ip6tables -A INPUT -p udp -s fd00::2 -j DROP
  right udp 10.0.0.1 9 40 100
  is "$variant: IPv4 over the cable" "40 4000" "$(counts cable-in)"
  right udp fd00::1 9 30 200
  is "$variant: IPv6 adds to the same object" "70 10000" "$(counts cable-in)"
  is "$variant: counted packets went on to the next rule" 40 \
    "$(left iptables -L INPUT -n -v -x | awk '/DROP/ { print $1 }')"

  left iptables -A OUTPUT -p udp -j NFACCT --nfacct-name all-out
  left iptables -A OUTPUT -p udp -j NFACCT --nfacct-name all-out
  left udp 127.0.0.1 9 25 64
  is "$variant: two rules count twice" "50 3200" "$(counts all-out)"
  for family in iptables ip6tables; do
    left $family -F INPUT
    left $family -F OUTPUT
  done
  left nfacct get cable-in reset >/dev/null
  left nfacct get all-out reset >/dev/null
done

# A quota reports by the target as it does by the match.
left nfacct add capped packet 5
left iptables-legacy -A OUTPUT -p udp -j NFACCT --nfacct-name capped
left udp 127.0.0.1 9 4 64
contains "a quota is not reached" "overquota = no" "$(left nfacct get capped)"
left udp 127.0.0.1 9 3 64
contains "and then it is" "overquota = yes" "$(left nfacct get capped)"
is "packets beyond it count on" "7 448" "$(counts capped)"

# The match and the target on one object; both kinds of iptables at once.
left nfacct add both
left iptables-legacy -A OUTPUT -p udp -m nfacct --nfacct-name both
left iptables-nft -A OUTPUT -p udp -j NFACCT --nfacct-name both
left udp 127.0.0.1 9 10 64
is "match and target add up" "20 1280" "$(counts both)"

# A name that has to be quoted, saved and read again.
left nfacct add 'two words'
for variant in legacy nft; do
  left iptables-$variant -F
  left iptables-$variant -A INPUT -j NFACCT --nfacct-name 'two words'
  left iptables-$variant-save >/tmp/rules
  contains "$variant: a name with a blank is quoted" \
    '--nfacct-name "two words"' "$(cat /tmp/rules)"
  ok "$variant: and read again" left iptables-$variant-restore /tmp/rules
  left iptables-$variant -F
done

# ARP and bridges. What is counted goes on to the next rule, which drops it.
left nfacct add arp
ok "ARP: a rule" left arptables-nft -A INPUT -j NFACCT --nfacct-name arp
left arptables-nft -A INPUT -j DROP
left ip neigh flush dev cable
right ip neigh flush dev cable
right udp 10.0.0.1 9 1 64
for _ in $(seq 20); do
  counted=$(counts arp)
  [ "${counted% *}" -gt 0 ] && break
  usleep 100000
done
[ "${counted% *}" -gt 0 ] || fail "ARP: nothing was counted"
left arptables-nft -L INPUT -v >/tmp/rules
contains "ARP: the list names the object" "nfacct-name arp" "$(grep NFACCT /tmp/rules)"
went_on=$(sed -nE 's/.*DROP.*pcnt=([0-9]+).*/\1/p' /tmp/rules)
[ "${went_on:-0}" -gt 0 ] || fail "ARP: nothing went on: $(cat /tmp/rules)"
echo "ok: ARP is counted ($counted) and goes on ($went_on)"
left arptables-nft -F INPUT

left nfacct add 'bridged frames'
left ip link add bridge0 type bridge
left ip link add plug type veth peer name socket
left ip link set plug master bridge0
for device in bridge0 plug socket; do left ip link set $device up; done
ok "bridge: a rule" left ebtables-nft -A INPUT -j NFACCT \
  --nfacct-name 'bridged frames'
left ebtables-nft -A INPUT -p 0x0806 -j DROP
left ip address add 10.1.0.1/24 dev bridge0
left ip address add 10.1.0.2/24 dev socket
left arping -c 3 -I socket 10.1.0.1 >/dev/null 2>&1
counted=$(counts 'bridged frames')
[ "${counted% *}" -ge 3 ] || fail "bridge: counted $counted"
left ebtables-nft -L INPUT --Lc >/tmp/rules
contains "bridge: the list has the rule as it was given" \
  '-j NFACCT --nfacct-name "bridged frames" ,' "$(cat /tmp/rules)"
went_on=$(sed -nE 's/.*DROP.*pcnt = ([0-9]+).*/\1/p' /tmp/rules)
[ "${went_on:-0}" -ge 3 ] || fail "bridge: nothing went on: $(cat /tmp/rules)"
echo "ok: frames into a bridge are counted ($counted) and go on ($went_on)"
refused "bridge: a name is needed" 'nfacct-name' left \
  ebtables-nft -A INPUT -j NFACCT
refused "bridge: a name of 32 bytes" '1 to 31' left ebtables-nft -A INPUT \
  -j NFACCT --nfacct-name 12345678901234567890123456789012

ip netns delete left
ip netns delete right
for _ in $(seq 30); do
  rmmod xt_NFACCT 2>/dev/null && break
  usleep 200000
done
is "nobody holds the target any more" no \
  "$([ -d /sys/module/xt_NFACCT ] && echo yes || echo no)"
finish
