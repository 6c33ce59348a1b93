// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/unique_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "gtest/gtest.h"

namespace nfmeter {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }
UniqueFd OpenNull() {
  return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(UniqueFdTest, ClosesAtItsEnd) {
  int fd;
  {
    const UniqueFd owner = OpenNull();
    fd = owner.get();
    EXPECT_TRUE(IsOpen(fd));
  }
  EXPECT_FALSE(IsOpen(fd));
}

TEST(UniqueFdTest, MovingHandsOver) {
  UniqueFd first = OpenNull();
  UniqueFd second = OpenNull();
  const int kept = first.get();
  const int closed = second.get();
  second = std::move(first);
  EXPECT_EQ(second.get(), kept);
  EXPECT_FALSE(first.valid());
  EXPECT_FALSE(IsOpen(closed));
  EXPECT_TRUE(IsOpen(kept));
  const UniqueFd third(std::move(second));
  EXPECT_EQ(third.get(), kept);
}

TEST(UniqueFdTest, WhatIsReleasedStaysOpen) {
  UniqueFd owner = OpenNull();
  const UniqueFd released(owner.release());
  EXPECT_FALSE(owner.valid());
  EXPECT_TRUE(IsOpen(released.get()));
}

TEST(UniqueFdTest, ErrnoOutlivesIt) {
  {
    const UniqueFd owner = OpenNull();
    const UniqueFd nothing(-1);
    EXPECT_FALSE(nothing.valid());
    // The close itself will fail, too.
    ::close(owner.get());
    errno = ENOENT;
  }
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace nfmeter
