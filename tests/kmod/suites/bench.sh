# SPDX-License-Identifier: GPL-3.0-or-later
# Both modules in one machine, by turns. Lines "MEASURED what module number" are
# for tests/kmod/bench; NFM_ARGUMENT is rows and scale: "create,dump,small".
. /tests/check.sh

case $NFM_ARGUMENT in
  *small*) objects=500 rounds=1 bursts=5 repeats=1 ;;
  *) objects=50000 rounds=3 bursts=60 repeats=5 ;;
esac
release=$(uname -r)
ours=/modules/ours/lib/modules/$release/extra
stock=/modules/stock/lib/modules/$release/kernel/net/netfilter
modprobe -a nfnetlink ip_tables iptable_filter

use() {
  eval "from=\$$1"
  insmod "$from/nfnetlink_acct.ko" && insmod "$from/xt_nfacct.ko" ||
    fail "loading the $1 modules"
}

unuse() {
  iptables-legacy -F
  rmmod xt_nfacct nfnetlink_acct || fail "unloading the $1 modules"
}

report() {
  case $3 in
    '') fail "$1 of the $2 module" ;;
    *) echo "MEASURED $1 $2 $3" ;;
  esac
}

case $NFM_ARGUMENT in
  *create* | *dump*)
    for module in stock ours; do
      use $module
      report create $module "$(kmod_bench create $objects)"
      case $NFM_ARGUMENT in
        *dump*)
          report receive $module "$(kmod_bench receive $rounds)"
          report dump $module "$(kmod_bench dump $rounds)"
          list=$(kmod_bench run $rounds nfacct list)
          report list $module "${list% *}"
          report list-kernel $module "${list#* }"
          ;;
      esac
      unuse $module
    done
    ;;
esac

# A hundred rules that a packet passes, with a match that counts or with one that
# does nothing, and its end.
rules() {
  {
    echo '*filter'
    for _ in $(seq 100); do echo "-A OUTPUT -p udp $1"; done
    echo '-A OUTPUT -p udp -j DROP'
    echo COMMIT
  } | iptables-legacy-restore
}

case $NFM_ARGUMENT in
  *count*)
    for _ in $(seq $repeats); do
      for module in stock ours; do
        use $module
        nfacct add counter
        for rule in plain counting; do
          case $rule in
            plain) rules '-m comment --comment counter' ;;
            counting) rules '-m nfacct --nfacct-name counter' ;;
          esac
          for cpus in $(seq "$(nproc)"); do
            report $rule-$cpus $module "$(kmod_bench send $cpus $bursts)"
          done
        done
        unuse $module
      done
    done
    ;;
esac
[ "$failures" = 0 ]
