// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/errno_status.h"

#include <errno.h>
#include <string.h>

#include <cstdint>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/error.h"

namespace nfmeter::kernel {
namespace {

using Code = absl::StatusCode;
using Op = Operation;

// A set of operations: Op::kAcctGet | Op::kAcctReset.
struct Operations {
  constexpr explicit Operations(uint32_t bits) : bits(bits) {}
  constexpr Operations(  // NOLINT(google-explicit-constructor): mostly one
      Operation one)
      : bits(1u << static_cast<int>(one)) {}
  uint32_t bits;
};
constexpr Operations operator|(Operations a, Operations b) {
  return Operations(a.bits | b.bits);
}
constexpr Operations operator|(Operation a, Operation b) {
  return Operations(a) | Operations(b);
}
constexpr Operations kWhatever(~0u);

// One errno, or up to four.
struct Errnos {
  static constexpr int kNone = -1;
  constexpr Errnos(  // NOLINT(google-explicit-constructor): mostly one
      int a, int b = kNone, int c = kNone, int d = kNone)
      : each{a, b, c, d} {}
  int each[4];
};

struct Row {
  Operations operations;
  Errnos errs;
  Code code;
  const char* reason;
  const char* sentence;  // $0 is the subject
};

constexpr char kNoConntrack[] =
    "this kernel does not let connection tracking be read ($0): load it with "
    "'modprobe nf_conntrack_netlink', or use a kernel built with it";
constexpr char kNoSettings[] =
    "$0 can't be written here: set it where the network namespace was made "
    "(sysctl net.netfilter.nf_conntrack_acct=1, "
    "net.netfilter.nf_conntrack_timestamp=1; in containers by their runtime)";

constexpr char kNoNfacct[] =
    "this kernel has no accounting objects: load them with 'modprobe "
    "nfnetlink_acct', or use a kernel built with CONFIG_NETFILTER_NETLINK_ACCT "
    "(in a container the host loads the module)";
constexpr char kNoNetAdmin[] =
    "not permitted ($0): accounting objects need CAP_NET_ADMIN in the network "
    "namespace's user namespace, even to read; run nfmeterd as root or with "
    "AmbientCapabilities=CAP_NET_ADMIN";
constexpr char kNoNetRaw[] =
    "not permitted ($0): iptables rules need CAP_NET_ADMIN and CAP_NET_RAW; "
    "run nfmeterd as root or with AmbientCapabilities=CAP_NET_ADMIN "
    "CAP_NET_RAW";
constexpr char kNotThere[] =
    "counter '$0' does not exist; ListCounters shows those that do";
constexpr char kThereAlready[] =
    "counter '$0' exists already; take another name, or delete it first";
constexpr char kLockHeld[] =
    "another program held the xtables lock ($0) until the deadline; try again, "
    "or find it with 'fuser -v $0'";
constexpr char kLockDenied[] =
    "no access to the xtables lock $0, without which rules are not changed: "
    "let "
    "nfmeterd's group read it (chgrp nfmeter $0 && chmod 0640 $0, and a "
    "tmpfiles.d entry as the Debian package brings), or point XTABLES_LOCKFILE "
    "at the file that all iptables users here share";
constexpr char kNoNftables[] =
    "this kernel has no nf_tables with counter objects for $0: load them with "
    "'modprobe nf_tables nft_objref nft_counter', or use Linux 5.4 or newer "
    "with CONFIG_NF_TABLES_INET (in a container the host loads the modules)";
constexpr char kBadName[] =
    "'$0' can't be a counter's name: it has 1 to 253 bytes, none of them NUL";

// Searched from the top: a row for one operation stands before one for any.
constexpr Row kRows[] = {
    // Sockets.
    {Op::kSocket, EPROTONOSUPPORT, Code::kUnimplemented, "NETLINK_UNAVAILABLE",
     "this kernel has no netfilter netlink socket ($0): load it with 'modprobe "
     "nfnetlink', or use a kernel built with CONFIG_NETFILTER_NETLINK"},
    {Op::kSocket, EAFNOSUPPORT, Code::kUnimplemented, "NETLINK_UNAVAILABLE",
     "this process may not use netlink ($0): allow AF_NETLINK in the unit's "
     "RestrictAddressFamilies= or in the container's seccomp profile"},
    {Op::kSocket, ENOENT, Code::kUnimplemented, "NETLINK_UNAVAILABLE",
     "this kernel has no such netlink multicast group ($0): load it with "
     "'modprobe nfnetlink_acct'"},
    // Accounting objects.
    {Op::kAcctCreate, Errnos(EEXIST, EBUSY), Code::kAlreadyExists,
     "COUNTER_EXISTS", kThereAlready},
    {Op::kAcctCreate | Op::kAcctGet | Op::kAcctReset | Op::kAcctDelete |
         Op::kAcctReplace,
     ENAMETOOLONG, Code::kInvalidArgument, "INVALID_COUNTER_NAME", kBadName},
    {Op::kAcctCreate, ENOSPC, Code::kResourceExhausted, "COUNTER_LIMIT_REACHED",
     "counter '$0' was not made: this network namespace has as many as "
     "nfnetlink_acct allows; delete some, or raise "
     "/sys/module/nfnetlink_acct/parameters/max_objects"},
    {Op::kAcctCreate | Op::kAcctGet | Op::kAcctReset | Op::kAcctDelete |
         Op::kAcctReplace | Op::kAcctDump,
     EINVAL, Code::kUnimplemented, "NFACCT_UNAVAILABLE", kNoNfacct},
    {Op::kQuotaEvents, Errnos(ENOENT, EINVAL), Code::kUnimplemented,
     "NFACCT_UNAVAILABLE", kNoNfacct},
    {Op::kAcctCreate, ENOBUFS, Code::kDataLoss, "CREATION_ANSWER_LOST",
     "counter '$0' may have been made, but the kernel could not deliver its "
     "answer; read it before making it again"},
    {Op::kAcctGet | Op::kAcctReset | Op::kAcctDelete | Op::kAcctReplace, ENOENT,
     Code::kNotFound, "COUNTER_NOT_FOUND", kNotThere},
    {Op::kAcctReset, ENOBUFS, Code::kDataLoss, "RESET_ANSWER_LOST",
     "counter '$0' may have been zeroed, but the kernel could not deliver its "
     "values (no memory for the answer); read it before resetting it again"},
    {Op::kAcctDelete, EBUSY, Code::kFailedPrecondition, "COUNTER_IN_USE",
     "counter '$0' is held by rules; delete those first (ListRules with this "
     "counter shows them)"},
    {Op::kAcctDelete, ENOBUFS, Code::kDataLoss, "DELETION_ANSWER_LOST",
     "counter '$0' may have been deleted, but the kernel could not deliver its "
     "answer; read it before deleting it again"},
    {Op::kAcctReplace, EBUSY, Code::kFailedPrecondition, "COUNTER_IN_USE",
     "counter '$0' is held by rules, and so its quota stays as it was"},
    {Op::kAcctDump, ENOBUFS, Code::kUnavailable, "DUMP_INTERRUPTED",
     "the kernel dropped a part of the dump of $0; try again"},
    {Op::kQuotaEvents, ENOBUFS, Code::kDataLoss, "QUOTA_EVENTS_LOST",
     "the kernel dropped quota events because they came too fast; list the "
     "counters whose quota is exceeded to catch up"},
    // The xtables lock.
    {Op::kXtablesLock, Errnos(EAGAIN, ETIMEDOUT), Code::kUnavailable,
     "XTABLES_LOCK_HELD", kLockHeld},
    {Op::kXtablesLock, EINTR, Code::kUnavailable, "XTABLES_LOCK_HELD",
     "waiting for the xtables lock ($0) was interrupted; try again"},
    {Op::kXtablesLock, Errnos(EACCES, EPERM), Code::kPermissionDenied,
     "XTABLES_LOCK_DENIED", kLockDenied},
    {Op::kXtablesLock, ENOENT, Code::kFailedPrecondition,
     "XTABLES_LOCK_UNAVAILABLE",
     "the folder of the xtables lock $0 does not exist; make it, or set "
     "XTABLES_LOCKFILE"},
    {Op::kXtablesLock, EROFS, Code::kFailedPrecondition,
     "XTABLES_LOCK_UNAVAILABLE",
     "the xtables lock $0 lies on a read-only file system; mount the host's "
     "lock file there, or set XTABLES_LOCKFILE"},
    {Op::kXtablesLock, EISDIR, Code::kFailedPrecondition,
     "XTABLES_LOCK_UNAVAILABLE",
     "the xtables lock $0 is a folder (a container's mount of a file that did "
     "not exist, often); remove it, or set XTABLES_LOCKFILE"},
    {Op::kXtablesLock, ELOOP, Code::kFailedPrecondition,
     "XTABLES_LOCK_UNAVAILABLE",
     "the xtables lock $0 is a symbolic link, which is not followed; remove "
     "it, or set XTABLES_LOCKFILE"},
    // Rules.
    {Op::kRuleRead, ENOENT, Code::kUnimplemented, "TABLE_UNAVAILABLE",
     "this kernel has no table $0: load it ('modprobe iptable_filter', "
     "'ip6table_mangle' and so on), or use a kernel built with legacy xtables"},
    {Op::kRuleRead, ENOPROTOOPT, Code::kUnimplemented, "TABLE_UNAVAILABLE",
     "this kernel has no legacy iptables ($0): load 'ip_tables' and "
     "'ip6_tables', or use a kernel built with legacy xtables"},
    {Op::kRuleRead, EPROTONOSUPPORT, Code::kUnimplemented, "TABLE_UNAVAILABLE",
     "this kernel has no raw sockets of that family ($0), through which rules "
     "are read"},
    {Op::kRuleRead, EAFNOSUPPORT, Code::kUnimplemented, "TABLE_UNAVAILABLE",
     "this kernel or this process's sandbox has no sockets of that family "
     "($0), through which rules are read"},
    {Op::kRuleRead, EINVAL, Code::kUnimplemented, "TABLE_UNAVAILABLE",
     "the kernel's table $0 does not have the form that this program knows"},
    {Op::kRuleRead, EAGAIN, Code::kUnavailable, "TABLE_CHANGED",
     "table $0 changed while it was being read; try again"},
    {Op::kRuleRead | Op::kRuleCommit, Errnos(EPERM, EACCES),
     Code::kPermissionDenied, "PERMISSION_DENIED", kNoNetRaw},
    {Op::kIpSetLookup, EPERM, Code::kPermissionDenied, "PERMISSION_DENIED",
     kNoNetRaw},
    {Op::kRuleCommit, EAGAIN, Code::kUnavailable, "TABLE_CHANGED",
     "another program kept changing table $0 without the xtables lock, so "
     "nothing was changed; try again"},
    {Op::kRuleCommit, EINVAL, Code::kInvalidArgument, "RULE_REFUSED",
     "the kernel refused table $0 as it would be with these rules. They break "
     "no law that nfmeterd knows of; a rule of another program that is in the "
     "table already may be the reason, as the kernel checks all of them anew. "
     "'dmesg' may say which. Nothing was changed"},
    {Op::kRuleCommit, ENOENT, Code::kNotFound, "RULE_OBJECT_NOT_FOUND",
     "the rules for $0 name a counter, a set or a match that this kernel does "
     "not have; nothing was changed"},
    {Op::kRuleCommit, ELOOP, Code::kInvalidArgument, "RULE_LOOP",
     "the rules for $0 would make a chain reach itself; nothing was changed"},
    {Op::kRuleCommit, E2BIG, Code::kResourceExhausted, "TABLE_TOO_LARGE",
     "table $0 would become larger than the kernel takes; nothing was changed"},
    {Op::kRuleCommit, ENOPROTOOPT, Code::kUnimplemented, "TABLE_UNAVAILABLE",
     "this kernel has no table or match that the rules for $0 need; nothing "
     "was changed"},
    {Op::kRuleCommit, EOPNOTSUPP, Code::kUnimplemented, "MATCH_UNAVAILABLE",
     "this kernel lacks a match that the rules for $0 need; nothing was "
     "changed"},
    {Op::kRuleCommit, EPROTOTYPE, Code::kUnimplemented, "MATCH_UNAVAILABLE",
     "this kernel has an older form of a match that the rules for $0 need; "
     "nothing was changed"},
    {Op::kIpSetLookup, ENOENT, Code::kNotFound, "IPSET_NOT_FOUND",
     "set '$0' does not exist; 'ipset list -n' shows those that do"},
    {Op::kIpSetLookup, ENOPROTOOPT, Code::kUnimplemented, "IPSET_UNAVAILABLE",
     "this kernel has no sets (looking for '$0'): load them with 'modprobe "
     "ip_set xt_set'"},
    {Op::kIpSetLookup, EPROTO, Code::kUnimplemented, "IPSET_UNAVAILABLE",
     "the kernel's set protocol (looking for '$0') is not one that this "
     "program knows"},
    // nf_tables.
    {Op::kNftProbe, Errnos(EOPNOTSUPP, EINVAL, ENOENT, EAFNOSUPPORT),
     Code::kUnimplemented, "NFTABLES_UNAVAILABLE", kNoNftables},
    {Op::kNftRead, Errnos(EOPNOTSUPP, EINVAL), Code::kUnimplemented,
     "NFTABLES_UNAVAILABLE", kNoNftables},
    {Op::kNftChange, EOPNOTSUPP, Code::kUnimplemented, "NFTABLES_UNAVAILABLE",
     kNoNftables},
    {Op::kNftChange, EINVAL, Code::kInvalidArgument, "RULE_REFUSED",
     "the kernel refused a part of the change of $0, probably an expression "
     "that can't be used at its hook; nothing was changed"},
    {Op::kNftChange, ENOENT, Code::kUnavailable, "NFT_TABLE_CHANGED",
     "another program removed a part of $0 meanwhile; nothing was changed, try "
     "again"},
    {Op::kNftChange, ERESTART, Code::kUnavailable, "NFT_TABLE_CHANGED",
     "other programs kept changing nf_tables rulesets until the deadline; "
     "nothing of $0 was changed, try again"},
    {Op::kNftRead, ERESTART, Code::kUnavailable, "NFT_TABLE_CHANGED",
     "other programs kept changing $0 while it was being read; try again"},
    {Op::kNftChange, EMSGSIZE, Code::kResourceExhausted,
     "NFT_TRANSACTION_TOO_LARGE",
     "the change of $0 is larger than one nf_tables transaction may be here "
     "(the send buffer, which net.core.wmem_max bounds without CAP_NET_ADMIN "
     "in the first user namespace); nothing was changed, use smaller batches"},
    {Op::kNftChange, ENOBUFS, Code::kAborted, "NFT_ANSWER_LOST",
     "the change of $0 may have been made, but the kernel could not deliver "
     "its answer; read what is there before trying again"},
    // Flows.
    {Op::kFlowDump, Errnos(EINVAL, EOPNOTSUPP), Code::kUnimplemented,
     "CONNTRACK_UNAVAILABLE", kNoConntrack},
    {Op::kFlowEvents, Errnos(ENOENT, EINVAL), Code::kUnimplemented,
     "CONNTRACK_UNAVAILABLE", kNoConntrack},
    {Op::kConntrackSettings, ENOENT, Code::kUnimplemented,
     "CONNTRACK_UNAVAILABLE", kNoConntrack},
    {Op::kFlowDump, ENOBUFS, Code::kUnavailable, "DUMP_INTERRUPTED",
     "the kernel could not deliver all of $0; try again"},
    {Op::kConntrackSettings, Errnos(EROFS, EACCES, EPERM),
     Code::kFailedPrecondition, "CONNTRACK_SETTINGS_READ_ONLY", kNoSettings},
    // Whatever was attempted.
    {kWhatever, Errnos(EPERM, EACCES), Code::kPermissionDenied,
     "PERMISSION_DENIED", kNoNetAdmin},
    {kWhatever, EOPNOTSUPP, Code::kUnimplemented, "NFACCT_UNAVAILABLE",
     kNoNfacct},
    {kWhatever, ENOMEM, Code::kResourceExhausted, "KERNEL_OUT_OF_MEMORY",
     "the kernel has no memory for $0; free some, or raise the memory limit of "
     "the unit or container"},
    {kWhatever, ENOBUFS, Code::kUnavailable, "KERNEL_OUT_OF_BUFFERS",
     "the kernel could not deliver its answer about $0; try again"},
    {kWhatever, EMFILE, Code::kResourceExhausted, "TOO_MANY_OPEN_FILES",
     "this process has too many open files ($0); raise LimitNOFILE="},
    {kWhatever, ENFILE, Code::kResourceExhausted, "TOO_MANY_OPEN_FILES",
     "this host has too many open files ($0); raise fs.file-max"},
    {kWhatever, Errnos(EBUSY, EAGAIN), Code::kUnavailable, "KERNEL_BUSY",
     "the kernel is busy with $0; try again"},
    {kWhatever, EINTR, Code::kUnavailable, "INTERRUPTED",
     "interrupted by a signal ($0); try again"},
};

const Row* FindRow(Operation operation, int err) {
  for (const Row& row : kRows) {
    if ((row.operations.bits & Operations(operation).bits) != 0 &&
        absl::c_linear_search(row.errs.each, err)) {
      return &row;
    }
  }
  return nullptr;
}

}  // namespace

absl::Status ErrnoStatus(Operation operation, int err,
                         absl::string_view subject) {
  // Names from the kernel and from requests are bytes; an overlong one would
  // only be cut by gRPC's limit on metadata.
  constexpr size_t kLongest = 256;
  std::string shown = absl::CHexEscape(subject.substr(0, kLongest));
  if (subject.size() > kLongest) absl::StrAppend(&shown, "...");
  const char* symbol = strerrorname_np(err);
  const std::string name = symbol != nullptr ? symbol : absl::StrCat(err);
  ErrorDetails details = {.metadata = {{"subject", shown}, {"errno", name}}};
  const Row* row = FindRow(operation, err);
  if (row == nullptr) {
    details.reason = "KERNEL_ERROR";
    const char* text = strerrordesc_np(err);
    return MakeError(
        Code::kInternal,
        absl::StrCat("the kernel refused '", shown, "': ",
                     text != nullptr ? text : "unknown error", " (", name, ")"),
        std::move(details));
  }
  details.reason = row->reason;
  return MakeError(row->code,
                   absl::StrReplaceAll(row->sentence, {{"$0", shown}}),
                   std::move(details));
}

}  // namespace nfmeter::kernel
