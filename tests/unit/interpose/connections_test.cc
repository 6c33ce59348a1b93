// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/connections.h"

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"

namespace nfmeter::interpose {
namespace {

using ::nfmeter::testing::FakeClock;

// Prometheus and the page each have one, and must not take it from the other.
TEST(ConnectionsTest, ListenersOfOthersAreLetAloneHoweverManyThereAre) {
  constexpr int kMetrics = 1'000;
  constexpr int kPage = 1'001;
  constexpr int kOurs = 1'002;
  static FakeClock clock;  // as long as Connections
  Connections& all = Connections::All();
  all.Guard(
      {.max_connections = 0}, clock, [](const auto&) {}, [](const auto&) {});
  all.Exempt(kMetrics);
  all.Exempt(kPage);
  EXPECT_TRUE(all.Accepted(kMetrics, open("/dev/null", O_RDONLY)));
  EXPECT_TRUE(all.Accepted(kPage, open("/dev/null", O_RDONLY)));
  EXPECT_FALSE(all.Accepted(kOurs, open("/dev/null", O_RDONLY)));
}

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
