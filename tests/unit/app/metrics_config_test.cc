// SPDX-License-Identifier: GPL-3.0-or-later

#include "app/config.h"
#include "app/config_file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/app/read_config.h"

namespace nfmeter::app {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(MetricsConfigTest, ByDefaultThereAreNone) {
  EXPECT_FALSE(Config().metrics.listen.has_value());
}

TEST(MetricsConfigTest, TheFileSaysWhereAndWhich) {
  const auto config = Read(
      "metrics: {listen: '[::1]:9477', max_counters: 12, counters: 'web-*'}");
  ASSERT_OK(config);
  ASSERT_TRUE(config->metrics.listen.has_value());
  EXPECT_EQ(config->metrics.listen->ToString(), "[::1]:9477");
  EXPECT_EQ(config->metrics.max_counters, 12);
  EXPECT_EQ(config->metrics.counters, "web-*");
}

TEST(MetricsConfigTest, EmptyTextsTurnOff) {
  const auto config = Read("metrics: {listen: '', counters: ''}");
  ASSERT_OK(config);
  EXPECT_FALSE(config->metrics.listen.has_value());
  EXPECT_EQ(config->metrics.counters, "");
}

TEST(MetricsConfigTest, WhatIsNoAddressIsRefused) {
  EXPECT_THAT(Read("metrics: {listen: 9477}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "f:1:19: 'metrics.listen' must be HOST:PORT, or "
                       "[IPV6]:PORT, not '9477'"));
  EXPECT_THAT(Read("metrics: {max_counters: -1}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must be a number from 0 to 10000000")));
}

// Prometheus would refuse the whole page.
TEST(MetricsConfigTest, KeysOfLabelsThatPrometheusCanNotTellApartAreRefused) {
  EXPECT_THAT(Read("metrics: {labels: 'ten.ant, env,ten-ant'}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'metrics.labels' shows both 'ten.ant' and "
                                 "'ten-ant' as label_ten_ant")));
  EXPECT_THAT(Read("metrics: {labels: 'env,env'}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("both 'env' and 'env'")));
  EXPECT_OK(Read("metrics: {labels: 'tenant, env,'}"));
}

TEST(MetricsConfigTest, KeysThatNoLabelHasAreRefused) {
  for (const char* keys : {"Tenant", "a b", "env;tenant"}) {
    EXPECT_THAT(Read(absl::StrCat("metrics: {labels: '", keys, "'}")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("must be keys of labels")))
        << keys;
  }
}

TEST(MetricsConfigTest, OnlyOthersThanLoopbackAreWarnedOf) {
  Config config;
  config.listen.listeners = {DefaultListener()};
  for (const char* address : {"127.0.0.1:1", "[::1]:1", "localhost:1"}) {
    ASSERT_OK(ReadConfigText(absl::StrCat("metrics: {listen: '", address, "'}"),
                             "f", config));
    const auto warnings = CheckConfig(config);
    ASSERT_OK(warnings);
    EXPECT_THAT(*warnings, IsEmpty()) << address;
  }
  ASSERT_OK(ReadConfigText("metrics: {listen: '[::]:1'}", "f", config));
  const auto warnings = CheckConfig(config);
  ASSERT_OK(warnings);
  EXPECT_THAT(*warnings,
              ::testing::ElementsAre(HasSubstr("[::]:1 is plain HTTP")));
}

}  // namespace
}  // namespace nfmeter::app
