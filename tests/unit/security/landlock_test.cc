// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::security {
namespace {

using ::testing::Contains;
using ::testing::Not;

// Runs `body` restricted to `access` in a process of its own, and returns what
// it does; -1: this kernel has no Landlock.
int Restricted(const FileAccess& access, const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const auto version = RestrictFiles(access);
    if (!version.ok()) _exit(254);
    _exit(*version == 0 ? 255 : body());
  }
  int status = 0;
  waitpid(pid, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 253;
  return code == 255 ? -1 : code;
}

int OpenErrno(const std::string& path, int flags) {
  const int fd = open(path.c_str(), flags, 0600);
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

class LandlockTest : public ::testing::Test {
 protected:
  LandlockTest() {
    for (const char* name : {"in", "out"}) {
      std::filesystem::create_directory(dir_ / name);
      std::ofstream(dir_ / (std::string(name) + "/file")) << "text";
    }
    if (Restricted({}, [] { return 0; }) == -1) unavailable_ = true;
  }
  void SetUp() override {
    if (unavailable_) GTEST_SKIP() << "this kernel has no Landlock";
  }

  testing::TemporaryDirectory dir_;
  bool unavailable_ = false;
};

TEST_F(LandlockTest, ReadableFoldersAreReadAndNothingElse) {
  const FileAccess access = {.readable = {dir_ / "in"}};
  EXPECT_EQ(
      Restricted(access, [&] { return OpenErrno(dir_ / "in/file", O_RDONLY); }),
      0);
  EXPECT_EQ(Restricted(access,
                       [&] { return OpenErrno(dir_ / "out/file", O_RDONLY); }),
            EACCES);
  EXPECT_EQ(
      Restricted(access, [&] { return OpenErrno(dir_ / "in/file", O_WRONLY); }),
      EACCES);
  EXPECT_EQ(
      Restricted(access,
                 [&] { return OpenErrno(dir_ / "in/new", O_RDWR | O_CREAT); }),
      EACCES);
}

TEST_F(LandlockTest, WritableFoldersTakeNewFilesAndLoseOldOnes) {
  const FileAccess access = {.writable = {dir_ / "in"}};
  EXPECT_EQ(Restricted(access,
                       [&] {
                         return OpenErrno(dir_ / "in/new", O_RDWR | O_CREAT) +
                                unlink((dir_ / "in/new").c_str());
                       }),
            0);
}

TEST_F(LandlockTest, ASingleFileCanBeReadable) {
  const FileAccess access = {.readable = {dir_ / "in/file"}};
  EXPECT_EQ(
      Restricted(access, [&] { return OpenErrno(dir_ / "in/file", O_RDONLY); }),
      0);
}

TEST_F(LandlockTest, WhatDoesNotExistIsNoError) {
  EXPECT_EQ(Restricted({.readable = {dir_ / "none"}, .writable = {""}},
                       [] { return 0; }),
            0);
}

TEST_F(LandlockTest, FoldersOnTheWayOfSwitchedLinksAreFound) {
  // As Kubernetes lays out a Secret: tls.crt -> ..data/tls.crt, ..data -> ..1.
  std::filesystem::create_directory(dir_ / "secret");
  std::filesystem::create_directory(dir_ / "secret/..1");
  std::ofstream(dir_ / "secret/..1/tls.crt") << "x";
  std::filesystem::create_symlink("..1", dir_ / "secret/..data");
  std::filesystem::create_symlink("..data/tls.crt", dir_ / "secret/tls.crt");
  EXPECT_THAT(FoldersToRead(dir_ / "secret/tls.crt"),
              Contains(dir_ / "secret"));
  // A link elsewhere: /etc/nfmeter/tls -> /srv/certs/2026.
  std::filesystem::create_directories(dir_ / "srv/2026");
  std::ofstream(dir_ / "srv/2026/tls.crt") << "x";
  std::filesystem::create_symlink(dir_ / "srv/2026", dir_ / "tls");
  EXPECT_THAT(FoldersToRead(dir_ / "tls/tls.crt"), Contains(dir_ / "srv"));
  EXPECT_THAT(FoldersToRead("/file"), Not(Contains("/")));
}

TEST_F(LandlockTest, ALinkThatLeadsToALinkMayBeSwitchedToo) {
  // As certbot or a configuration management does it: etc/tls.crt ->
  // ../srv/current/tls.crt, srv/current -> 2026.
  for (const char* folder : {"etc", "srv", "srv/2026", "srv/2027"}) {
    std::filesystem::create_directory(dir_ / folder);
  }
  std::ofstream(dir_ / "srv/2026/tls.crt") << "x";
  std::ofstream(dir_ / "srv/2027/tls.crt") << "y";
  std::filesystem::create_symlink("2026", dir_ / "srv/current");
  const std::string file = dir_ / "etc/tls.crt";
  std::filesystem::create_symlink("../srv/current/tls.crt", file);
  const FileAccess access = {.readable = FoldersToRead(file)};
  const auto read = [&] { return OpenErrno(file, O_RDONLY); };
  EXPECT_EQ(Restricted(access, read), 0);
  std::filesystem::remove(dir_ / "srv/current");
  std::filesystem::create_symlink("2027", dir_ / "srv/current");
  EXPECT_EQ(Restricted(access, read), 0);
}

TEST_F(LandlockTest, LinksInACircleEnd) {
  std::filesystem::create_symlink("b", dir_ / "a");
  std::filesystem::create_symlink("a", dir_ / "b");
  EXPECT_THAT(FoldersToRead(dir_ / "a"), Contains(dir_.path()));
}

}  // namespace
}  // namespace nfmeter::security
