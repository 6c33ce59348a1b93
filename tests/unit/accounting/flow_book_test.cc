// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_book.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/accounting/flow_records.h"

namespace nfmeter::accounting {
namespace {

using kernel::FlowRecord;
using ::nfmeter::testing::Begun;
using ::nfmeter::testing::Counted;
using ::nfmeter::testing::TcpFlow;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kBaseline = 1'000 * kSecond;  // wall clock

class FlowBookTest : public ::testing::Test {
 protected:
  // Each adds to sum_, as a watch that was there from the beginning would.
  void Seen(const FlowRecord& flow) {
    book_.Seen(flow, [this](const auto&, const auto& delta) { Add(delta); });
  }
  void Ended(const FlowRecord& flow) {
    book_.Ended(flow, [this](const auto&, const auto& delta) { Add(delta); });
  }
  void Begin() {
    book_.BeginReading(absl::FromUnixNanos(kBaseline) + boottime_);
  }
  FlowBook::Findings End(bool complete = true) {
    const auto findings = book_.EndReading(
        complete, boottime_,
        [this](const auto&, const auto& delta) { Add(delta); });
    boottime_ += absl::Seconds(10);
    return findings;
  }
  // A reading that sees these.
  FlowBook::Findings Read(const std::vector<FlowRecord>& flows,
                          bool complete = true) {
    Begin();
    for (const FlowRecord& flow : flows) Seen(flow);
    return End(complete);
  }

  FlowBook book_{1'000};
  absl::Duration boottime_;
  FlowSums sum_;
  FlowSums joiner_;  // of a subscriber that joins with the present reading

 private:
  void Add(const FlowDelta& delta) {
    sum_ += delta.sums;
    if (delta.after_reading) joiner_ += delta.sums;
  }
};

const FlowRecord kFlow =
    Begun(TcpFlow("10.0.0.1", 1000, "10.0.0.2", 80), kBaseline - kSecond);

TEST_F(FlowBookTest, CountsOnlyWhatComesAfterTheFirstReading) {
  Read({Counted(kFlow, {10, 1000}, {5, 500})});
  EXPECT_EQ(sum_, FlowSums());
  Read({Counted(kFlow, {12, 1200}, {6, 600})});
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{2, 200}));
  EXPECT_EQ(sum_.reply, (kernel::FlowCounts{1, 100}));
  EXPECT_EQ(sum_.flows, 0u);
}

TEST_F(FlowBookTest, CountsTheLastOfAFlowThatEnds) {
  Read({Counted(kFlow, {10, 1000})});
  Ended(Counted(kFlow, {15, 1500}));
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{5, 500}));
  EXPECT_EQ(sum_.ended_flows, 1u);
  EXPECT_FALSE(Read({}).any());
}

TEST_F(FlowBookTest, CountsAFlowThatNoReadingSaw) {
  Read({});
  Ended(Counted(Begun(kFlow, kBaseline + kSecond), {4, 400}));
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{4, 400}));
  EXPECT_EQ(sum_.flows, 1u);
  EXPECT_EQ(sum_.ended_flows, 1u);
}

TEST_F(FlowBookTest, LeavesOutWhatEndedBeforeTheBaselineSawIt) {
  Begin();
  Ended(Counted(kFlow, {4, 400}));
  EXPECT_EQ(sum_, FlowSums());
  // And without a start time nobody knows.
  Ended(Counted(Begun(kFlow, 0), {4, 400}));
  EXPECT_EQ(sum_, FlowSums());
  End();
}

TEST_F(FlowBookTest, CountsAFlowOnceThatEndsBehindTheReading) {
  Read({Counted(kFlow, {10, 1000})});
  Begin();
  Seen(Counted(kFlow, {12, 1200}));
  Ended(Counted(kFlow, {13, 1300}));
  End();
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{3, 300}));
}

TEST_F(FlowBookTest, TakesAFlowThatIsMissingForEndedOnlyLongAfter) {
  Read({Counted(kFlow, {10, 1000})});
  for (int i = 0; i < 7; ++i) EXPECT_EQ(Read({}).vanished, 0u);
  EXPECT_EQ(book_.size(), 1u);
  EXPECT_EQ(Read({}).vanished, 1u);
  EXPECT_EQ(book_.size(), 0u);
}

// It may have carried more after it was last seen.
TEST_F(FlowBookTest, AFlowThatIsMissingIsAwaitedInTheReadingThatMissesIt) {
  Read({Counted(kFlow, {10, 1000})});
  EXPECT_EQ(Read({}).awaited, 1u);
  EXPECT_FALSE(Read({}).any());
}

