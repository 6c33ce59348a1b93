// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/paging.h"

#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;

TEST(PageTokenTest, HoldsAnyPosition) {
  const std::string position("a\0\xff", 3);
  EXPECT_THAT(ReadPageToken(MakePageToken(42, position), 42),
              IsOkAndHolds(position));
  EXPECT_THAT(ReadPageToken(MakePageToken(42, ""), 42), IsOkAndHolds(""));
}

TEST(PageTokenTest, OfAnotherQueryIsRefused) {
  EXPECT_THAT(ReadPageToken(MakePageToken(42, "a"), 43),
              HasReason("PAGE_TOKEN_INVALID"));
}

TEST(PageTokenTest, GarbageIsRefused) {
  for (const std::string& garbage :
       {std::string("x"), std::string("!!!"), std::string(10'000, 'A'),
        std::string("caf\xc3\xa9"), MakePageToken(42, "").substr(1)}) {
    EXPECT_THAT(ReadPageToken(garbage, 42), HasReason("PAGE_TOKEN_INVALID"))
        << garbage;
  }
}

}  // namespace
}  // namespace nfmeter::accounting
