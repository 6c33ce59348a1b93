// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/metrics_text.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "tests/support/subprocess.h"

namespace nfmeter::telemetry {
namespace {

using Type = MetricsText::Type;

TEST(MetricsTextTest, AFamilyHasItsHelpItsTypeAndItsSamples) {
  MetricsText text;
  text.Counter("nfmeter_things_total", "Things.",
               uint64_t{18'446'744'073'709'551'615u});
  text.Add({{"a", "1"}, {"b", "2"}}, 0.25);
  EXPECT_EQ(std::move(text).Take(),
            "# HELP nfmeter_things_total Things.\n"
            "# TYPE nfmeter_things_total counter\n"
            "nfmeter_things_total 18446744073709551615\n"
            "nfmeter_things_total{a=\"1\",b=\"2\"} 0.25\n");
}

TEST(MetricsTextTest, LabelValuesAreEscaped) {
  EXPECT_EQ(MetricsText::RenderLabels({{"a", "\"q\" \\x\n"}}),
            R"({a="\"q\" \\x\n"})");
}

TEST(MetricsTextTest, AHistogramIsCumulative) {
  DurationHistogram histogram;
  histogram.Add(std::chrono::microseconds(25));
  histogram.Add(std::chrono::microseconds(26));
  histogram.Add(std::chrono::minutes(1));
  MetricsText text;
  text.Family("t_seconds", Type::kHistogram, "T.");
  text.Add({{"lane", "x"}}, histogram.Read());
  const std::string page = std::move(text).Take();
  EXPECT_THAT(page, ::testing::HasSubstr(
                        "t_seconds_bucket{lane=\"x\",le=\"0.000025\"} 1\n"
                        "t_seconds_bucket{lane=\"x\",le=\"0.0001\"} 2\n"));
  EXPECT_THAT(
      page, ::testing::HasSubstr("t_seconds_bucket{lane=\"x\",le=\"30\"} 2\n"
                                 "t_seconds_bucket{lane=\"x\",le=\"+Inf\"} 3\n"
                                 "t_seconds_sum{lane=\"x\"} 60.000051\n"
                                 "t_seconds_count{lane=\"x\"} 3\n"));
}

TEST(MetricsTextTest, PromtoolReadsAllOfIt) {
  MetricsText text;
  text.Family("a_total", Type::kCounter, "A.");
  text.Add({{"name", "\\x20\"\n\xc3\xa4"}}, uint64_t{1});
  text.Family("b_seconds", Type::kHistogram, "B.");
  text.Add({}, DurationHistogram().Read());
  text.Gauge("c_bytes", "C.", 1e300);
  text.Add({{"small", "yes"}}, 1e-300);
  const testing::RunResult checked =
      testing::Run({"promtool", "check", "metrics"}, std::move(text).Take());
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
}

}  // namespace
}  // namespace nfmeter::telemetry
