// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/counter_metrics.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CounterMetricsTest : public ::testing::Test {
 protected:
  CounterMetricsTest() {
    observers_.Add(ledger_);
    ledger_.Start(hub_.get(), {});
  }
  ~CounterMetricsTest() override { ledger_.Stop(); }

  void Create(const kernel::AcctObject& object) {
    ASSERT_OK(table_.Create({object})[0]);
  }

  std::string Page(CounterMetrics& metrics) {
    MetricsText text;
    metrics.WriteMetrics(text);
    return std::move(text).Take();
  }
  std::string Page(const CounterMetrics::Options& options) {
    CounterMetrics metrics(ledger_, options);
    return Page(metrics);
  }

  testing::FakeClock clock_;
  kernel::FakeAcctTable table_;
  const std::unique_ptr<accounting::Ledger> in_memory_ =
      *accounting::Ledger::Create({}, clock_);
  accounting::Ledger& ledger_ = *in_memory_;
  accounting::CounterObservers observers_;
  accounting::Lane lane_{"counters", 64};
  std::unique_ptr<accounting::SnapshotHub> hub_ =
      accounting::SnapshotHub::Create({table_, lane_, observers_, clock_}, {});
};

TEST_F(CounterMetricsTest, ShowsPacketsAndBytes) {
  Create({.name = "web", .packets = 3, .bytes = 300});
  const std::string page = Page({});
  EXPECT_THAT(page,
              HasSubstr("nfmeter_counter_packets_total{counter=\"web\"} 3\n"));
  EXPECT_THAT(page,
              HasSubstr("nfmeter_counter_bytes_total{counter=\"web\"} 300\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_counters_readable 1\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_counters 1\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_counters_left_out 0\n"));
}

TEST_F(CounterMetricsTest, OfTooManyTheFirstByNameAreShown) {
  for (const char* name : {"d", "b", "c", "a"}) Create({.name = name});
  const std::string page = Page({.max_counters = 2});
  EXPECT_THAT(page, HasSubstr("{counter=\"a\"}"));
  EXPECT_THAT(page, HasSubstr("{counter=\"b\"}"));
  EXPECT_THAT(page, Not(HasSubstr("{counter=\"c\"}")));
  EXPECT_THAT(page, Not(HasSubstr("{counter=\"d\"}")));
  EXPECT_THAT(page, HasSubstr("nfmeter_counters 4\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_counters_left_out 2\n"));
}

TEST_F(CounterMetricsTest, AGlobChoosesAndTheEmptyOneShowsNone) {
  Create({.name = "web-1"});
  Create({.name = "dns"});
  const std::string some = Page({.name_glob = "web*"});
  EXPECT_THAT(some, HasSubstr("{counter=\"web-1\"}"));
  EXPECT_THAT(some, Not(HasSubstr("{counter=\"dns\"}")));
  EXPECT_THAT(some, HasSubstr("nfmeter_counters_left_out 0\n"));
  const std::string none = Page({.name_glob = ""});
  EXPECT_THAT(none, Not(HasSubstr("{counter=")));
  EXPECT_THAT(none, HasSubstr("nfmeter_counters 2\n"));
}

TEST_F(CounterMetricsTest, CountersThatComeAndGoAreFollowed) {
  CounterMetrics metrics(ledger_, {.max_staleness = absl::ZeroDuration()});
  Create({.name = "a"});
  EXPECT_THAT(Page(metrics), Not(HasSubstr("\"b\"")));
  Create({.name = "b"});
  EXPECT_THAT(Page(metrics), HasSubstr("\"b\""));
  ASSERT_OK(table_.Delete({"a"})[0]);
  EXPECT_THAT(Page(metrics), Not(HasSubstr("\"a\"")));
  ASSERT_OK(table_.Count("b", 4, 40));
  EXPECT_THAT(Page(metrics), HasSubstr("packets_total{counter=\"b\"} 4\n"));
}

TEST_F(CounterMetricsTest, QuotasAreShownOfThoseThatHaveOne) {
  using Unit = kernel::QuotaLimit::Unit;
  Create({.name = "free"});
  Create({.name = "p", .quota = kernel::QuotaLimit{Unit::kPackets, 5}});
  Create({.name = "b", .quota = kernel::QuotaLimit{Unit::kBytes, 1000}});
  ASSERT_OK(table_.Count("p", 5, 50));
  const std::string page = Page({});
  EXPECT_THAT(page, HasSubstr("nfmeter_quota_packets{counter=\"p\"} 5\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_quota_bytes{counter=\"b\"} 1000\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_quota_exceeded{counter=\"p\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("nfmeter_quota_exceeded{counter=\"b\"} 0\n"));
  EXPECT_THAT(page, Not(HasSubstr("nfmeter_quota_exceeded{counter=\"free\"}")));
  // Only those that are shown.
  EXPECT_THAT(Page({.name_glob = "free"}), Not(HasSubstr("exceeded{")));
}

TEST_F(CounterMetricsTest, ForeignNamesAreShownAsTheApiShowsThem) {
  Create({.name = "a\"b\\\xff\n"});
  const std::string page = Page({});
  EXPECT_THAT(page, HasSubstr("{counter=\"a\\\"b\\\\x5c\\\\xff\\\\x0a\"}"));
  // 3: it has read all of it, and has remarks about names. 1: it could not.
  const testing::RunResult checked =
      testing::Run({"promtool", "check", "metrics"}, page);
  EXPECT_EQ(checked.exit_code, 3) << checked.out << checked.err;
}

TEST_F(CounterMetricsTest, WhenTheyCantBeReadThePageSaysSo) {
  Create({.name = "a"});
  // The first one may meet the ledger's own reading.
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM, 1000);
  const std::string page = Page({});
  EXPECT_THAT(page, HasSubstr("nfmeter_counters_readable 0\n"));
  EXPECT_THAT(page, Not(HasSubstr("{counter=")));
}

TEST_F(CounterMetricsTest, ScrapesInTheSameSecondShareAReading) {
  Create({.name = "a"});
  CounterMetrics metrics(ledger_, {});
  Page(metrics);
  const uint64_t readings = hub_->stats().complete;
  Page(metrics);
  EXPECT_EQ(hub_->stats().complete, readings);
  clock_.Advance(absl::Milliseconds(1100));
  Page(metrics);
  EXPECT_EQ(hub_->stats().complete, readings + 1);
}

}  // namespace
}  // namespace nfmeter::telemetry
