// SPDX-License-Identifier: GPL-3.0-or-later
#include "interpose/turnstile.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"

namespace nfmeter::interpose {
namespace {

using ::nfmeter::testing::FakeClock;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Entry = Turnstile::Entry;

class TurnstileTest : public ::testing::Test {
 protected:
  void End(int times) {
    for (int i = 0; i < times; ++i) turnstile_.NoteEnded("bad");
  }
  void Enter(int begin, int end) {
    for (int i = begin; i < end; ++i) {
      EXPECT_EQ(turnstile_.Enter("bad", i), Entry::kLater) << i;
    }
  }

  FakeClock clock_;
  Turnstile turnstile_{clock_};
};

TEST_F(TurnstileTest, AFewFailuresDelayNobody) {
  EXPECT_TRUE(turnstile_.is_open());
  for (int i = 1; i < Turnstile::kTooMany; ++i) {
    EXPECT_FALSE(turnstile_.NoteEnded("bad"));
  }
  EXPECT_EQ(turnstile_.Enter("bad", 1), Entry::kAtOnce);
  EXPECT_TRUE(turnstile_.NoteEnded("bad"));
  EXPECT_FALSE(turnstile_.NoteEnded("bad"));
}

TEST_F(TurnstileTest, AfterMoreTheNetworkWaitsAndOthersDoNot) {
  End(Turnstile::kTooMany);
  EXPECT_FALSE(turnstile_.is_open());
  EXPECT_EQ(turnstile_.Enter("bad", 1), Entry::kLater);
  EXPECT_EQ(turnstile_.Enter("good", 2), Entry::kAtOnce);
}

TEST_F(TurnstileTest, ConnectionsEnterInTheirOrderAFewAtATime) {
  End(Turnstile::kTooMany);
  Enter(0, 6);
  EXPECT_THAT(turnstile_.Turn(), ElementsAre(0, 1, 2, 3));
  Enter(6, 7);
  EXPECT_THAT(turnstile_.Turn(), ElementsAre(4, 5, 6));
  EXPECT_THAT(turnstile_.Turn(), IsEmpty());
}

TEST_F(TurnstileTest, AConnectionThatLeavesLosesItsTurn) {
  End(Turnstile::kTooMany);
  Enter(0, 3);
  turnstile_.Leave(1);
  turnstile_.Leave(7);
  EXPECT_THAT(turnstile_.Turn(), ElementsAre(0, 2));
}

TEST_F(TurnstileTest, OnlySoManyWait) {
  End(Turnstile::kTooMany);
  Enter(0, Turnstile::kMaxWaiting);
  EXPECT_EQ(turnstile_.Enter("bad", 100), Entry::kNever);
  turnstile_.Turn();
  EXPECT_EQ(turnstile_.Enter("bad", 101), Entry::kLater);
}

TEST_F(TurnstileTest, WhenNoneHadToBeEndedForAWhileNobodyWaits) {
  End(Turnstile::kTooMany);
  Enter(0, 1);
  clock_.Advance(Turnstile::kMemory);
  // One still does: nobody overtakes them.
  Enter(1, 2);
  EXPECT_THAT(turnstile_.Turn(), ElementsAre(0, 1));
  EXPECT_EQ(turnstile_.Enter("bad", 2), Entry::kAtOnce);
  // What is left of the past is forgiven in its time.
  EXPECT_FALSE(turnstile_.is_open());
  clock_.Advance(Turnstile::kTooMany * Turnstile::kForgiven);
  turnstile_.Turn();
  EXPECT_TRUE(turnstile_.is_open());
}

TEST_F(TurnstileTest, ANetworkThatGoesOnWaitsAgainAtOnce) {
  End(Turnstile::kTooMany);
  clock_.Advance(Turnstile::kMemory);
  EXPECT_EQ(turnstile_.Enter("bad", 1), Entry::kAtOnce);
  End(Turnstile::kTooMany / 2 + 1);
  EXPECT_EQ(turnstile_.Enter("bad", 2), Entry::kLater);
}

// A probe that never gets through, for example.
TEST_F(TurnstileTest, FailuresNowAndThenDelayNobody) {
  for (int i = 0; i < 10 * Turnstile::kTooMany; ++i) {
    EXPECT_FALSE(turnstile_.NoteEnded("bad"));
    EXPECT_EQ(turnstile_.Enter("bad", i), Entry::kAtOnce);
    clock_.Advance(Turnstile::kForgiven);
  }
}

TEST_F(TurnstileTest, FailuresFasterThanTheyAreForgivenKeepItSlow) {
  End(Turnstile::kTooMany);
  for (int i = 0; i < 100; ++i) {
    clock_.Advance(Turnstile::kForgiven / 2);
    EXPECT_EQ(turnstile_.Enter("bad", i), Entry::kLater);
    EXPECT_THAT(turnstile_.Turn(), ElementsAre(i));
    EXPECT_FALSE(turnstile_.NoteEnded("bad"));
  }
}

TEST_F(TurnstileTest, NetworksAreBounded) {
  for (size_t i = 0; i < 2 * Turnstile::kMaxNetworks; ++i) {
    for (int j = 0; j < Turnstile::kTooMany; ++j) {
      turnstile_.NoteEnded(absl::StrCat(i));
    }
  }
  size_t waiting = 0;
  for (size_t i = 0; i < 2 * Turnstile::kMaxNetworks; ++i) {
    waiting +=
        turnstile_.Enter(absl::StrCat(i), static_cast<int>(i)) == Entry::kLater;
  }
  EXPECT_EQ(waiting, Turnstile::kMaxNetworks);
  clock_.Advance(Turnstile::kTooMany * Turnstile::kForgiven);
  while (!turnstile_.Turn().empty()) {
  }
  turnstile_.Turn();
  End(Turnstile::kTooMany);
  EXPECT_EQ(turnstile_.Enter("bad", 1), Entry::kLater);
}

}  // namespace
}  // namespace nfmeter::interpose
