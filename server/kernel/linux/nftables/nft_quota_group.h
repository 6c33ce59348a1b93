// SPDX-License-Identifier: GPL-3.0-or-later
// When to listen to the kernel for quotas that are crossed.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_QUOTA_GROUP_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_QUOTA_GROUP_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "kernel/linux/netlink/netlink_subscription.h"

namespace nfmeter::kernel {

// The subscriptions to the quota crossings of our table. The kernel tells of
// them in the group in which it tells of every change of every ruleset of the
// namespace, and whoever makes a change pays for each listener: it takes a
// third longer to make 10,000 counters. So they are in the group only while the
// table may have quotas.
//
// Thread-safe. The lock is held while sockets join and leave, which waits for
// nothing, so that they are in the group before a quota is made.
class NftQuotaGroup {
 public:
  // `subscription` has joined, and leaves if there are no quotas. It lives
  // until Remove().
  void Add(NetlinkSubscription& subscription);
  void Remove(NetlinkSubscription& subscription);

  // While it lives, quotas may be made. One at a time.
  class Making {
   public:
    explicit Making(NftQuotaGroup& group);
    ~Making();
    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;

    // errno of what has not joined; 0: all have.
    int err() const { return err_; }

   private:
    NftQuotaGroup& group_;
    int err_ = 0;
  };

  // Whether the subscriptions are in the group.
  bool listens() const;
  // What NoteNone() asks for: read before the table is.
  uint64_t version() const;
  // The table, read after `version`, has no quotas, and nothing but a Making
  // brings one. Does nothing if one has been under way since.
  void NoteNone(uint64_t version);

 private:
  mutable absl::Mutex mutex_;
  std::vector<NetlinkSubscription*> subscriptions_ ABSL_GUARDED_BY(mutex_);
  bool listens_ ABSL_GUARDED_BY(mutex_) = true;
  // Rises when a Making begins and when it ends; odd while one is under way.
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_QUOTA_GROUP_H_
