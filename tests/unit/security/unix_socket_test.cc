// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/unix_socket.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::security {
namespace {

using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::Eq;
using ::testing::HasSubstr;

// A socket bound to a path; listening until it is closed.
class BoundSocket {
 public:
  explicit BoundSocket(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX};
    memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
    EXPECT_EQ(listen(fd_, 1), 0);
  }
  ~BoundSocket() { close(fd_); }

 private:
  const int fd_;
};

mode_t ModeOf(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(stat(path.c_str(), &found), 0);
  return found.st_mode & 07777;
}

TEST(UnixSocketTest, AFreePathIsFine) {
  TemporaryDirectory dir;
  EXPECT_OK(MakeRoomForSocket(dir / "s"));
}

TEST(UnixSocketTest, ALiveServerKeepsItsSocket) {
  TemporaryDirectory dir;
  const BoundSocket live(dir / "s");
  EXPECT_THAT(MakeRoomForSocket(dir / "s"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("another nfmeterd serves " + dir.path())));
  EXPECT_TRUE(std::filesystem::exists(dir / "s"));
}

TEST(UnixSocketTest, TheSocketOfAnEndedServerIsRemoved) {
  TemporaryDirectory dir;
  { const BoundSocket ended(dir / "s"); }
  ASSERT_TRUE(std::filesystem::exists(dir / "s"));
  EXPECT_OK(MakeRoomForSocket(dir / "s"));
  EXPECT_FALSE(std::filesystem::exists(dir / "s"));
}

TEST(UnixSocketTest, OtherFilesAreLeftAlone) {
  TemporaryDirectory dir;
  std::ofstream(dir / "file") << "precious";
  std::filesystem::create_symlink(dir / "file", dir / "link");
  std::filesystem::create_directory(dir / "folder");
  for (const char* name : {"file", "link", "folder"}) {
    EXPECT_THAT(MakeRoomForSocket(dir / name),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("something that is not a socket is there; "
                                   "remove it or choose another path")));
    EXPECT_TRUE(std::filesystem::exists(dir / name));
  }
}

TEST(UnixSocketTest, AMissingFolderComesWithTheCommandThatMakesIt) {
  TemporaryDirectory dir;
  EXPECT_THAT(
      MakeRoomForSocket(dir / "no/s"),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               Eq("cannot listen on unix:" + dir.path() + "/no/s: the folder " +
                  dir.path() + "/no does not exist; make it with: mkdir -p " +
                  dir.path() + "/no")));
}

TEST(UnixSocketTest, AFileInPlaceOfTheFolderIsNamed) {
  TemporaryDirectory dir;
  std::ofstream(dir / "file");
  EXPECT_THAT(MakeRoomForSocket(dir / "file/s"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("file is not a folder")));
}

TEST(UnixSocketTest, GroupsAreFoundByNameAndNumber) {
  EXPECT_THAT(FindGroup("root"), testing::IsOkAndHolds(0u));
  EXPECT_THAT(FindGroup("4711"), testing::IsOkAndHolds(4711u));
  EXPECT_THAT(FindGroup("no-such-group"),
              StatusIs(absl::StatusCode::kNotFound,
                       Eq("there is no group 'no-such-group'; make it with: "
                          "groupadd --system no-such-group")));
}

TEST(UnixSocketTest, IsClosedToOthersUntilItIsOpened) {
  TemporaryDirectory dir;
  const mode_t before = umask(0);
  umask(before);
  {
    const PrivateUmask closed;
    const BoundSocket made(dir / "s");
    EXPECT_EQ(ModeOf(dir / "s"), 0600u);
  }
  EXPECT_OK(SetSocketAccess(dir / "s", 0666, ""));
  EXPECT_EQ(ModeOf(dir / "s"), 0666u);
  const mode_t after = umask(before);
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace nfmeter::security
