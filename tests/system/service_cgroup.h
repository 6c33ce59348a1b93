// SPDX-License-Identifier: GPL-3.0-or-later
// A systemd service as the kernel sees it.
#ifndef NFMETER_TESTS_SYSTEM_SERVICE_CGROUP_H_
#define NFMETER_TESTS_SYSTEM_SERVICE_CGROUP_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernel/linux/cgroup/cgroup_paths.h"

namespace nfmeter::testing {

// A service's cgroup, below a slice of the test's own; gone with this.
class ServiceCgroup {
 public:
  // `name`: that no other one of this process has.
  explicit ServiceCgroup(const std::string& name = "test")
      : root_(kernel::CgroupPaths::Find().root()),
        slice_(absl::StrCat("nfmeter-", name, "-", getpid(), ".slice")),
        unit_(absl::StrCat("nfmeter-", name, "-", getpid(), ".service")) {
    EXPECT_NE(root_, "") << "cgroup v2 is not mounted";
    EXPECT_EQ(mkdir(absl::StrCat(root_, "/", slice_).c_str(), 0755), 0);
    Start();
  }
  ~ServiceCgroup() {
    Stop();
    rmdir(absl::StrCat(root_, "/", slice_).c_str());
  }

  void Start() { EXPECT_EQ(mkdir(folder().c_str(), 0755), 0); }
  void Stop() { rmdir(folder().c_str()); }
  std::string unit() const { return unit_; }
  ServiceCgroup(const ServiceCgroup&) = delete;
  ServiceCgroup& operator=(const ServiceCgroup&) = delete;

  // Its cgroup, as rules name it.
  std::string path() const { return absl::StrCat(slice_, "/", unit_); }

  // From a process of the service, and from one beside it in the slice.
  void Send(int packets, const char* address = "127.0.0.1") {
    SendFrom(folder(), packets, address);
  }
  void SendFromSlice(int packets) {
    SendFrom(absl::StrCat(root_, "/", slice_), packets, "127.0.0.1");
  }

 private:
  static void SendFrom(const std::string& folder, int packets,
                       const char* address) {
    const pid_t child = fork();
    if (child == 0) {
      std::ofstream(absl::StrCat(folder, "/cgroup.procs")) << getpid();
      const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
      inet_pton(AF_INET, address, &to.sin_addr);
      for (int i = 0; i < packets; ++i) {
        sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
      }
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
  }
  std::string folder() const {
    return absl::StrCat(root_, "/", slice_, "/", unit_);
  }

  const std::string root_;
  const std::string slice_;
  const std::string unit_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_SERVICE_CGROUP_H_
