// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/host_identity.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace nfmeter::app {
namespace {

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // include/uapi/asm-generic/socket.h
#endif

std::string MachineIdFile() {
  const char* const other = getenv("NFMETER_MACHINE_ID_FILE");
  return other == nullptr ? "/etc/machine-id" : other;
}

std::string BootIdFile() {
  const char* const other = getenv("NFMETER_BOOT_ID_FILE");
  return other == nullptr ? "/proc/sys/kernel/random/boot_id" : other;
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

uint64_t NetworkNamespace() {
  uint64_t cookie = 0;
  const int any = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = sizeof(cookie);
  const bool known = any >= 0 && getsockopt(any, SOL_SOCKET, SO_NETNS_COOKIE,
                                            &cookie, &size) == 0;
  if (any >= 0) close(any);
  if (known) return cookie;
  struct stat network {};
  stat("/proc/self/ns/net", &network);
  return network.st_ino;
}

}  // namespace

accounting::HostIdentity ReadHostIdentity() {
  return {.machine_id = FirstLine(MachineIdFile()),
          .boot_id = FirstLine(BootIdFile()),
          .network_namespace = NetworkNamespace()};
}

std::vector<std::string> HostIdentityFiles() {
  return {MachineIdFile(), BootIdFile()};
}

}  // namespace nfmeter::app
