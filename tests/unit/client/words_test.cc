// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/words.h"

#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter {
namespace {

using ::testing::ElementsAre;

TEST(WordsTest, AValueIsItsNameWithoutThatOfItsEnum) {
  EXPECT_EQ(EnumWord(v1::VERDICT_DROP), "DROP");
  EXPECT_EQ(EnumWord(v1::PlanStatus::STATE_IN_SYNC), "IN_SYNC");
  EXPECT_THAT(EnumWords(v1::Family_descriptor()), ElementsAre("IPV4", "IPV6"));
}

TEST(WordsTest, AValueOfANewerServerIsItsNumber) {
  EXPECT_EQ(EnumWord(static_cast<v1::PlanStatus::State>(99)), "99");
}

TEST(WordsTest, WordsAreFoundInLettersOfAnyCase) {
  EXPECT_EQ(FindEnumWord(v1::Verdict_descriptor(), "drop"), v1::VERDICT_DROP);
  EXPECT_EQ(FindEnumWord(v1::Verdict_descriptor(), "jump"), 0);
  EXPECT_EQ(FindEnumWord(v1::Verdict_descriptor(), "unspecified"), 0);
}

}  // namespace
}  // namespace nfmeter
