// SPDX-License-Identifier: GPL-3.0-or-later
#include <utility>

#include "base/error.h"
#include "gmock/gmock.h"
#include "service/gate/stream_set.h"
#include "telemetry/metrics_text.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

security::Caller Certified(const std::string& name) {
  return {.principal = name, .certified = true};
}

TEST(StreamBudgetTest, ACallerWithACertificateHasABoundOfItsOwn) {
  StreamBudget budget(10, 2);
  budget.AddKind("snapshots");
  EXPECT_OK(budget.Take("snapshots", Certified("a")));
  EXPECT_OK(budget.Take("snapshots", Certified("a")));
  const absl::Status refused = budget.Take("snapshots", Certified("a"));
  EXPECT_THAT(refused,
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("a already has 2 streams open, its most; "
                                 "close some, or raise "
                                 "limits.max_streams_per_caller")));
  EXPECT_EQ(GetErrorDetails(refused).reason, "TOO_MANY_STREAMS");
  EXPECT_EQ(GetErrorDetails(refused).metadata.at("bound"), "2");
  EXPECT_OK(budget.Take("snapshots", Certified("b")));
  budget.Return("snapshots", Certified("a"));
  EXPECT_OK(budget.Take("snapshots", Certified("a")));
  EXPECT_EQ(budget.open("snapshots"), 3u);
}

TEST(StreamBudgetTest, CallersOfSocketsShareWhatThereIs) {
  const security::Caller socket = {.principal = "socket:/s"};
  StreamBudget budget(3, 1);
  budget.AddKind("snapshots");
  for (int i = 0; i < 3; ++i) EXPECT_OK(budget.Take("snapshots", socket));
  EXPECT_THAT(budget.Take("snapshots", socket),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("limits.max_streams")));
  EXPECT_THAT(budget.Take("snapshots", Certified("a")),
              StatusIs(absl::StatusCode::kResourceExhausted));
  budget.Return("snapshots", socket);
  EXPECT_OK(budget.Take("snapshots", Certified("a")));
}

TEST(StreamBudgetTest, MetricsCountTheOpenStreamsOfEachKind) {
  StreamBudget budget(10, 10);
  budget.AddKind("snapshots");
  budget.AddKind("usage");
  for (int i = 0; i < 3; ++i) {
    EXPECT_OK(budget.Take("snapshots", Certified("a")));
  }
  budget.Return("snapshots", Certified("a"));
  telemetry::MetricsText text;
  budget.WriteMetrics(text);
  EXPECT_THAT(std::move(text).Take(),
              AllOf(HasSubstr("nfmeter_streams_open{kind=\"snapshots\"} 2\n"),
                    HasSubstr("nfmeter_streams_open{kind=\"usage\"} 0\n")));
}

}  // namespace
}  // namespace nfmeter::service
