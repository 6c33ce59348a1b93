// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/table_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace nfmeter::kernel {
namespace {
bool without_raw_sockets = false;
}  // namespace

void UseTablesWithoutRawSockets() { without_raw_sockets = true; }

}  // namespace nfmeter::kernel

// In the place of libc's for the whole process: libiptc has no way to be told.
extern "C" int socket(int domain, int type, int protocol) noexcept {
  constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  if (nfmeter::kernel::without_raw_sockets && (type & ~kFlags) == SOCK_RAW &&
      protocol == IPPROTO_RAW) {
    type = (type & kFlags) | SOCK_DGRAM;
    protocol = 0;
  }
  return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
}
