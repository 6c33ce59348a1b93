#include "accounting/ledger/counter_totals.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::FakeClock;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class CounterTotalsTest : public ::testing::Test {
 protected:
  explicit CounterTotalsTest(const SnapshotHub::Options& options = {})
      : hub_(SnapshotHub::Create({table_, lane_, observers_, clock_}, options)),
        totals_(*hub_) {}

  void Create(const std::string& name) {
    ASSERT_OK(table_.Create({{.name = name}})[0]);
  }

  // As the server does it: on the lane, and told to the totals.
  void Reset(const std::string& name) { Reset(name, totals_); }
  void Reset(const std::string& name, CounterTotals& totals) {
    ASSERT_OK(lane_.Run(Lane::Priority::kNormal, [&] {
      const auto objects = table_.GetAndReset({name});
      if (!objects[0].ok()) return objects[0].status();
      totals.OnReset({*objects[0]});
      return absl::OkStatus();
    }));
  }
  void Delete(const std::string& name) {
    ASSERT_OK(lane_.Run(Lane::Priority::kNormal, [&] {
      const absl::Status deleted = table_.Delete({name})[0];
      hub_->OnDeleted({{.name = name}});
      totals_.OnDeleted({{.name = name}});
      return deleted;
    }));
  }
  // As somebody else does it.
  void ResetByOthers(const std::string& name) {
    ASSERT_OK(table_.GetAndReset({name})[0].status());
  }

  void Count(const std::string& name, uint64_t packets) {
    ASSERT_OK(table_.Count(name, packets, 100 * packets));
  }

  // Packets by name; checks that bytes are a hundred times as many.
  std::map<std::string, uint64_t> Read(
      CounterTotals& totals, absl::Duration staleness = absl::ZeroDuration()) {
    const auto read = totals.Take(staleness);
    EXPECT_OK(read);
    std::map<std::string, uint64_t> packets;
    if (!read.ok()) return packets;
    size_t row = 0;
    for (const auto& chunk : (*read)->snapshot->chunks()) {
      for (const uint32_t id : chunk->ids()) {
        const std::string name((*read)->snapshot->names().KernelName(id));
        packets[name] = (*read)->packets[row];
        EXPECT_EQ((*read)->bytes[row], 100 * packets[name]);
        ++row;
      }
    }
    return packets;
  }
  std::map<std::string, uint64_t> Read() { return Read(totals_); }

  FakeClock clock_;
  kernel::FakeAcctTable table_;
  CounterObservers observers_;
  Lane lane_{"counters", 64};
  std::unique_ptr<SnapshotHub> hub_;
  CounterTotals totals_;
};

TEST_F(CounterTotalsTest, WithoutResetsTheyAreTheKernelsValues) {
  Create("a");
  Create("b");
  Count("b", 7);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 7)));
  Count("b", 3);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 10)));
}

TEST_F(CounterTotalsTest, ResetsOfOursDoNotShow) {
  Create("a");
  Count("a", 5);
  Reset("a");  // before anybody has asked
  Count("a", 2);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  Count("a", 10);
  Reset("a");
  Reset("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 17)));
  Count("a", 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 18)));
  EXPECT_EQ(totals_.foreign_resets(), 0);
}

TEST_F(CounterTotalsTest, AResetAfterTheReadingIsNotInItsTotals) {
  Create("a");
  Count("a", 5);
  // Somebody else's snapshot, which a scrape with this staleness shares.
  ASSERT_OK(hub_->Take(absl::ZeroDuration()));
  Reset("a");
  EXPECT_THAT(Read(totals_, absl::Seconds(1)), ElementsAre(Pair("a", 5)));
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
}

TEST_F(CounterTotalsTest, ResetsOfOthersKeepTheTotalAndAreCounted) {
  Create("a");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  ResetByOthers("a");
  Count("a", 2);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  EXPECT_EQ(totals_.foreign_resets(), 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  EXPECT_EQ(totals_.foreign_resets(), 1);
}

TEST_F(CounterTotalsTest, AResetOfOthersIsSeenByOurNextResetToo) {
  Create("a");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  ResetByOthers("a");
  Count("a", 2);
  Reset("a");
  Count("a", 9);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 16)));
  EXPECT_EQ(totals_.foreign_resets(), 1);
}

