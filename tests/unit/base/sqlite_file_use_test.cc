// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sqlite_file_use.h"

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"

namespace nfmeter::sqlite {
namespace {

constexpr char kPath[] = "/of/a/file";

std::unique_ptr<FileUse> Use() {
  return FileUse::Begin(kPath, FileUse::Way::kLocked);
}

// A thread that waits for its turn, has it, and is over.
class Writer {
 public:
  Writer()
      : thread_([this] {
          const auto use = Use();
          id_ = gettid();
          if (!use->AwaitTurn(absl::Minutes(1))) return;
          had_turn_ = true;
          use->EndTurn();
        }) {
    EXPECT_TRUE(testing::Eventually([this] { return IsAsleep(); }));
  }
  ~Writer() { thread_.join(); }

  bool had_turn() const { return had_turn_; }

 private:
  // As the kernel says: the state comes behind the name, which is the
  // program's.
  bool IsAsleep() const {
    std::ifstream file(absl::StrCat("/proc/self/task/", id_.load(), "/stat"));
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const size_t name = text.rfind(") ");
    return id_ > 0 && name != std::string::npos && text[name + 2] == 'S';
  }

  std::atomic<pid_t> id_ = 0;
  std::atomic<bool> had_turn_ = false;
  std::thread thread_;
};

TEST(FileUseTest, WhoeverWritesAgainAndAgainLetsOthersIn) {
  const auto use = Use();
  ASSERT_TRUE(use->AwaitTurn(absl::ZeroDuration()));
  const Writer other;
  EXPECT_FALSE(other.had_turn());
  use->EndTurn();
  ASSERT_TRUE(use->AwaitTurn(absl::Minutes(1)));
  EXPECT_TRUE(other.had_turn());
  use->EndTurn();
}

TEST(FileUseTest, OneThatGaveUpHoldsNobodyUp) {
  const auto use = Use();
  ASSERT_TRUE(use->AwaitTurn(absl::ZeroDuration()));
  EXPECT_FALSE(Use()->AwaitTurn(absl::ZeroDuration()));
  use->EndTurn();
  EXPECT_TRUE(use->AwaitTurn(absl::ZeroDuration()));
  use->EndTurn();
}

TEST(FileUseTest, ReadingAloneAndLockingNeverMeet) {
  auto locked = Use();
  EXPECT_EQ(FileUse::Begin(kPath, FileUse::Way::kAlone), nullptr);
  EXPECT_NE(Use(), nullptr);
  locked = nullptr;
  const auto alone = FileUse::Begin(kPath, FileUse::Way::kAlone);
  EXPECT_NE(alone, nullptr);
  EXPECT_EQ(Use(), nullptr);
}

}  // namespace
}  // namespace nfmeter::sqlite
