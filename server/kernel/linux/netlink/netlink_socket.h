// SPDX-License-Identifier: GPL-3.0-or-later
// A netlink socket to the kernel's netfilter.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SOCKET_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "kernel/linux/netlink/netlink_namespace.h"

struct mnl_socket;

namespace nfmeter::kernel {

// Owns the descriptor and one receive buffer. Not thread-safe.
//
// errno values are returned as they are, positive, 0 for success: what they
// mean depends on what was asked (kernel/errno_status.h).
class NetlinkSocket {
 public:
  // Opens one in the network namespace of the calling thread.
  // `receive_buffer_bytes` bounds what the kernel queues and nobody has read
  // yet; it goes beyond net.core.rmem_max where that is permitted.
  static absl::StatusOr<std::unique_ptr<NetlinkSocket>> Open(
      int receive_buffer_bytes);
  // The same in another.
  static absl::StatusOr<std::unique_ptr<NetlinkSocket>> OpenIn(
      const NetworkNamespace& there, int receive_buffer_bytes);
  ~NetlinkSocket();
  NetlinkSocket(const NetlinkSocket&) = delete;
  NetlinkSocket& operator=(const NetlinkSocket&) = delete;

  // Subscribes to a multicast group (NFNLGRP_*), and ends that.
  int Join(int group);
  void Leave(int group);

  int Send(absl::string_view requests);

  struct Received {
    // Until the next call. Comes from the kernel itself.
    absl::Span<const uint8_t> datagram;
    int err = 0;
  };
  // What is queued; EAGAIN when nothing is. The kernel answers requests before
  // Send() returns, and goes on with a dump before Receive() returns, so EAGAIN
  // means that an answer was lost.
  Received Receive();

  // What the socket accounts for all that is queued, bookkeeping included; 0
  // where the kernel (before 4.12) does not tell.
  size_t QueuedBytes() const;

  // Messages that the kernel had no room for, since the socket was opened.
  uint32_t Drops() const;

  // Reads and forgets all that is queued, to the end of a dump that is under
  // way: while one is, the kernel refuses another (EBUSY).
  void Drain();

  // The first of `count` unused sequence numbers in a row.
  uint32_t TakeSequences(uint32_t count);

  // How many small requests can be sent at once so that all their answers fit
  // the receive buffer: the kernel drops what does not fit.
  size_t requests_at_once() const { return requests_at_once_; }

  int fd() const;

 private:
  explicit NetlinkSocket(mnl_socket* socket);
  void SizeBuffers(int receive_bytes);
  size_t GrantedBytes(int option) const;
  // One of SK_MEMINFO_*; 0 where the kernel does not tell.
  uint32_t MemoryInfo(size_t index) const;

  mnl_socket* const socket_;
  const std::unique_ptr<uint8_t[]> buffer_;
  size_t requests_at_once_ = 1;
  uint32_t next_sequence_ = 1;
};

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

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SOCKET_H_
