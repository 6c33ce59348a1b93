# SPDX-License-Identifier: GPL-3.0-or-later
# The modules come and go while packets flow, and stay while rules need them.
. /tests/check.sh

modprobe -a iptable_filter ip6table_filter
udp 127.0.0.1 9 0 100 &
one=$!
udp ::1 9 0 200 &
two=$!

rules="-m nfacct --nfacct-name"
[ "$NFM_MODULE" = ours ] && rules="$rules|-j NFACCT --nfacct-name"
round() {
  modprobe nfnetlink_acct || return 1
  nfacct add flow || return 1
  nfacct add capped packet 5 || return 1
  for command in iptables-legacy ip6tables-legacy; do
    for name in flow capped; do
      $command -A OUTPUT -p udp $1 $name || return 1
    done
  done
  # Until something was counted.
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    counts=$(counted flow)
    [ "${counts% *}" -gt 10 ] && break
    usleep 50000
  done
  [ "${counts% *}" -gt 10 ] || { echo "counted: $counts"; return 1; }
  iptables-legacy -F && ip6tables-legacy -F || return 1
  rmmod "$2" || return 1
  # With its objects in it.
  rmmod nfnetlink_acct
}

IFS='|'
for rule in $rules; do
  unset IFS
  case $rule in
    -m*) module=xt_nfacct ;;
    *) module=xt_NFACCT ;;
  esac
  for i in 1 2 3 4 5 6; do
    ok "$module comes and goes under traffic, $i" round "$rule" $module
  done

  modprobe nfnetlink_acct
  is "objects went with the module" "" "$(nfacct list)"
  nfacct add flow
  iptables-legacy -A OUTPUT $rule flow
  refused "$module stays while a rule needs it" 'in use|unavailable' \
    rmmod $module
  refused "nfnetlink_acct stays while $module needs it" 'in use|unavailable' \
    rmmod nfnetlink_acct
  refused "the object stays while a rule holds it" busy nfacct delete flow
  nfacct flush
  contains "and survives a flush" "= flow;" "$(nfacct list)"
  # A table replaced as a whole, again and again, under its traffic.
  iptables-legacy-save >/tmp/rules
  for i in 1 2 3 4 5 6 7 8 9 10; do
    iptables-legacy-restore </tmp/rules || fail "restore $i"
  done
  is "one rule holds it once, however often the table was replaced" busy \
    "$(nfacct delete flow 2>&1 | grep -io busy)"
  iptables-legacy -F OUTPUT
  ok "without the rule the object can go" nfacct delete flow
  refused "a rule needs an object" . iptables-legacy -A OUTPUT $rule flow
  rmmod $module && rmmod nfnetlink_acct || fail "unloading $module"
done

# Created and dumped while the module is torn away from under the users.
modprobe nfnetlink_acct
kmod_acct churn 0 >/dev/null 2>&1 &
churn=$!
gone=0
for i in 1 2 3 4 5 6 7 8; do
  rmmod nfnetlink_acct 2>/dev/null && gone=$((gone + 1))
  modprobe nfnetlink_acct
  usleep 100000
done
kill $churn
[ $gone -gt 0 ] || fail "the module could never be unloaded beside its users"
echo "ok: unloaded $gone times of 8 beside users of netlink"
kill $one $two
finish
