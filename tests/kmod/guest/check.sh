# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by the suites: checks, and what they share.
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# ok WHAT COMMAND...: the command succeeds.
ok() {
  what=$1
  shift
  if output=$("$@" 2>&1); then
    echo "ok: $what"
  else
    fail "$what: $* ended with $?: $output"
  fi
}

# refused WHAT PATTERN COMMAND...: the command fails and says why.
refused() {
  what=$1 pattern=$2
  shift 2
  if output=$("$@" 2>&1); then
    fail "$what: $* should have failed, and said: $output"
  elif ! echo "$output" | grep -qiE -- "$pattern"; then
    fail "$what: $* did not say /$pattern/ but: $output"
  else
    echo "ok: $what"
  fi
}

# is WHAT EXPECTED ACTUAL
is() {
  if [ "$2" = "$3" ]; then
    echo "ok: $1"
  else
    fail "$1: expected '$2', found '$3'"
  fi
}

# contains WHAT TEXT WHERE: a line of WHERE holds TEXT.
contains() {
  case $3 in
    *"$2"*) echo "ok: $1" ;;
    *) fail "$1: no '$2' in: $3" ;;
  esac
}

# counted NAME: "packets bytes" of an object of the current namespace.
counted() {
  nfacct get "$1" | sed -E 's/.*pkts = 0*([0-9]+), bytes = 0*([0-9]+).*/\1 \2/'
}

# gtests PROGRAM [FILTER [SKIPPED]]: runs each test in a process of its own, as
# CTest does. Our modules skip nothing but what SKIPPED, a pattern, says.
gtests() {
  group=
  may_skip=${3:-}
  "$1" --gtest_list_tests --gtest_filter="${2:-*}" | while read -r name _; do
    case $name in
      *.) group=$name ;;
      *) echo "$group$name" ;;
    esac
  done >/tmp/tests
  [ -s /tmp/tests ] || fail "$1 lists no tests"
  "$1" --each-alone </tmp/tests >/tmp/output 2>&1
  while read -r verdict name; do
    case $verdict in
      passed) echo "ok: $name" ;;
      skipped)
        if [ "$NFM_MODULE" = stock ] ||
           echo "$name" | grep -qE "^($may_skip)$"; then
          echo "skipped: $name"
        else
          fail "$name was skipped"
        fi ;;
      failed) fail "$name" ;;
      *) echo "$verdict $name" ;;
    esac
  done </tmp/output
  [ "$(grep -cE '^(passed|skipped|failed) ' /tmp/output)" = "$(wc -l </tmp/tests)" ] ||
    fail "$1 did not come to the end of its tests"
}

# Ends a suite. Nothing is left in the first namespace, so both modules must go:
# who can't be unloaded has lost count of its users.
finish() {
  for command in iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft; do
    for table in raw filter; do
      "$command" -t $table -F 2>/dev/null
      "$command" -t $table -X 2>/dev/null
    done
  done
  for module in xt_NFACCT xt_nfacct nfnetlink_acct; do
    [ -d "/sys/module/$module" ] || continue
    ok "$module can be unloaded at the end" rmmod "$module"
  done
  leaks=/sys/kernel/debug/kmemleak
  if [ -e $leaks ]; then
    # What has just been freed is left alone for a while by the scanner.
    sleep 6
    echo scan >$leaks
    sleep 6
    echo scan >$leaks
    found=$(grep -A 20 acct $leaks)
    [ -z "$found" ] || fail "the kernel has lost memory: $found"
  fi
  [ "$failures" = 0 ]
  exit
}
