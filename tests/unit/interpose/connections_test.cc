// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/connections.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"

namespace nfmeter::interpose {
namespace {

using ::nfmeter::testing::FakeClock;

TEST(PenaltiesTest, APenaltyEnds) {
  FakeClock clock;
  Penalties penalties(clock);
  EXPECT_TRUE(penalties.empty());
  penalties.Add("a");
  EXPECT_FALSE(penalties.empty());
  EXPECT_TRUE(penalties.Has("a"));
  EXPECT_FALSE(penalties.Has("b"));
  clock.Advance(Penalties::kFirst);
  EXPECT_FALSE(penalties.Has("a"));
}

TEST(PenaltiesTest, EachIsTwiceAsLongAsTheOneBefore) {
  FakeClock clock;
  Penalties penalties(clock);
  for (absl::Duration length = Penalties::kFirst; length < Penalties::kLongest;
       length *= 2) {
    penalties.Add("a");
    clock.Advance(length - absl::Milliseconds(1));
    EXPECT_TRUE(penalties.Has("a")) << length;
    clock.Advance(absl::Milliseconds(1));
    EXPECT_FALSE(penalties.Has("a")) << length;
  }
  penalties.Add("a");
  clock.Advance(Penalties::kLongest);
  EXPECT_FALSE(penalties.Has("a"));
}

TEST(PenaltiesTest, OneOffenceOfSeveralConnectionsIsOne) {
  FakeClock clock;
  Penalties penalties(clock);
  for (int i = 0; i < 10; ++i) penalties.Add("a");
  clock.Advance(Penalties::kFirst);
  EXPECT_FALSE(penalties.Has("a"));
}

TEST(PenaltiesTest, APeerThatBehavesForAsLongAgainStartsAnew) {
  FakeClock clock;
  Penalties penalties(clock);
  penalties.Add("a");
  clock.Advance(2 * Penalties::kFirst);
  EXPECT_FALSE(penalties.Has("a"));
  EXPECT_TRUE(penalties.empty());
  penalties.Add("a");
  clock.Advance(Penalties::kFirst);
  EXPECT_FALSE(penalties.Has("a"));
}

TEST(PenaltiesTest, AreBounded) {
  FakeClock clock;
  Penalties penalties(clock);
  for (size_t i = 0; i < 2 * Penalties::kMaxPeers; ++i) {
    penalties.Add(absl::StrCat(i));
  }
  size_t remembered = 0;
  for (size_t i = 0; i < 2 * Penalties::kMaxPeers; ++i) {
    remembered += penalties.Has(absl::StrCat(i)) ? 1 : 0;
  }
  EXPECT_EQ(remembered, Penalties::kMaxPeers);
}

}  // namespace
}  // namespace nfmeter::interpose
