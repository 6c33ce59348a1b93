// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/netlink_socket_pool.h"

namespace nfmeter::kernel {

void NetlinkSocketPool::Add(std::unique_ptr<NetlinkSocket> socket) {
  absl::MutexLock lock(&mutex_);
  free_.push_back(std::move(socket));
}

NetlinkSocketPool::Lease::Lease(NetlinkSocketPool& pool) : pool_(pool) {
  absl::MutexLock lock(&pool_.mutex_);
  pool_.mutex_.Await(absl::Condition(
      +[](std::vector<std::unique_ptr<NetlinkSocket>>* free) {
        return !free->empty();
      },
      &pool_.free_));
  // The one that was used last: its buffer is warm, and the kernel knows how
  // large it is.
  socket_ = std::move(pool_.free_.back());
  pool_.free_.pop_back();
}

}  // namespace nfmeter::kernel
