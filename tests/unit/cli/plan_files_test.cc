// SPDX-License-Identifier: GPL-3.0-or-later
// Plans as people mistype them: each mistake with its place and a way out.
#include "cli/plan_files.h"

#include <sstream>
#include <string>

#include "cli/errors.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "proto/yaml/yaml_places.h"
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

// As 'nfmeter plan get -o json' prints it.
TEST(PlanFilesTest, TheJsonOfTheApiIsTaken) {
  v1::Plan plan;
  plan.set_name("shop");
  plan.set_placement(v1::RULE_PLACEMENT_TAIL);
  v1::Account& account = *plan.add_accounts();
  account.set_counter("web");
  account.set_split_by(v1::SPLIT_BY_SOURCE);
  account.add_directions(v1::DIRECTION_IN);
  account.mutable_match()->set_protocol("tcp");
  account.mutable_match()->add_source_ports()->set_first(443);
  account.mutable_quota()->set_bytes(uint64_t{1} << 63);
  account.mutable_quota()->mutable_period()->set_unit(
      v1::QuotaPeriod::UNIT_DAY);
  plan.mutable_apply_time()->set_seconds(1'000'000'000);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  ASSERT_TRUE(
      google::protobuf::util::MessageToJsonString(plan, &json, options).ok());
  EXPECT_THAT(json, ::testing::HasSubstr("FAMILY_UNSPECIFIED"));
  std::istringstream in(json);
  const auto plans = ReadPlanFiles("-", in);
  ASSERT_OK(plans.status());
  ASSERT_THAT(*plans, ::testing::SizeIs(1));
  EXPECT_EQ(plans->front().plan.SerializeAsString(), plan.SerializeAsString());
  // Mistakes are told with the names that plans have.
  EXPECT_THAT(
      ErrorOf("{\"name\": \"shop\", \"apply_time\": \"2026-01-01T00:00:00Z\", "
              "\"applyTime\": \"2026-01-01T00:00:00Z\"}"),
      ::testing::HasSubstr("'applyTime' is there twice"));
}

TEST(PlanFilesTest, ServersMistakesAreFoundInIt) {
  const std::string text =
      "name: shop\n"
      "accounts:\n"
      "  - counter: web\n"
      "    splitBy: source\n";
  std::istringstream in(text);
  const auto plans = ReadPlanFiles("-", in);
  ASSERT_OK(plans.status());
  EXPECT_EQ(YamlPlaces(text, "x").Of("accounts[0].split_by"), "x:4:14");
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
