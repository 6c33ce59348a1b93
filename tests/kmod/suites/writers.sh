# Dumps and resets while others write.
. /tests/check.sh

modprobe -a nfnetlink_acct ip_tables
gtests kmod_dump_test
finish
