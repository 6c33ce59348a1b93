// SPDX-License-Identifier: GPL-3.0-or-later
// Plans as people mistype them: each mistake with its place and a way out.
#include "cli/plan_files.h"

#include <sstream>
#include <string>

#include "cli/errors.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::cli {
namespace {

// What people read when a plan comes from standard input.
std::string ErrorOf(const std::string& plan) {
  std::istringstream in(plan);
  return ErrorText(ReadPlanFiles("-", in).status(), /*color=*/false);
}

TEST(PlanFilesTest, WordsThatAreNearAFieldAreTakenForIt) {
  EXPECT_EQ(ErrorOf("name: shop\n"
                    "accounts:\n"
                    "  - counter: web\n"
                    "    direction: out\n"
                    "    match: {protocol: tcp, source_port: 443}\n"),
            "nfmeter: 2 things are wrong:\n"
            "  standard input:4:5: unknown field 'accounts[0].direction'; did "
            "you mean 'directions'?\n"
            "  standard input:5:28: unknown field "
            "'accounts[0].match.source_port'; did you mean 'source_ports'?\n");
}

TEST(PlanFilesTest, OthersAreToldWhichFieldsThereAre) {
  EXPECT_EQ(ErrorOf("name: shop\n"
                    "accounts:\n"
                    "  - counter: web\n"
                    "    quota: {bytes: 1000, period: {every: month}}\n"),
            "nfmeter: standard input:4:35: unknown field "
            "'accounts[0].quota.period.every'; there are unit, start_day, "
            "time_zone\n");
}

TEST(PlanFilesTest, ValuesOfAWrongShapeAreToldTheRightOne) {
  EXPECT_EQ(ErrorOf("name: shop\n"
                    "accounts:\n"
                    "  - counter: web\n"
                    "    quota: {bytes: lots, period: month}\n"
                    "    directions: [sideways]\n"
                    "classes:\n"
                    "  internal: [10.0.0.0/8]\n"),
            "nfmeter: 4 things are wrong:\n"
            "  standard input:4:20: accounts[0].quota.bytes: 'lots' must be a "
            "whole number such as 1500, 10MB (10^7) or 10MiB (10 * 2^20), not "
            "below 0 and at most 2^64-1\n"
            "  standard input:4:34: accounts[0].quota.period must be fields, "
            "'name: value' a line each; there are unit, start_day, time_zone\n"
            "  standard input:5:18: accounts[0].directions[0]: 'sideways' must "
            "be one of in, out, forwarded\n"
            "  standard input:7:3: classes must be a list, each member after "
            "'- '\n");
}

TEST(PlanFilesTest, QuotasHaveUnits) {
  std::istringstream in(
      "name: shop\n"
      "accounts:\n"
      "  - {counter: a, quota: {bytes: 10GB}}\n"
      "  - {counter: b, quota: {bytes: 1.5GiB}}\n"
      "  - {counter: c, quota: {bytes: 1500}}\n"
      "  - {counter: d, quota: {packets: 10k}}\n");
  const auto plans = ReadPlanFiles("-", in);
  ASSERT_OK(plans.status());
  ASSERT_THAT(*plans, ::testing::SizeIs(1));
  const auto& accounts = plans->front().plan.accounts();
  EXPECT_EQ(accounts[0].quota().bytes(), 10'000'000'000u);
  EXPECT_EQ(accounts[1].quota().bytes(), 1'610'612'736u);
  EXPECT_EQ(accounts[2].quota().bytes(), 1500u);
  EXPECT_EQ(accounts[3].quota().packets(), 10'000u);
}

}  // namespace
}  // namespace nfmeter::cli
