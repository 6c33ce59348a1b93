// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/sandbox/seccomp.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <ostream>
#include <thread>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::security {
namespace {

// How a process ended.
struct Ended {
  int code = -1;
  int signal = 0;

  friend bool operator==(const Ended&, const Ended&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Ended& ended) {
    return out << "code " << ended.code << ", signal " << ended.signal;
  }
};

Ended With(int code) { return {.code = code}; }
const Ended kKilled = {.signal = SIGSYS};

constexpr int kNoFilter = 255;

// Runs `body` behind the filter in a process of its own; it ends with what it
// returns.
Ended Filtered(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    const absl::Status filtered = FilterSystemCalls();
    _exit(absl::IsUnimplemented(filtered) ? kNoFilter
          : filtered.ok()                 ? body()
                                          : 254);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status)};
}

// The errno of a system call, 0 if it succeeds.
template <typename... Arguments>
int ErrnoOf(long call, Arguments... arguments) {
  return syscall(call, arguments...) < 0 ? errno : 0;
}

class SeccompTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (Filtered([] { return 0; }) == With(kNoFilter)) {
      GTEST_SKIP() << "this kernel or build has no filter";
    }
  }
};

TEST_F(SeccompTest, NoProgramIsStarted) {
  EXPECT_EQ(Filtered([] {
              execl("/bin/true", "true", nullptr);
              return errno;
            }),
            kKilled);
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_execveat, -1, "", 0, 0, 0); }),
            kKilled);
}

TEST_F(SeccompTest, ThereAreThreadsAndNoProcesses) {
  EXPECT_EQ(Filtered([] {
              std::thread([] {}).join();
              return 0;
            }),
            With(0));
  EXPECT_EQ(Filtered([] { return fork() < 0 ? errno : 0; }), With(ENOSYS));
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_unshare, 0); }), kKilled);
}

TEST_F(SeccompTest, NothingWrittenBecomesExecutable) {
  const auto map = [](int protection) {
    return mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  EXPECT_EQ(Filtered([&] {
              return map(PROT_READ | PROT_WRITE) == MAP_FAILED ? errno : 0;
            }),
            With(0));
  EXPECT_EQ(Filtered([&] {
              return map(PROT_READ | PROT_EXEC) == MAP_FAILED ? errno : 0;
            }),
            With(ENOSYS));
  EXPECT_EQ(Filtered([&] {
              void* const page = map(PROT_READ | PROT_WRITE);
              return mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 ? errno
                                                                     : 0;
            }),
            With(ENOSYS));
}

TEST_F(SeccompTest, SocketsAreOfTheFamiliesThatItServes) {
  const auto open_socket = [](int family) {
    return socket(family, SOCK_DGRAM, 0) < 0 ? errno : 0;
  };
  for (const int family : {AF_UNIX, AF_INET, AF_NETLINK}) {
    EXPECT_EQ(Filtered([&] { return open_socket(family); }), With(0));
  }
  for (const int family : {AF_PACKET, AF_VSOCK, AF_ALG}) {
    EXPECT_EQ(Filtered([&] { return open_socket(family); }), With(ENOSYS));
  }
}

TEST_F(SeccompTest, WhatOnlyAnIntruderCallsEndsTheProcess) {
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_ptrace, PTRACE_TRACEME); }),
            kKilled);
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_setuid, 0); }), kKilled);
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_bpf, 0, nullptr, 0); }), kKilled);
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_mount, 0, 0, 0, 0, 0); }),
            kKilled);
}

TEST_F(SeccompTest, WhatNobodyThoughtOfIsAsOnAKernelThatLacksIt) {
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_swapoff + 100'000); }),
            With(ENOSYS));
  EXPECT_EQ(Filtered([] { return ErrnoOf(SYS_memfd_create, "x", 0); }),
            With(ENOSYS));
}

#if defined(__x86_64__)
TEST_F(SeccompTest, CallsOfAnotherArchitectureEndTheProcess) {
  constexpr long kX32 = 0x40000000;
  EXPECT_EQ(Filtered([] { return ErrnoOf(kX32 | SYS_getpid); }), kKilled);
}
#endif

}  // namespace
}  // namespace nfmeter::security
