// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/subprocess.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace nfmeter::testing {
namespace {

constexpr char kSleep[] =
    "echo $$ > \"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 99";

// The process of this id, even when it is no child of ours.
class Process {
 public:
  explicit Process(pid_t pid)
      : fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}
  ~Process() {
    syscall(SYS_pidfd_send_signal, fd_, SIGKILL, nullptr, 0);
    close(fd_);
  }
  bool EndsIn(absl::Duration timeout) const {
    pollfd ended = {fd_, POLLIN, 0};
    return fd_ < 0 ||
           poll(&ended, 1,
                static_cast<int>(absl::ToInt64Milliseconds(timeout))) == 1;
  }

 private:
  const int fd_;
};

// What a process has written into the file, once it has.
pid_t AwaitPid(const std::string& file) {
  pid_t pid = 0;
  while (!(std::ifstream(file) >> pid)) usleep(1000);
  return pid;
}

// Runs `test` in a process that is killed once a program of its has come up,
// whose process id comes into the file that it is given. Whether that program
// ends, too.
bool ProgramEndsWith(const std::function<void(const std::string& file)>& test) {
  const TemporaryDirectory dir;
  const std::string file = dir / "pid";
  const pid_t killed = fork();
  if (killed == 0) {
    test(file);
    _exit(1);
  }
  const Process program(AwaitPid(file));
  EXPECT_FALSE(program.EndsIn(absl::ZeroDuration()));
  kill(killed, SIGKILL);
  waitpid(killed, nullptr, 0);
  return program.EndsIn(absl::Seconds(20));
}

TEST(SubprocessTest, WhatRunsBesideATestEndsWhenTheTestIsKilled) {
  EXPECT_TRUE(ProgramEndsWith([](const std::string& file) {
    const Background background({"sh", "-c", kSleep, file}, "");
    for (;;) pause();
  }));
}

TEST(SubprocessTest, WhatATestWaitsForEndsWhenTheTestIsKilled) {
  EXPECT_TRUE(ProgramEndsWith([](const std::string& file) {
    testing::Run({"sh", "-c", kSleep, file});
  }));
}

TEST(SubprocessTest, AProgramOfAnotherUserEndsWhenTheTestIsKilled) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_TRUE(ProgramEndsWith([](const std::string& file) {
    // The file that it writes is root's: it has inherited the right to.
    const Background background(
        {"setpriv", "--reuid=65534", "--clear-groups", "--pdeathsig=keep",
         "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "sh", "-c",
         kSleep, file},
        "");
    for (;;) pause();
  }));
}

TEST(SubprocessTest, OutputErrorsInputAndExitCodeComeThrough) {
  const RunResult result =
      testing::Run({"sh", "-c", "cat; echo oops >&2; exit 7"}, "some input");
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.out, "some input");
  EXPECT_EQ(result.err, "oops\n");
  EXPECT_EQ(testing::Run({"sh", "-c", "kill -TERM $$"}).exit_code,
            128 + SIGTERM);
}

TEST(SubprocessTest, AProgramThatIsNotThereSaysSo) {
  const RunResult result = testing::Run({"/no/such/program"});
  EXPECT_EQ(result.exit_code, 127);
  EXPECT_THAT(result.err, ::testing::HasSubstr("/no/such/program: No such"));
  Background background({"/no/such/program"}, "");
  EXPECT_EQ(background.Wait(absl::Seconds(1)), 127);
}

TEST(SubprocessTest, AProgramThatDoesNotEndInTimeIsKilled) {
  Background background({"sleep", "99"}, "");
  EXPECT_EQ(background.Wait(absl::Milliseconds(1)), -1);
}

}  // namespace
}  // namespace nfmeter::testing
