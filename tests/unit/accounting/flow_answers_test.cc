// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_answers.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace nfmeter::accounting {
namespace {

constexpr absl::Duration kRead = absl::Seconds(10);

class FlowAnswersTest : public ::testing::Test {
 protected:
  FlowAnswersTest() {
    answers_.Keep("how many", 300, kRead, kRead + absl::Seconds(5), 1);
  }

  FlowAnswers<std::string, int> answers_{2};
};

TEST_F(FlowAnswersTest, GivesWhatIsNotTooOld) {
  const absl::Duration now = kRead + absl::Seconds(2);
  EXPECT_EQ(answers_.Find("how many", now, absl::Seconds(2)), 300);
  EXPECT_EQ(answers_.Find("how many", now, absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(answers_.Find("another", now, absl::Seconds(2)), std::nullopt);
}

// It may have begun before what the caller knows of happened.
TEST_F(FlowAnswersTest, AReadingOfTheSameInstantIsNotNewer) {
  EXPECT_EQ(answers_.Find("how many", kRead, absl::ZeroDuration()),
            std::nullopt);
}

TEST_F(FlowAnswersTest, ForgetsTheOldestWhereThereIsNoRoom) {
  const auto keep = [&](const char* question) {
    answers_.Keep(question, 1, kRead, kRead + absl::Seconds(5), 1);
  };
  keep("second");
  keep("third");
  EXPECT_EQ(answers_.Find("how many", kRead, absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(answers_.Find("second", kRead, absl::Seconds(1)), 1);
  EXPECT_EQ(answers_.Find("third", kRead, absl::Seconds(1)), 1);
}

TEST_F(FlowAnswersTest, ForgetsWhatIsTooOldForEverybody) {
  EXPECT_EQ(answers_.NextEnd(), kRead + absl::Seconds(5));
  answers_.Forget(kRead + absl::Seconds(6));
  EXPECT_EQ(answers_.NextEnd(), absl::InfiniteDuration());
}

}  // namespace
}  // namespace nfmeter::accounting
