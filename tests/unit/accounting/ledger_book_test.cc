// SPDX-License-Identifier: GPL-3.0-or-later
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/ledger/book.h"
#include "gmock/gmock.h"
#include "tests/unit/accounting/ledger_snapshots.h"

namespace nfmeter::accounting {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Amount Packets(uint64_t packets) { return {packets, 100 * packets}; }

class BookTest : public ::testing::Test {
 protected:
  BookTest() : book_(std::make_unique<Book>()) {}

  // All that exists in the kernel is `values_`.
  void Read() {
    Pass(absl::Seconds(10));
    book_->NoteSnapshot(*maker_.Make(values_, now_));
  }
  void Pass(absl::Duration time) {
    now_.wall += time;
    now_.boottime += time;
  }
  void Create(const std::string& name, Amount start = {}) {
    values_[name] = start;
    book_->NoteCreated({{name, start.packets, start.bytes}}, now_);
  }
  void Reset(const std::string& name) {
    const Amount value = std::exchange(values_[name], Amount());
    book_->NoteReset({{name, value.packets, value.bytes}}, now_);
  }
  void Delete(const std::string& name) {
    const Amount value = values_[name];
    values_.erase(name);
    book_->NoteDeleted({{name, value.packets, value.bytes}}, now_);
  }
  uint64_t Total(const std::string& name) const {
    const auto found = book_->Find(name);
    if (!found.has_value()) return 0;
    EXPECT_EQ(found->total.bytes, 100 * found->total.packets);
    return found->total.packets;
  }
  // Its total by a reading of it alone, as for GetCounter.
  uint64_t Ask(const std::string& name) {
    Pass(absl::Milliseconds(1));
    const absl::Duration since = now_.boottime;
    Pass(absl::Milliseconds(1));
    return book_->Describe(name, values_[name], since, now_.boottime)
        ->total.packets;
  }
  Account Of(const std::string& name) const {
    return book_->Find(name).value_or(Book::Position()).account;
  }
  std::vector<Gap> Gaps() {
    BookChanges changes;
    book_->Take(changes);
    return changes.gaps;
  }
  // Ends this life and begins the next.
  void Restart(const std::function<void(Book::Past&)>& change = {}) {
    Book::Past past = {.accounts = book_->All(),
                       .next_id = book_->next_id(),
                       .last_reading = now_.wall};
    if (change != nullptr) change(past);
    book_ = std::make_unique<Book>(std::move(past));
    maker_ = SnapshotMaker(2);
  }

