// SPDX-License-Identifier: GPL-3.0-or-later
// Accounting objects of the Linux kernel, over netlink.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_NETLINK_ACCT_TABLE_H_
#define NFMETER_KERNEL_LINUX_NFACCT_NETLINK_ACCT_TABLE_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"
#include "kernel/linux/netlink/netlink_namespace.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/linux/nfacct/acct_walk.h"

namespace nfmeter::kernel {

// nfnetlink_acct. Thread-safe: each call borrows one of a few sockets, so that
// a read of one object does not wait for a dump; a call waits when all of them
// are lent. Needs CAP_NET_ADMIN at each call.
class NetlinkAcctTable : public AcctTable {
 public:
  struct Options {
    NetworkNamespace network;  // whose objects
    // As many calls proceed at the same time.
    size_t sockets = 4;
    // Of each socket (SO_RCVBUF); bounds how many requests go out at once.
    int receive_buffer_bytes = 2 << 20;
    // Of each subscription: how many quota events wait for their reader before
    // the kernel drops them.
    int quota_buffer_bytes = 8 << 20;
    // What short names stand for, if others are to know it, too.
    std::shared_ptr<AcctNames> names = std::make_shared<AcctNames>();
    // The first dump removes marks that a dump which was killed left behind.
    // For the one table whose dumps and deletions do not overlap.
    bool sweeps = true;
  };

  // Succeeds without nfnetlink_acct and without privileges; Probe() tells.
  static absl::StatusOr<std::unique_ptr<NetlinkAcctTable>> Open(
      const Options& options);
  static absl::StatusOr<std::unique_ptr<NetlinkAcctTable>> Open() {
    return Open(Options());
  }
  ~NetlinkAcctTable() override;

  absl::Status Probe() override;
  absl::StatusOr<AcctFeatures> Features() override;
  std::vector<absl::Status> Create(
      absl::Span<const AcctObject> objects) override;
  absl::StatusOr<AcctObject> Get(absl::string_view name) override;
  std::vector<absl::StatusOr<AcctObject>> GetAndReset(
      absl::Span<const std::string> names) override;
  std::vector<absl::Status> Delete(
      absl::Span<const std::string> names) override;
  // In place where Features() has `replace`.
  absl::StatusOr<QuotaChange> SetQuota(absl::string_view name,
                                       const std::optional<QuotaLimit>& quota,
                                       bool dry_run) override;
  // A deletion and a creation in one send, which nothing comes between.
  absl::Status Renew(const AcctObject& object) override;
  // Complete as far as the sizes of the messages tell, see AcctDumpEnd.
  absl::StatusOr<AcctDumpOutcome> Dump(
      AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records)
      override;
  // Walks again by DumpToTail().
  absl::StatusOr<AcctDumpOutcome> DumpVerified(AcctDumpFilter filter,
                                               AcctReader& reader) override;
  // Makes a transient object at the list's tail, which is not handed out, and
  // looks whether it arrives: not complete only when the walk really was cut.
  absl::StatusOr<AcctDumpOutcome> DumpToTail(
      AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records);
  absl::StatusOr<std::unique_ptr<QuotaEvents>> WatchQuotas() override;

 private:
  class Lease : public NetlinkSocketPool::Lease {
   public:
    explicit Lease(NetlinkAcctTable& table)
        : NetlinkSocketPool::Lease(table.sockets_) {}
  };

  explicit NetlinkAcctTable(const Options& options);

  absl::Status Run(AcctWalk& walk);
  // The counter is there, by its short name if it has one; or has gone.
  void Learn(absl::string_view name) {
    if (name.size() > kNfacctNameMaxBytes) {
      options_.names->Learn(NfacctName(name), name);
    }
  }
  void Forget(absl::string_view name) {
    if (name.size() > kNfacctNameMaxBytes) {
      options_.names->Forget(NfacctName(name));
    }
  }
  // The object of that name is another counter's.
  bool IsAnothers(absl::string_view name) const {
    return name.size() > kNfacctNameMaxBytes &&
           options_.names->IsAnothers(NfacctName(name), name);
  }

  const Options options_;
  NetlinkSocketPool sockets_;
  // The first dump looks for tail marks of killed processes.
  std::atomic<bool> swept_ = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_NETLINK_ACCT_TABLE_H_
