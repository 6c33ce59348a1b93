// SPDX-License-Identifier: GPL-3.0-or-later
// One walk over the kernel's list of accounting objects.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_ACCT_WALK_H_
#define NFMETER_KERNEL_LINUX_NFACCT_ACCT_WALK_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// What this kernel promises, in a few microseconds: the module may have been
// exchanged since it was asked last.
absl::StatusOr<AcctFeatures> AskAcctFeatures(NetlinkSocket& socket);

// A walk: what it is given, and what it found. Not thread-safe.
class AcctWalk {
 public:
  using OnRecords = absl::FunctionRef<void(absl::Span<const AcctRecord>)>;

  // `names` says what short names stand for. `tail` is the name of an object
  // that was made at the list's tail for this walk, and must be seen by it;
  // empty: there is none.
  AcctWalk(const AcctNames& names, AcctDumpFilter filter, OnRecords on_records,
           std::string tail = "")
      : names_(names),
        filter_(filter),
        on_records_(on_records),
        tail_(std::move(tail)) {}

  // Once. Statuses: AcctTable::Dump(). After one that is not OK the socket may
  // have more of the dump queued.
  absl::Status Run(NetlinkSocket& socket);

  const AcctDumpOutcome& outcome() const { return outcome_; }
  // Marks of the tail that are not of this walk.
  const std::vector<std::string>& stale_tails() const { return stale_tails_; }

 private:
  // Takes a record in. Marks of the tail, ours or others', are kept back.
  void Take(const AcctRecord& record, std::vector<AcctRecord>& group);

  const AcctNames& names_;
  const AcctDumpFilter filter_;
  const OnRecords on_records_;
  const std::string tail_;
  bool tail_seen_ = false;
  std::deque<std::string> long_names_;  // of the group
  std::vector<std::string> stale_tails_;
  AcctDumpOutcome outcome_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_ACCT_WALK_H_