TEST_F(CounterTotalsTest, ACounterThatIsMadeAgainBeginsAtZero) {
  Create("a");
  Count("a", 5);
  Reset("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  Delete("a");
  Create("a");
  Count("a", 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 1)));
}

TEST_F(CounterTotalsTest, WhatOthersDeletedIsForgottenWhenAReadingFindsOut) {
  Create("a");
  Create("b");
  Count("a", 5);
  Reset("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5), Pair("b", 0)));
  ASSERT_OK(table_.Delete({"a"})[0]);
  EXPECT_THAT(Read(), ElementsAre(Pair("b", 0)));
  Create("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 0)));
}

TEST_F(CounterTotalsTest, WhatWeResetAndOthersDeletedIsForgotten) {
  Create("a");
  Create("b");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5), Pair("b", 0)));
  Reset("a");
  ASSERT_OK(table_.Delete({"a"})[0]);
  EXPECT_THAT(Read(), ElementsAre(Pair("b", 0)));
  Create("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 0)));
}

TEST_F(CounterTotalsTest, AnIncompleteReadingShowsTheTotalsBefore) {
  Create("a");
  Create("b");
  Count("b", 3);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 3)));
  Count("b", 3);
  table_.CutDumps(1, 100);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 3)));
  table_.CutDumps(1, 0);
}

TEST_F(CounterTotalsTest, WithoutAnyCompleteReadingThereAreNone) {
  Create("a");
  Create("b");
  table_.CutDumps(1, 100);
  EXPECT_THAT(totals_.Take(absl::ZeroDuration()),
              testing::HasReason("SNAPSHOT_INCOMPLETE"));
}

TEST_F(CounterTotalsTest, AnErrorOfTheKernelsIsPassedOn) {
  Create("a");
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM);
  EXPECT_THAT(totals_.Take(absl::ZeroDuration()),
              testing::StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(CounterTotalsTest, ManyResetsBetweenReadingsAreAddedUp) {
  CounterTotals totals(*hub_, /*max_notes=*/3);
  Create("a");
  Create("b");
  Count("b", 1);
  EXPECT_THAT(Read(totals), ElementsAre(Pair("a", 0), Pair("b", 1)));
  for (int i = 0; i < 50; ++i) {
    Count("a", 2);
    Reset("a", totals);
  }
  Count("a", 1);
  EXPECT_THAT(Read(totals), ElementsAre(Pair("a", 101), Pair("b", 1)));
  // A snapshot from before resets that were added up is not good any more.
  Count("a", 5);
  ASSERT_OK(hub_->Take(absl::ZeroDuration()));
  for (int i = 0; i < 50; ++i) Reset("a", totals);
  EXPECT_THAT(Read(totals, absl::Seconds(1)),
              ElementsAre(Pair("a", 106), Pair("b", 1)));
  EXPECT_EQ(totals.foreign_resets(), 0);
}

TEST_F(CounterTotalsTest, ReadersAndResetsAtOnceLoseNothing) {
  Create("a");
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      uint64_t last = 0;
      while (!done) {
        // Some share readings that may be from before a reset.
        const uint64_t now = Read(totals_, absl::Seconds(i))["a"];
        EXPECT_GE(now, last);
        last = now;
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    Count("a", 1);
    if (i % 3 == 0) Reset("a");
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 2000)));
  EXPECT_EQ(totals_.foreign_resets(), 0);
}

class SmallEpochTest : public CounterTotalsTest {
 protected:
  SmallEpochTest() : CounterTotalsTest({.max_counters = 4, .max_names = 4}) {}
};

TEST_F(SmallEpochTest, TotalsOutliveAnEpoch) {
  Create("stays");
  Count("stays", 5);
  Reset("stays");
  EXPECT_THAT(Read(), ElementsAre(Pair("stays", 5)));
  const uint64_t epoch = hub_->epoch();
  for (int i = 0; i < 40; ++i) {
    Create(absl::StrCat("passes-", i));
    Count("stays", 1);
    Read();
    Delete(absl::StrCat("passes-", i));
    Reset("stays");
  }
  EXPECT_NE(hub_->epoch(), epoch);
  EXPECT_THAT(Read(), ElementsAre(Pair("stays", 45)));
  EXPECT_EQ(totals_.foreign_resets(), 0);
}

}  // namespace
}  // namespace nfmeter::accounting
