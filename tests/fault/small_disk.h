// SPDX-License-Identifier: GPL-3.0-or-later
// A disk that is soon full.
#ifndef NFMETER_TESTS_FAULT_SMALL_DISK_H_
#define NFMETER_TESTS_FAULT_SMALL_DISK_H_

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/status/status.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// A file system of its own, in the test's mount namespace.
class SmallDisk {
 public:
  SmallDisk() {
    if (mount("tmpfs", path().c_str(), "tmpfs", 0, "size=2m") != 0) {
      status_ = absl::ErrnoToStatus(errno, "mount");
    }
  }
  ~SmallDisk() { umount2(path().c_str(), MNT_DETACH); }

  const absl::Status& status() const { return status_; }
  const std::string& path() const { return dir_.path(); }
  std::string state_dir() const { return dir_ / "state"; }

  void Fill() {
    const int fd = open(filler().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const char page[4096] = {};
    while (write(fd, page, sizeof(page)) > 0) {
    }
    close(fd);
  }
  void MakeRoom() { std::filesystem::remove(filler()); }

  // Nobody may have a file open for writing.
  absl::Status MakeReadOnly() { return Remount(MS_RDONLY); }
  absl::Status MakeWritable() { return Remount(0); }

 private:
  absl::Status Remount(unsigned long flags) {
    if (mount(nullptr, path().c_str(), nullptr, MS_REMOUNT | flags, nullptr) !=
        0) {
      return absl::ErrnoToStatus(errno, "remount");
    }
    return absl::OkStatus();
  }

  std::string filler() const { return dir_ / "filler"; }

  TemporaryDirectory dir_;
  absl::Status status_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_SMALL_DISK_H_
