// SPDX-License-Identifier: GPL-3.0-or-later
// The table of nfmeter's in nf_tables: whose it is, and the one way to change
// it.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_TABLE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernel/acct_names.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_quota_group.h"

namespace nfmeter::kernel {

// `table inet nfmeter`. Where the kernel has that (Linux 6.9 on), it belongs to
// the socket of this process: others can't change or flush it, and a process
// that comes after this one takes it over as it is. Elsewhere it is a plain
// table, which everybody can flush.
//
// It comes into being with the first change, and again should somebody have
// deleted it. Who has changed it and leaves nothing in it takes it away.
//
// Thread-safe: reads borrow one of a few sockets, changes the one that owns.
class NftTable {
 public:
  struct Options {
    // As many reads proceed at the same time.
    size_t sockets = 4;
    // Of each socket; bounds how many questions go out at once.
    int receive_buffer_bytes = 2 << 20;
    // Bounds a transaction, which is one send. Beyond net.core.wmem_max where
    // that is permitted.
    int send_buffer_bytes = 64 << 20;
    // Own the table where the kernel can. A table that is owned can't be
    // changed by other programs; tests that play those do without.
    bool own = true;
    // Nothing will be changed, so the table may belong to another process.
    bool read_only = false;
  };

  // Opens the sockets in the calling thread's network namespace. Succeeds
  // without nf_tables and without privileges.
  static absl::StatusOr<std::unique_ptr<NftTable>> Open(const Options& options);
  static absl::StatusOr<std::unique_ptr<NftTable>> Open() {
    return Open(Options());
  }
  ~NftTable();
  NftTable(const NftTable&) = delete;
  NftTable& operator=(const NftTable&) = delete;

  // Finds out by a transaction that is not committed whether the kernel has all
  // that counting needs. UNIMPLEMENTED, NFTABLES_UNAVAILABLE: it has not, and
  // what it lacks is named; PERMISSION_DENIED. FAILED_PRECONDITION:
  // NFT_TABLE_FOREIGN, there is a table of this name that nfmeter did not make;
  // NFT_TABLE_OWNED, it belongs to another process that lives.
  absl::Status Probe();

  // Whether the kernel has quotas, as the last Probe() has found.
  // UNIMPLEMENTED, NFTABLES_UNAVAILABLE: it has not.
  absl::Status quotas() const;

  // Takes over a table that a process before this one has left, so that others
  // can't change it before our first commit does. After Probe().
  absl::Status Claim();

  // A batch that begins with the table itself.
  NftBatch NewBatch() const;

  // Carries a batch of NewBatch() out, all or nothing. With `generation`: only
  // if nobody has changed any ruleset of this namespace since it was read
  // (ERESTART). Takes the table over with the first one.
  NftErrors Commit(const NftBatch& batch,
                   std::optional<uint32_t> generation = std::nullopt);
  // Has the kernel check all of it, and changes nothing.
  NftErrors Rehearse(const NftBatch& batch);

  // Whether others are kept from changing the table, once it is there.
  bool owned() const { return (flags_ & kNftTableOwner) != 0; }

  // Whether the table is there and nobody else can have changed it since this
  // process made or took it over.
  absl::StatusOr<bool> IsHeld();

  // The largest batch that Commit() takes.
  size_t batch_bytes_max() const { return batch_bytes_max_; }
  // RESOURCE_EXHAUSTED, NFT_TRANSACTION_TOO_LARGE, with both numbers of bytes:
  // this one is larger.
  absl::Status CheckSize(const NftBatch& batch) const;

  // The kernel's count of changes of all rulesets of this namespace.
  absl::StatusOr<uint32_t> Generation();

  struct State {
    uint32_t flags = 0;
    uint32_t use = 0;    // chains, sets and objects
    uint32_t owner = 0;  // netlink port; 0: none
    bool ours = false;   // bears our mark
  };
  // nullopt: there is none.
  absl::StatusOr<std::optional<State>> Read();

  // A socket to read with, which nobody else uses meanwhile.
  class Lease : public NetlinkSocketPool::Lease {
   public:
    explicit Lease(NftTable& table)
        : NetlinkSocketPool::Lease(table.readers_) {}
  };

  const NetworkNamespace& network() const { return namespace_; }

  // What objects that are named by a hash stand for.
  AcctNames& names() { return names_; }

  // Who listens for crossings of the table's quotas.
  NftQuotaGroup& quota_group() { return quota_group_; }
  // Before a reading of the whole table. If it finds no quotas, there are none
  // since the group's version that this is; nullopt: that would say nothing, as
  // others can make some, or nobody listens.
  std::optional<uint64_t> BeginLookForQuotas();

 private:
  explicit NftTable(const Options& options) : options_(options) {}

  // Whether a table that is there may be used.
  absl::Status CheckOwnership(const State& state) const;
  // The socket that owns, which nobody else uses meanwhile.
  class WriteLease : public NetlinkSocketPool::Lease {
   public:
    explicit WriteLease(NftTable& table)
        : NetlinkSocketPool::Lease(table.writer_) {}
  };
  // Takes over a table that lost its owner. OK where there is none.
  NftErrors Adopt(NetlinkSocket& writer);
  // If there is nothing in it.
  absl::Status DeleteIfEmpty();

  const Options options_;
  const NetworkNamespace namespace_;
  AcctNames names_;
  NftQuotaGroup quota_group_;
  size_t batch_bytes_max_ = 0;
  uint32_t port_ = 0;                // of the owner's socket
  std::atomic<uint32_t> flags_ = 0;  // of the table, when we make it
  std::atomic<bool> orphaned_ = false;
  std::atomic<bool> changed_ = false;  // by us
  mutable absl::Mutex mutex_;
  absl::Status quotas_ ABSL_GUARDED_BY(mutex_);
  NetlinkSocketPool readers_;
  NetlinkSocketPool writer_;  // one
};

// Waits until each packet that was on its way through the rules has come out at
// their end: they go in read sections of RCU. Some 10 ms. Best effort: a kernel
// with nohz_full CPUs refuses to wait (membarrier(2)).
void WaitForPackets();

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_TABLE_H_
