// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/private_netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace nfmeter::testing {
namespace {

absl::Status WriteFile(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) {
    return absl::ErrnoToStatus(error, path);
  }
  return absl::OkStatus();
}

absl::Status BringUpLoopback() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return absl::ErrnoToStatus(errno, "socket");
  ifreq request{};
  strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int result = ioctl(fd, SIOCSIFFLAGS, &request);
  const int error = errno;
  close(fd);
  if (result != 0) return absl::ErrnoToStatus(error, "bringing up lo");
  return absl::OkStatus();
}

}  // namespace

absl::Status EnterPrivateNetns() {
  const uid_t uid = getuid();
  const gid_t gid = getgid();
  const int user = uid == 0 ? 0 : CLONE_NEWUSER;
  if (unshare(user | CLONE_NEWNET | CLONE_NEWNS) != 0) {
    return absl::ErrnoToStatus(errno, "unshare");
  }
  if (user != 0) {
    absl::Status status = WriteFile("/proc/self/setgroups", "deny");
    if (status.ok()) {
      status = WriteFile("/proc/self/uid_map", absl::StrCat("0 ", uid, " 1"));
    }
    if (status.ok()) {
      status = WriteFile("/proc/self/gid_map", absl::StrCat("0 ", gid, " 1"));
    }
    if (!status.ok()) return status;
  }
  // /run of its own: whatever is left there goes with the mount namespace.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0) {
    return absl::ErrnoToStatus(errno, "mounting a private /run");
  }
  setenv("XTABLES_LOCKFILE", "/run/xtables.lock", 1);
  return BringUpLoopback();
}

}  // namespace nfmeter::testing