  std::unique_ptr<Book> book_;
  SnapshotMaker maker_;
  Values values_;
  Moment now_ = {absl::FromUnixSeconds(1'800'000'000), absl::Seconds(1000)};
};

TEST_F(BookTest, TotalsFollowTheKernel) {
  values_["a"] = Packets(5);
  Read();
  EXPECT_EQ(Total("a"), 5);
  values_["a"] += Packets(7);
  Read();
  EXPECT_EQ(Total("a"), 12);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, OurResetLosesNothingAndIsNoGap) {
  Create("a");
  values_["a"] += Packets(5);
  Reset("a");
  EXPECT_EQ(Total("a"), 5);
  values_["a"] += Packets(3);
  Read();
  EXPECT_EQ(Total("a"), 8);
  EXPECT_EQ(Of("a").reset_time, now_.wall - absl::Seconds(10));
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, AForeignResetIsAGapBetweenTwoReadings) {
  Create("a");
  values_["a"] += Packets(5);
  Read();
  const absl::Time before = now_.wall;
  values_["a"] = Packets(2);
  Read();
  EXPECT_EQ(Total("a"), 7);
  EXPECT_EQ(Of("a").start_time, now_.wall);
  EXPECT_EQ(Of("a").generation, 1);
  EXPECT_THAT(Gaps(),
              ElementsAre(Gap{1, GapCause::kForeignReset, before, now_.wall}));
  EXPECT_EQ(book_->foreign_resets(), 1);
}

TEST_F(BookTest, BytesAloneThatGoBackAreAForeignReset) {
  values_["a"] = {5, 500};
  Read();
  values_["a"] = {6, 300};
  Read();
  EXPECT_EQ(book_->Find("a")->total, (Amount{11, 800}));
  EXPECT_THAT(Gaps(), SizeIs(1));
}

TEST_F(BookTest, WhatACounterStartsFromIsNotCounted) {
  Create("a", Packets(1000));
  values_["a"] += Packets(4);
  Read();
  EXPECT_EQ(Total("a"), 4);
}

TEST_F(BookTest, ACounterMadeAnewAfterOurDeletionIsAnother) {
  Create("a");
  values_["a"] += Packets(5);
  Read();
  const uint64_t id = Of("a").id;
  Delete("a");
  EXPECT_FALSE(book_->Find("a").has_value());
  Create("a");
  values_["a"] += Packets(1);
  Read();
  EXPECT_NE(Of("a").id, id);
  EXPECT_EQ(Total("a"), 1);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, ADeletionTellsTheLastTotal) {
  Create("a");
  Read();
  Gaps();
  values_["a"] += Packets(5);
  Delete("a");
  BookChanges changes;
  book_->Take(changes);
  ASSERT_THAT(changes.totals, SizeIs(1));
  EXPECT_EQ(changes.totals[0].total, Packets(5));
  EXPECT_EQ(changes.totals[0].delta, Packets(5));
  ASSERT_THAT(changes.accounts, SizeIs(1));
  EXPECT_EQ(changes.accounts[0].state, Account::State::kClosed);
}

TEST_F(BookTest, ACounterThatOthersDeleteAndMakeAgainGoesOn) {
  values_["a"] = Packets(5);
  Read();
  const absl::Time seen = now_.wall;
  values_.erase("a");
  Read();
  EXPECT_EQ(Of("a").state, Account::State::kAbsent);
  EXPECT_EQ(Total("a"), 5);
  values_["a"] = Packets(2);
  Read();
  EXPECT_EQ(Total("a"), 7);
  EXPECT_EQ(Of("a").generation, 2);
  EXPECT_THAT(Gaps(),
              ElementsAre(Gap{1, GapCause::kForeignDelete, seen, now_.wall}));
}

TEST_F(BookTest, ADeletionThatWasToldBeforeTheCounterIsBackIsOneGapOfTwo) {
  values_["a"] = Packets(5);
  Read();
  const absl::Time seen = now_.wall;
  values_.erase("a");
  Read();
  const absl::Time missed = now_.wall;
  EXPECT_THAT(Gaps(),
              ElementsAre(Gap{1, GapCause::kForeignDelete, seen, missed}));
  values_["a"] = Packets(2);
  Read();
  EXPECT_THAT(Gaps(),
              ElementsAre(Gap{1, GapCause::kForeignDelete, missed, now_.wall}));
}

TEST_F(BookTest, ACounterThatWeMakeAgainGoesOnFromItsStart) {
  values_["a"] = Packets(5);
  Read();
  values_.erase("a");
  Create("a", Packets(5));  // somebody saved it, and restores it through us
  values_["a"] += Packets(1);
  Read();
  EXPECT_EQ(Total("a"), 6);
  EXPECT_EQ(Of("a").generation, 2);
}

TEST_F(BookTest, AShortRestartIsNoGap) {
  Create("a");
  values_["a"] += Packets(5);
  Read();
  Restart();
  values_["a"] += Packets(2);
  Read();
  EXPECT_EQ(Total("a"), 7);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, ALongDowntimeIsAGapOfAll) {
  values_["a"] = Packets(5);
  Read();
  const absl::Time before = now_.wall;
  Restart();
  Pass(absl::Hours(1));
  values_["a"] += Packets(2);
  Read();
  EXPECT_EQ(Total("a"), 7);
  EXPECT_THAT(Gaps(),
              ElementsAre(Gap{0, GapCause::kServerDown, before, now_.wall}));
}

TEST_F(BookTest, AfterARebootTotalsGoOnAndTheGapIsTold) {
  values_["a"] = Packets(5);
  values_["late"] = Packets(1);
  Read();
  const absl::Time before = now_.wall;
  Restart([](Book::Past& past) { past.same_boot = false; });
  values_ = {{"a", Packets(9)}};
  Read();
  const absl::Time first = now_.wall;
  EXPECT_EQ(Total("a"), 14);
  EXPECT_EQ(Of("a").generation, 2);
  EXPECT_EQ(Of("a").start_time, first);
  EXPECT_EQ(Of("late").state, Account::State::kAbsent);
  EXPECT_THAT(Gaps(), ElementsAre(Gap{0, GapCause::kReboot, before, first}));
  values_["late"] = Packets(1);
  Read();
  EXPECT_EQ(Total("late"), 2);
  EXPECT_THAT(Gaps(),
              ElementsAre(Gap{2, GapCause::kReboot, before, now_.wall}));
}

TEST_F(BookTest, AnotherNamespaceIsLikeAReboot) {
  values_["a"] = Packets(5);
  Read();
  Restart([](Book::Past& past) { past.same_namespace = false; });
  values_ = {{"a", Packets(7)}};
  Read();
  EXPECT_EQ(Total("a"), 12);
  EXPECT_THAT(Gaps(),
              ElementsAre(Field(&Gap::cause, GapCause::kNamespaceChanged)));
}

TEST_F(BookTest, AnInterruptedResetThatHappenedLosesNothingCountedBefore) {
  Create("a");
  values_["a"] += Packets(5);
  Read();
  values_["a"] += Packets(2);
  Restart([&](Book::Past& past) {
    past.intents = {{1, false, Packets(7), now_.wall}};
  });
  values_["a"] = Packets(1);
  Read();
  EXPECT_EQ(Total("a"), 8);
  EXPECT_THAT(Gaps(),
              ElementsAre(Field(&Gap::cause, GapCause::kInterruptedReset)));
}

TEST_F(BookTest, AnInterruptedResetThatDidNotHappenIsNothing) {
  Create("a");
  values_["a"] += Packets(7);
  Read();
  Restart([&](Book::Past& past) {
    past.intents = {{1, false, Packets(7), now_.wall}};
  });
  Read();
  EXPECT_EQ(Total("a"), 7);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, AnInterruptedResetThatNobodyCanTellHasABound) {
  Create("a");
  values_["a"] += Packets(7);
  Read();
  Restart([&](Book::Past& past) {
    past.intents = {{1, false, Packets(7), now_.wall}};
  });
  values_["a"] = Packets(9);
  Read();
  EXPECT_EQ(Total("a"), 9);
  EXPECT_THAT(Gaps(), ElementsAre(Field(&Gap::at_most,
                                        std::optional<Amount>(Packets(7)))));
}

TEST_F(BookTest, AnInterruptedDeletionThatHappenedIsOurs) {
  Create("a");
  values_["a"] += Packets(5);
  Read();
  Restart([&](Book::Past& past) {
    past.intents = {{1, true, Packets(6), now_.wall}};
  });
  values_.erase("a");
  Read();
  EXPECT_FALSE(book_->Find("a").has_value());
  BookChanges changes;
  book_->Take(changes);
  EXPECT_THAT(changes.gaps, IsEmpty());
  ASSERT_THAT(changes.totals, SizeIs(1));
  EXPECT_EQ(changes.totals[0].total, Packets(6));
}

TEST_F(BookTest, AnInterruptedDeletionThatDidNotHappenIsNothing) {
  Create("a");
  values_["a"] += Packets(5);
  Read();
  Restart([&](Book::Past& past) {
    past.intents = {{1, true, Packets(5), now_.wall}};
  });
  values_["a"] += Packets(1);
  Read();
  EXPECT_EQ(Total("a"), 6);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, AnIntervalWithoutReadingsIsTold) {
  values_["a"] = Packets(5);
  Read();
  const absl::Time before = now_.wall;
  Pass(absl::Minutes(5));
  Read();
  EXPECT_THAT(Gaps(), ElementsAre(Gap{0, GapCause::kIncompleteReading, before,
                                      now_.wall}));
}

TEST_F(BookTest, ValuesReadBeforeAResetDoNotCountTwice) {
  Create("a");
  values_["a"] += Packets(5);
  const absl::Duration before = now_.boottime;
  Pass(absl::Milliseconds(1));
  Reset("a");
  EXPECT_EQ(book_->Describe("a", Packets(5), before, now_.boottime)->total,
            Packets(5));
  values_["a"] = Packets(2);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(Ask("a"), 7u);
}

TEST_F(BookTest, WhatWasToldBetweenReadingsDoesNotFallByAForeignReset) {
  Create("a");
  Read();
  values_["a"] = Packets(5);
  EXPECT_EQ(Ask("a"), 5u);
  values_["a"] = Amount();
  EXPECT_EQ(Ask("a"), 5u);
  EXPECT_EQ(Total("a"), 5u);
  EXPECT_THAT(Gaps(), IsEmpty());
  const absl::Time before = now_.wall;
  Read();
  EXPECT_EQ(Total("a"), 5u);
  const std::vector<Gap> gaps = Gaps();
  ASSERT_THAT(gaps, SizeIs(1));
  EXPECT_EQ(gaps[0].cause, GapCause::kForeignReset);
  EXPECT_LE(gaps[0].from, before);
  values_["a"] = Packets(2);
  EXPECT_EQ(Ask("a"), 7u);
  Read();
  EXPECT_EQ(Total("a"), 7u);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, AReadingThatBeganBeforeAnAnswerIsNoForeignReset) {
  Create("a");
  Read();
  Pass(absl::Seconds(10));
  const auto reading = maker_.Make(values_, now_);
  values_["a"] = Packets(5);
  EXPECT_EQ(Ask("a"), 5u);
  book_->NoteSnapshot(*reading);
  EXPECT_EQ(Total("a"), 5u);
  Read();
  EXPECT_EQ(Total("a"), 5u);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, WhatWasToldStaysWhenOthersDelete) {
  Create("a");
  Read();
  values_["a"] = Packets(5);
  EXPECT_EQ(Ask("a"), 5u);
  values_.erase("a");
  Read();
  EXPECT_EQ(Total("a"), 5u);
  values_["a"] = Packets(1);
  Read();
  EXPECT_EQ(Total("a"), 6u);
}

TEST_F(BookTest, OurResetCountsWhatItReadWhateverWasTold) {
  Create("a");
  Read();
  values_["a"] = Packets(5);
  EXPECT_EQ(Ask("a"), 5u);
  values_["a"] = Packets(8);
  Reset("a");
  EXPECT_EQ(Total("a"), 8u);
  values_["a"] = Packets(3);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(Ask("a"), 11u);
  Read();
  EXPECT_EQ(Total("a"), 11u);
  EXPECT_THAT(Gaps(), IsEmpty());
}

TEST_F(BookTest, TotalsByRowsAreThoseOfTheCounters) {
  values_ = {{"a", Packets(1)}, {"b", Packets(2)}};
  Read();
  Reset("b");
  values_["b"] += Packets(3);
  Pass(absl::Seconds(10));
  const auto snapshot = maker_.Make(values_, now_);
  book_->NoteSnapshot(*snapshot);
  EXPECT_THAT(book_->TotalsOf(*snapshot), ElementsAre(Packets(1), Packets(5)));
}

TEST_F(BookTest, ChangesThatWereNotWrittenAddUp) {
  Create("a");
  values_["a"] = Packets(5);
  Read();
  BookChanges changes;
  book_->Take(changes);
  values_["a"] = Packets(7);
  Read();
  book_->Take(changes);
  ASSERT_THAT(changes.totals, SizeIs(1));
  EXPECT_EQ(changes.totals[0].total, Packets(7));
  EXPECT_EQ(changes.totals[0].delta, Packets(7));
  EXPECT_THAT(changes.accounts, SizeIs(1));
  EXPECT_EQ(changes.since_reading, absl::Seconds(10));
}

TEST_F(BookTest, AbsentCountersAreForgottenInTheEnd) {
  values_["a"] = Packets(5);
  Read();
  values_.clear();
  Read();
  book_->CloseAbsent(now_.wall);
  EXPECT_EQ(book_->absent_count(), 1);
  book_->CloseAbsent(now_.wall + absl::Seconds(1));
  EXPECT_EQ(book_->absent_count(), 0);
  values_["a"] = Packets(1);
  Read();
  EXPECT_EQ(Total("a"), 1);
  EXPECT_EQ(Of("a").id, 2);
}

TEST_F(BookTest, TooManyGapsBecomeOneOfAllCountersThatCoversThem) {
  constexpr int kCounters = 100;
  for (int i = 0; i < kCounters; ++i) {
    values_[absl::StrCat("c", i)] = Packets(5);
  }
  Read();
  const absl::Time before = now_.wall;
  // Each second reading shows that all have been reset.
  absl::Time last_reset;
  for (size_t resets = 0; resets <= BookChanges::kMaxGaps;
       resets += kCounters) {
    for (auto& [name, value] : values_) value = Packets(4);
    Read();
    last_reset = now_.wall;
    for (auto& [name, value] : values_) value = Packets(5);
    Read();
  }
  const std::vector<Gap> gaps = Gaps();
  ASSERT_THAT(gaps, SizeIs(kCounters));
  EXPECT_EQ(gaps[0].account, 0u);
  EXPECT_EQ(gaps[0].from, before);
  EXPECT_EQ(gaps.back().to, last_reset);
}

TEST_F(BookTest, WhatAnotherObjectCountedIsAdded) {
  Create("a", Packets(5));
  values_["a"] = Packets(8);
  Read();
  book_->NoteMerged({{"a", 4, 400}}, now_);
  EXPECT_EQ(Total("a"), 7);
  values_["a"] = Packets(9);
  Read();
  EXPECT_EQ(Total("a"), 8);
  EXPECT_THAT(Gaps(), IsEmpty());
  Restart();
  values_["a"] = Packets(10);
  Read();
  EXPECT_EQ(Total("a"), 9);
}

TEST_F(BookTest, WhatAnotherObjectCountedAndNobodyKnowsIsAGap) {
  Create("a");
  Read();
  Gaps();
  book_->NoteMerged({{"a", 0, 0}}, now_);
  EXPECT_THAT(Gaps(),
              ElementsAre(AllOf(Field(&Gap::cause, GapCause::kInterruptedReset),
                                Field(&Gap::account, Of("a").id))));
}

}  // namespace
}  // namespace nfmeter::accounting