// Readings are 10 s apart.
TEST_F(FlowBookTest, AFlowWhoseTimeIsUpIsNotAwaited) {
  FlowRecord flow = Counted(kFlow, {10, 1000});
  for (const uint32_t timeout : {28, 18, 8}) {
    flow.timeout_seconds = timeout;
    Read({flow});
  }
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(Read({}).any());
  EXPECT_EQ(book_.size(), 0u);
}

TEST_F(FlowBookTest, AFlowWhoseTimeWasNotUpIsAwaited) {
  FlowRecord flow = Counted(kFlow, {10, 1000});
  flow.timeout_seconds = 20;
  Read({flow});
  EXPECT_EQ(Read({}).awaited, 1u);
}

// More packets may have come, and its time have been up again since.
TEST_F(FlowBookTest, AFlowWithAShortTimeoutIsAwaited) {
  FlowRecord flow = Counted(kFlow, {10, 1000});
  flow.timeout_seconds = 5;
  Read({flow});
  EXPECT_EQ(Read({}).awaited, 1u);
}

TEST_F(FlowBookTest, HearsOfAnEndLate) {
  Read({Counted(kFlow, {10, 1000})});
  for (int i = 0; i < 4; ++i) Read({});
  Ended(Counted(kFlow, {11, 1100}));
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{1, 100}));
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Read({}).vanished, 0u);
}

TEST_F(FlowBookTest, MissesNothingInAReadingThatIsNotWhole) {
  Read({Counted(kFlow, {10, 1000})});
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(Read({}, /*complete=*/false).any());
  }
  Read({Counted(kFlow, {11, 1100})});
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{1, 100}));
}

// Without timestamps a new flow of the same tuple looks like the one before.
TEST_F(FlowBookTest, TellsFlowsWithTheSameIdentityApartByTheEndBetween) {
  const FlowRecord flow = Begun(kFlow, 0);
  Read({Counted(flow, {10, 1000})});
  Begin();
  Seen(Counted(flow, {3, 300}));  // already the next one
  Ended(Counted(flow, {12, 1200}));
  EXPECT_FALSE(End().any());
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{2, 200}));
  Read({Counted(flow, {4, 400})});
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{6, 600}));
}

TEST_F(FlowBookTest, AnEndThatComesAfterTheNextFlowOfItsTupleIsCounted) {
  const FlowRecord flow = Begun(kFlow, 0);
  Read({Counted(flow, {10, 1000})});
  Begin();
  Seen(Counted(flow, {30, 3000}));  // already the next one
  Ended(Counted(flow, {12, 1200}));
  End();
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{2, 200}));
  Ended(Counted(flow, {31, 3100}));
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{33, 3300}));
}

TEST_F(FlowBookTest, DeclaresCountersThatWentBack) {
  Read({Counted(kFlow, {10, 1000})});
  EXPECT_EQ(Read({Counted(kFlow, {2, 200})}).went_back, 1u);
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{2, 200}));
  EXPECT_EQ(Read({Counted(kFlow, {3, 300})}).went_back, 0u);
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{3, 300}));
}

TEST_F(FlowBookTest, ASubscriberThatJoinsGetsOnlyWhatCameAfterTheReading) {
  const FlowRecord other =
      Begun(TcpFlow("10.0.0.3", 1, "10.0.0.2", 80), kBaseline - kSecond);
  Read({Counted(kFlow, {10, 1000}), Counted(other, {10, 1000})});
  joiner_ = {};
  Begin();
  Seen(Counted(kFlow, {12, 1200}));
  Ended(Counted(kFlow, {13, 1300}));  // behind the reading
  Ended(Counted(other, {14, 1400}));  // the reading did not see it any more
  End();
  EXPECT_EQ(sum_.original, (kernel::FlowCounts{7, 700}));
  EXPECT_EQ(joiner_.original, (kernel::FlowCounts{1, 100}));
}

TEST_F(FlowBookTest, IsBounded) {
  FlowBook small(1);
  const auto ignore = [](const auto&, const auto&) {};
  small.BeginReading(absl::FromUnixNanos(kBaseline));
  small.Seen(kFlow, ignore);
  small.Seen(TcpFlow("10.0.0.3", 1, "10.0.0.2", 80), ignore);
  const auto findings = small.EndReading(true, absl::ZeroDuration(), ignore);
  EXPECT_EQ(findings.untracked, 1u);
  EXPECT_EQ(small.size(), 1u);
}

TEST_F(FlowBookTest, CountsNothingOfFlowsWithoutCounters) {
  FlowRecord flow = kFlow;
  flow.original_counts.reset();
  flow.reply_counts.reset();
  Read({flow});
  Read({flow});
  Ended(flow);
  EXPECT_EQ(sum_.bytes(), 0u);
  EXPECT_EQ(sum_.ended_flows, 1u);
}

}  // namespace
}  // namespace nfmeter::accounting
