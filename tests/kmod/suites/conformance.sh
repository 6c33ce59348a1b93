# nfmeterd's own layer over the kernel keeps its promises on these modules.
. /tests/check.sh

modprobe -a ip_tables ip6_tables
gtests conformance_acct_table_test '-*/Fake'
gtests conformance_rule_table_test '-RuleTableTest/0.*'
finish
