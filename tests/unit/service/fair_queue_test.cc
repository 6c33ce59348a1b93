// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {
namespace {

class FairQueueTest : public ::testing::Test {
 protected:
  void Push(const std::string& caller, int number) {
    queue_.Push(caller, [this, caller, number] {
      absl::StrAppend(&done_, caller, number, " ");
    });
  }
  std::string All() {
    while (!queue_.empty()) queue_.Pop()();
    return done_;
  }

  FairQueue queue_;
  std::string done_;
};

TEST_F(FairQueueTest, JobsOfOneCallerComeInOrder) {
  for (int i = 0; i < 4; ++i) Push("a", i);
  EXPECT_EQ(All(), "a0 a1 a2 a3 ");
}

TEST_F(FairQueueTest, CallersTakeTurns) {
  for (int i = 0; i < 3; ++i) Push("a", i);
  Push("b", 0);
  Push("b", 1);
  Push("c", 0);
  EXPECT_EQ(All(), "a0 b0 c0 a1 b1 a2 ");
}

TEST_F(FairQueueTest, ACallerThatComesBackIsTheLast) {
  Push("a", 0);
  Push("b", 0);
  Push("b", 1);
  queue_.Pop()();
  Push("a", 1);
  EXPECT_EQ(All(), "a0 b0 a1 b1 ");
}

TEST_F(FairQueueTest, CountsTheJobsOfEachCaller) {
  Push("a", 0);
  Push("a", 1);
  Push("b", 0);
  EXPECT_EQ(queue_.size(), 3u);
  EXPECT_EQ(queue_.SizeOf("a"), 2u);
  EXPECT_EQ(queue_.SizeOf("b"), 1u);
  EXPECT_EQ(queue_.SizeOf("c"), 0u);
  All();
  EXPECT_EQ(queue_.size(), 0u);
  EXPECT_EQ(queue_.SizeOf("a"), 0u);
}

}  // namespace
}  // namespace nfmeter::service
