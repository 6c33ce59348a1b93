// SPDX-License-Identifier: GPL-3.0-or-later
// Between gRPC and the sockets that it serves.
//
// gRPC 1.51 has no bound on what a client may ask of a connection, tells nobody
// which connection a call came by, and stops listening for good when there are
// no descriptors for another one. It offers no place to change any of that; but
// it reads, writes, accepts and closes by calling the C library and OpenSSL
// like everybody else. Programs come before libraries when the dynamic linker
// looks for a function, so those of this file, which is part of nfmeterd alone,
// are called instead. Each calls the real one, shows what it did to
// interpose::Connections, and fails when that says so: what gRPC sees then is a
// connection that its client has closed.
//
// Should a gRPC to come use other functions, nothing breaks but the bound, and
// tests/fault/flood_test.cc says so.
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/types/span.h"
#include "interpose/connections.h"
#include "interpose/tls_frames.h"

namespace {

using ::nfmeter::interpose::Connections;

// The function that one of this file hides.
template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

absl::Span<const iovec> BuffersOf(const msghdr& message) {
  return {message.msg_iov, static_cast<size_t>(message.msg_iovlen)};
}

// False for datagrams, which are read and written with an address.
bool IsStream(const msghdr& message, int flags) {
  return message.msg_name == nullptr && (flags & MSG_PEEK) == 0;
}

}  // namespace

#define NFMETER_TAP extern "C" __attribute__((visibility("default")))

NFMETER_TAP int accept4(int listener, sockaddr* address, socklen_t* size,
                        int flags) {
  static auto* const real = Real<decltype(accept4)>("accept4");
  const socklen_t room = size == nullptr ? 0 : *size;
  while (true) {
    if (size != nullptr) *size = room;
    const int fd = real(listener, address, size, flags);
    if (fd >= 0) {
      if (Connections::All().Accepted(listener, fd)) return fd;
      continue;
    }
    if (errno != EMFILE && errno != ENFILE) return fd;
    if (!Connections::All().ShedOne(listener)) {
      errno = EAGAIN;
      return -1;
    }
  }
}

NFMETER_TAP ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static auto* const real = Real<decltype(recvmsg)>("recvmsg");
  if (Connections::All().MustWait(fd)) {
    errno = EAGAIN;
    return -1;
  }
  const ssize_t size = real(fd, message, flags);
  if (size > 0 && IsStream(*message, flags) &&
      !Connections::All().Received(fd, BuffersOf(*message),
                                   static_cast<size_t>(size))) {
    return 0;
  }
  if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
    const int error = errno;
    Connections::All().Ended(fd);
    errno = error;
  }
  return size;
}

NFMETER_TAP ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static auto* const real = Real<decltype(sendmsg)>("sendmsg");
  const ssize_t size = real(fd, message, flags);
  if (size > 0 && IsStream(*message, flags)) {
    Connections::All().Sent(fd, BuffersOf(*message), static_cast<size_t>(size));
  }
  return size;
}

// gRPC binds [::1] to any port to see whether the host has IPv6, and listens on
// IPv4 alone when it may not. The sandbox allows no ports but those of the
// listeners (EACCES): that says nothing of IPv6.
NFMETER_TAP int bind(int fd, const sockaddr* address, socklen_t size) {
  static auto* const real = Real<decltype(bind)>("bind");
  const int result = real(fd, address, size);
  if (result == 0 || errno != EACCES || address->sa_family != AF_INET6 ||
      size < sizeof(sockaddr_in6)) {
    return result;
  }
  const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(address);
  return v6.sin6_port == 0 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ? 0 : result;
}

NFMETER_TAP int close(int fd) {
  static auto* const real = Real<decltype(close)>("close");
  Connections::All().Closing(fd);
  return real(fd);
}

NFMETER_TAP int SSL_read(SSL* connection, void* buffer, int room) {
  static auto* const real = Real<decltype(SSL_read)>("SSL_read");
  const int size = real(connection, buffer, room);
  if (size > 0 && !nfmeter::interpose::TlsReceived(connection, buffer,
                                                   static_cast<size_t>(size))) {
    return -1;
  }
  return size;
}

NFMETER_TAP int SSL_write(SSL* connection, const void* bytes, int count) {
  static auto* const real = Real<decltype(SSL_write)>("SSL_write");
  const int size = real(connection, bytes, count);
  if (size > 0) {
    nfmeter::interpose::TlsSent(connection, bytes, static_cast<size_t>(size));
  }
  return size;
}
