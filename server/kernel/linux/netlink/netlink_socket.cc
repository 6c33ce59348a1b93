// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/netlink_socket.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>

#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

// The kernel sizes the messages of a dump by the largest buffer offered so far,
// up to 32 KiB; larger ones are in case that bound is raised.
constexpr size_t kBufferBytes = 256 << 10;

// What one queued answer takes of the receive buffer at most: a page and the
// bookkeeping of the kernel (the truesize of nlmsg_new(NLMSG_DEFAULT_SIZE)).
constexpr size_t kAnswerBytes = 8 << 10;
// What one request takes of the send buffer, the kernel's bookkeeping included.
constexpr size_t kRequestBytes = 256;
constexpr size_t kMostRequestsAtOnce = 512;

}  // namespace

absl::StatusOr<std::unique_ptr<NetlinkSocket>> NetlinkSocket::Open(
    int receive_buffer_bytes) {
  mnl_socket* opened = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (opened == nullptr) {
    return ErrnoStatus(Operation::kSocket, errno, "netlink socket");
  }
  std::unique_ptr<NetlinkSocket> socket(new NetlinkSocket(opened));
  if (mnl_socket_bind(opened, 0, MNL_SOCKET_AUTOPID) != 0) {
    return ErrnoStatus(Operation::kSocket, errno, "netlink address");
  }
  // Errors come without a copy of the request: smaller answers. Kernels before
  // 4.3 lack it, and then they are larger.
  int one = 1;
  mnl_socket_setsockopt(opened, NETLINK_CAP_ACK, &one, sizeof(one));
  socket->SizeBuffers(receive_buffer_bytes);
  return socket;
}

absl::StatusOr<std::unique_ptr<NetlinkSocket>> NetlinkSocket::OpenIn(
    const NetworkNamespace& there, int receive_buffer_bytes) {
  const NamespaceVisit visit(there);
  if (visit.err() != 0) {
    return ErrnoStatus(Operation::kSocket, visit.err(), "network namespace");
  }
  return Open(receive_buffer_bytes);
}

NetlinkSocket::NetlinkSocket(mnl_socket* socket)
    : socket_(socket),
      buffer_(std::make_unique_for_overwrite<uint8_t[]>(kBufferBytes)) {}

NetlinkSocket::~NetlinkSocket() { mnl_socket_close(socket_); }

void NetlinkSocket::SizeBuffers(int receive_bytes) {
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes,
                 sizeof(receive_bytes)) != 0) {
    setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &receive_bytes,
               sizeof(receive_bytes));
  }
  requests_at_once_ =
      std::clamp<size_t>(std::min(GrantedBytes(SO_RCVBUF) / kAnswerBytes,
                                  GrantedBytes(SO_SNDBUF) / kRequestBytes),
                         1, kMostRequestsAtOnce);
}

size_t NetlinkSocket::GrantedBytes(int option) const {
  int granted = 0;
  socklen_t size = sizeof(granted);
  getsockopt(fd(), SOL_SOCKET, option, &granted, &size);
  return static_cast<size_t>(std::max(granted, 0));
}

int NetlinkSocket::Join(int group) {
  return mnl_socket_setsockopt(socket_, NETLINK_ADD_MEMBERSHIP, &group,
                               sizeof(group)) == 0
             ? 0
             : errno;
}

void NetlinkSocket::Leave(int group) {
  // Fails only for groups that there are not.
  mnl_socket_setsockopt(socket_, NETLINK_DROP_MEMBERSHIP, &group,
                        sizeof(group));
}

int NetlinkSocket::Send(absl::string_view requests) {
  while (mnl_socket_sendto(socket_, requests.data(), requests.size()) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

NetlinkSocket::Received NetlinkSocket::Receive() {
  for (;;) {
    sockaddr_nl sender = {};
    iovec buffer = {buffer_.get(), kBufferBytes};
    msghdr message = {.msg_name = &sender,
                      .msg_namelen = sizeof(sender),
                      .msg_iov = &buffer,
                      .msg_iovlen = 1};
    const ssize_t length = recvmsg(fd(), &message, MSG_DONTWAIT);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return {.err = errno};
    // Any process may send to our address; only the kernel has number 0.
    if (sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) return {.err = ENOBUFS};
    return {.datagram = {buffer_.get(), static_cast<size_t>(length)}};
  }
}

uint32_t NetlinkSocket::MemoryInfo(size_t index) const {
  uint32_t info[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof(info);
  const int result = getsockopt(fd(), SOL_SOCKET, SO_MEMINFO, info, &size);
  return result == 0 ? info[index] : 0;
}

size_t NetlinkSocket::QueuedBytes() const {
  return MemoryInfo(SK_MEMINFO_RMEM_ALLOC);
}

uint32_t NetlinkSocket::Drops() const { return MemoryInfo(SK_MEMINFO_DROPS); }

void NetlinkSocket::Drain() {
  for (;;) {
    const Received received = Receive();
    if (received.err != 0 && received.err != ENOBUFS) return;
  }
}

uint32_t NetlinkSocket::TakeSequences(uint32_t count) {
  // Events have the number 0.
  if (next_sequence_ == 0 || next_sequence_ + count < next_sequence_) {
    next_sequence_ = 1;
  }
  const uint32_t first = next_sequence_;
  next_sequence_ += count;
  return first;
}

int NetlinkSocket::fd() const { return mnl_socket_get_fd(socket_); }

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
