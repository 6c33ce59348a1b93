// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/suggestion.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace nfmeter {
namespace {

TEST(SuggestionTest, IsTheNearestOrAllWhenNoneIsNear) {
  const std::vector<std::string> known = {"level", "format"};
  EXPECT_EQ(Suggestion("levle", known), "; did you mean 'level'?");
  EXPECT_EQ(Suggestion("x", known), "; known are: level, format");
}

}  // namespace
}  // namespace nfmeter
