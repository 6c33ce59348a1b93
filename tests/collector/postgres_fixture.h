// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector, a real PostgreSQL, and nodes that count.
#ifndef NFMETER_TESTS_COLLECTOR_POSTGRES_FIXTURE_H_
#define NFMETER_TESTS_COLLECTOR_POSTGRES_FIXTURE_H_

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "tests/collector/collector_process.h"
#include "tests/collector/fake_fleet.h"
#include "tests/collector/postgres_process.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

class PostgresFixture : public ::testing::Test {
 protected:
  static constexpr int kNodes = 8;
  static constexpr int kCounters = 5;
  // Shorter than in life, so that tests are.
  static constexpr absl::Duration kLease = absl::Seconds(2);
  static constexpr absl::Duration kPatience = absl::Seconds(60);

  void SetUp() override {
    ASSERT_OK(postgres_.Start());
    std::ofstream(targets_) << fleet_.Targets();
  }
  // Where what was stored is looked at.
  virtual const PostgresProcess& database() const { return postgres_; }
  std::vector<std::string> Arguments(const std::string& name = "one") const {
    return {"--targets", targets_, "--sink",  postgres_.url(),
            "--name",    name,     "--lease", absl::FormatDuration(kLease)};
  }
  std::unique_ptr<CollectorProcess> Start(const std::string& name = "one") {
    return std::make_unique<CollectorProcess>(Arguments(name));
  }
  // Every counter of every node counts, and it is in their ledgers.
  void Count(uint64_t packets) {
    for (size_t i = 0; i < fleet_.size(); ++i) {
      for (int c = 1; c <= kCounters; ++c) {
        fleet_.node(static_cast<int>(i)).Count(c, packets + c);
      }
      fleet_.node(static_cast<int>(i)).Tick();
    }
  }
  std::string Total() const {
    return database().Query(
        "SELECT coalesce(sum(packets), 0) FROM nfmeter.usage_total");
  }
  // Until the database has what the nodes counted, all of it. Returns how long
  // that took.
  absl::Duration AwaitTotal() {
    const std::string expected = absl::StrCat(fleet_.Total());
    const absl::Time begun = absl::Now();
    EXPECT_TRUE(Eventually([&] { return Total() == expected; }, kPatience))
        << Total() << " instead of " << expected;
    CheckAcknowledged();
    return absl::Now() - begun;
  }
  // What a node may forget is durable.
  void CheckAcknowledged() {
    for (size_t i = 0; i < fleet_.size(); ++i) {
      const uint64_t acknowledged =
          fleet_.node(static_cast<int>(i)).acknowledged();
      uint64_t sequence = 0;
      EXPECT_TRUE(absl::SimpleAtoi(
          database().Query(absl::StrCat(
              "SELECT sequence FROM nfmeter.cursors JOIN nfmeter.nodes USING "
              "(node) WHERE node_id = 'id-",
              i, "'")),
          &sequence));
      EXPECT_GE(sequence, acknowledged);
    }
  }
  // The next collector need not wait for the leases of one that was killed.
  void FreeLeases() {
    database().Query("UPDATE nfmeter.leases SET expires = now()");
  }
  std::string DoubledRows() const {
    return database().Query(
        "SELECT count(*) FROM (SELECT node, epoch, sequence, counter_id FROM "
        "nfmeter.records GROUP BY 1, 2, 3, 4 HAVING count(*) > 1) AS doubled");
  }

  TemporaryDirectory dir_;
  const std::string targets_ = dir_ / "nodes.yaml";
  PostgresProcess postgres_;
  FakeFleet fleet_{kNodes, kCounters};
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_POSTGRES_FIXTURE_H_
