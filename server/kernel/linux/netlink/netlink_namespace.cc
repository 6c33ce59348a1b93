// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/netlink_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nfmeter::kernel {
namespace {

constexpr char kOfThisThread[] = "/proc/thread-self/ns/net";

bool IsHere(int fd) {
  struct stat here;
  struct stat there;
  return stat(kOfThisThread, &here) == 0 && fstat(fd, &there) == 0 &&
         here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

}  // namespace

NetworkNamespace::NetworkNamespace()
    : fd_(std::make_shared<const UniqueFd>(
          open(kOfThisThread, O_RDONLY | O_CLOEXEC))) {}

int NetworkNamespace::Enter() const {
  if (!fd_->valid() || IsHere(fd_->get())) return 0;
  return setns(fd_->get(), CLONE_NEWNET) == 0 ? 0 : errno;
}

}  // namespace nfmeter::kernel
