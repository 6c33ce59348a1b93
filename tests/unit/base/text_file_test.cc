// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ReadTextFileTest, ReadsAllOfAFile) {
  testing::TemporaryDirectory dir;
  const std::string text(3 << 20, 'x');
  std::ofstream(dir / "f") << text;
  EXPECT_THAT(ReadTextFile(dir / "f"), IsOkAndHolds(text));
  std::ofstream(dir / "empty").close();
  EXPECT_THAT(ReadTextFile(dir / "empty"), IsOkAndHolds(""));
}

TEST(ReadTextFileTest, SaysWhyItCannot) {
  testing::TemporaryDirectory dir;
  const auto expect = [&](const std::string& path, const std::string& why) {
    EXPECT_THAT(ReadTextFile(path),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         absl::StrCat(path, ": cannot be read: ", why)));
  };
  expect(dir / "none", "No such file or directory");
  expect(dir.path(), "it is a folder");
  std::ofstream(dir / "large") << std::string((4 << 20) + 1, 'x');
  expect(dir / "large", "it is larger than 4 MiB");
}

// A server that waited for a writer that never comes could not be stopped.
TEST(ReadTextFileTest, DoesNotWaitForWritersOfPipes) {
  testing::TemporaryDirectory dir;
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(ReadTextFile(dir / "pipe"), IsOkAndHolds(""));
  const int writer = open((dir / "pipe").c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_THAT(
      ReadTextFile(dir / "pipe"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("it is no file, and nothing comes out of it")));
  close(writer);
}

// As in: nfmeterd --check-policy <(generate)
TEST(ReadTextFileTest, ReadsWhatComesOutOfAPipe) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const std::string text(300'000, 'y');
  std::thread writer([&] {
    EXPECT_EQ(write(ends[1], text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
    close(ends[1]);
  });
  EXPECT_THAT(ReadTextFile(absl::StrCat("/proc/self/fd/", ends[0])),
              IsOkAndHolds(text));
  writer.join();
  close(ends[0]);
}

}  // namespace
}  // namespace nfmeter
