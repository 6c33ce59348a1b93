// SPDX-License-Identifier: GPL-3.0-or-later
// The one table from errno to status, reason and a sentence that tells what to
// do. Real and fake kernels both use it.
#ifndef NFMETER_KERNEL_ERRNO_STATUS_H_
#define NFMETER_KERNEL_ERRNO_STATUS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// What was attempted when the errno came back: the same errno means different
// things to different operations.
enum class Operation {
  kSocket,  // opening or binding a netlink or raw socket
  kAcctCreate,
  kAcctGet,
  kAcctReset,
  kAcctDelete,
  kAcctReplace,  // SetQuota, Renew
  kAcctDump,
  kQuotaEvents,
  kXtablesLock,
  kRuleRead,
  kRuleCommit,
  kIpSetLookup,
  kNftProbe,   // whether nf_tables can be used
  kNftRead,    // objects, chains and rules of nf_tables
  kNftChange,  // a transaction of nf_tables
  kFlowDump,
  kFlowEvents,
  kConntrackSettings,
};

// `err` is an errno value, positive; for a name that the kernel must not be
// given (see IsAcctName) ENAMETOOLONG, and for an xtables lock that could not
// be taken in time EAGAIN. `subject` is what it was attempted on, as people
// would write it: a counter name, "filter (IPv4)". It goes into the sentence
// (escaped) and into the metadata as "subject"; the errno's symbolic name goes
// in as "errno". An errno without a row becomes INTERNAL with reason
// KERNEL_ERROR and the errno's own text.
absl::Status ErrnoStatus(Operation operation, int err,
                         absl::string_view subject);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_ERRNO_STATUS_H_
