// SPDX-License-Identifier: GPL-3.0-or-later
// A few sockets that many threads share.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SOCKET_POOL_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SOCKET_POOL_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// Owns the sockets that it is given, and lends them. Thread-safe. Must outlive
// its leases.
class NetlinkSocketPool {
 public:
  void Add(std::unique_ptr<NetlinkSocket> socket);

  // A socket that nobody else uses while this lives. Waits for one when all are
  // lent; there must be some.
  class Lease {
   public:
    explicit Lease(NetlinkSocketPool& pool);
    ~Lease() { pool_.Add(std::move(socket_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    NetlinkSocket& operator*() { return *socket_; }
    NetlinkSocket* operator->() { return socket_.get(); }

   private:
    NetlinkSocketPool& pool_;
    std::unique_ptr<NetlinkSocket> socket_;
  };

 private:
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<NetlinkSocket>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SOCKET_POOL_H_
