// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/rule_listings.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"

namespace nfmeter::accounting {
namespace {

std::shared_ptr<const RuleListing> ListingOf(uint64_t query, size_t text = 10) {
  auto listing = std::make_shared<RuleListing>();
  listing->query = query;
  listing->rules.emplace_back().text = std::string(text, 'x');
  return listing;
}

class RuleListingsTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
  RuleListings listings_{
      clock_,
      {.kept = absl::Seconds(60), .max_listings = 3, .max_bytes = 100'000}};
};

TEST_F(RuleListingsTest, AReadingIsFoundForItsOwnQueryAlone) {
  const auto listing = ListingOf(7);
  const uint64_t number = listings_.Keep(listing);
  EXPECT_NE(number, 0u);
  EXPECT_EQ(listings_.Find(number, 7), listing);
  EXPECT_EQ(listings_.Find(number, 8), nullptr);
  EXPECT_EQ(listings_.Find(number + 1, 7), nullptr);
}

TEST_F(RuleListingsTest, ItGoesSomeTimeAfterItsLastUse) {
  const uint64_t number = listings_.Keep(ListingOf(7));
  clock_.Advance(absl::Seconds(40));
  EXPECT_NE(listings_.Find(number, 7), nullptr);
  clock_.Advance(absl::Seconds(40));
  EXPECT_NE(listings_.Find(number, 7), nullptr);
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(listings_.Find(number, 7), nullptr);
}

TEST_F(RuleListingsTest, WhatHasExpiredIsGivenBackWithoutAnyUse) {
  std::weak_ptr<const RuleListing> kept;
  {
    const auto listing = ListingOf(7);
    kept = listing;
    listings_.Keep(listing);
  }
  listings_.Expire();
  EXPECT_FALSE(kept.expired());
  clock_.Advance(absl::Seconds(60));
  listings_.Expire();
  EXPECT_TRUE(kept.expired());
}

TEST_F(RuleListingsTest, TheLeastUsedMakesRoomAndFinishedOnesFirst) {
  const uint64_t a = listings_.Keep(ListingOf(1));
  const uint64_t b = listings_.Keep(ListingOf(2));
  const uint64_t c = listings_.Keep(ListingOf(3));
  listings_.Find(a, 1);
  listings_.Finish(c);
  const uint64_t d = listings_.Keep(ListingOf(4));
  EXPECT_EQ(listings_.Find(c, 3), nullptr);
  listings_.Keep(ListingOf(5));
  EXPECT_EQ(listings_.Find(b, 2), nullptr);
  EXPECT_NE(listings_.Find(a, 1), nullptr);
  EXPECT_NE(listings_.Find(d, 4), nullptr);
}

TEST_F(RuleListingsTest, BytesAreBounded) {
  const uint64_t a = listings_.Keep(ListingOf(1, 30'000));
  const uint64_t b = listings_.Keep(ListingOf(2, 30'000));
  EXPECT_EQ(listings_.Find(a, 1), nullptr);
  EXPECT_NE(listings_.Find(b, 2), nullptr);
  EXPECT_EQ(listings_.Keep(ListingOf(3, 60'000)), 0u);
  EXPECT_NE(listings_.Find(b, 2), nullptr);
}

}  // namespace
}  // namespace nfmeter::accounting
