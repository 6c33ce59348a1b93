// SPDX-License-Identifier: GPL-3.0-or-later
// Whether a dump of accounting objects reached the end of the kernel's list.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_ACCT_DUMP_END_H_
#define NFMETER_KERNEL_LINUX_NFACCT_ACCT_DUMP_END_H_

#include <cstddef>

namespace nfmeter::kernel {

// nfnl_acct_dump() (net/netfilter/nfnetlink_acct.c) fills a message until a
// record does not fit, remembers that object's address, and goes on from it in
// the next message. If the object has been deleted by then, it finds nothing
// to go on from, and the dump ends with a DONE as if all were well: no error,
// no NLM_F_DUMP_INTR. So a walk can only have been cut behind a message that
// had no room for one more record; if the last message with records had room,
// its walk had come to the end of the list by itself.
//
// How much fits a message is not told. netlink_dump() (net/netlink/
// af_netlink.c) allocates 32 KiB less its own bookkeeping, given that we always
// offer larger buffers, or NLMSG_GOODSIZE (a page, at most 8 KiB, less the
// same) when memory is short and for the first message on a socket. What the
// socket accounts for a queued message tells the two apart; of the bookkeeping,
// the most that it can be is taken, and larger messages that have been seen.
//
// One object judges one dump. Not thread-safe.
class AcctDumpEnd {
 public:
  // `page_bytes` is the kernel's page size.
  explicit AcctDumpEnd(size_t page_bytes);

  // A datagram with records, in order of arrival. `queued_bytes` is what the
  // socket accounted for it while it was queued (0: not known). `has_done`: it
  // also holds the DONE, which the kernel adds to records only when their walk
  // has ended.
  void OnRecords(size_t datagram_bytes, size_t queued_bytes, bool has_done);

  // True: all was handed out. False: it can't be told.
  bool Reached() const;

 private:
  const size_t small_nominal_;
  size_t largest_ = 0;
  size_t last_ = 0;
  bool last_is_large_ = false;
  bool done_with_records_ = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_ACCT_DUMP_END_H_
