# The stock nfacct tool does on these modules what its manual says.
. /tests/check.sh

modprobe nfnetlink_acct
ok "an object is added" nfacct add http-traffic
ok "a second one is added" nfacct add https-traffic
refused "a name is added once" 'exists|busy' nfacct add http-traffic
is "a new object is listed with zeros" \
  "{ pkts = 00000000000000000000, bytes = 00000000000000000000 } = http-traffic;" \
  "$(nfacct get http-traffic)"
is "the list holds both" 2 "$(nfacct list | wc -l)"
finish
