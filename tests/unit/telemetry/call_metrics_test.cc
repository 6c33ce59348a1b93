// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/call_metrics.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "gmock/gmock.h"

namespace nfmeter::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kGet[] = "x.v1.S/Get";

class CallMetricsTest : public ::testing::Test {
 protected:
  void Call(absl::string_view method, const absl::Status& status,
            absl::Duration duration = absl::Microseconds(30)) {
    CallRecord record;
    record.method = method;
    metrics_.OnCallStarted(record);
    record.status = status;
    record.duration = duration;
    metrics_.OnCallEnded(record);
  }

  std::string Page() const {
    MetricsText text;
    metrics_.WriteMetrics(text);
    return std::move(text).Take();
  }

  CallMetrics metrics_{
      std::vector<CallMetrics::Method>{{kGet, false}, {"x.v1.S/Watch", true}}};
};

TEST_F(CallMetricsTest, MethodsAreThereBeforeTheirFirstCall) {
  EXPECT_THAT(Page(),
              HasSubstr("grpc_server_handled_total{grpc_type=\"server_stream\","
                        "grpc_service=\"x.v1.S\",grpc_method=\"Watch\","
                        "grpc_code=\"OK\"} 0\n"));
}

TEST_F(CallMetricsTest, CallsAreCountedByMethodAndStatus) {
  Call(kGet, absl::OkStatus());
  Call(kGet, absl::OkStatus());
  Call(kGet, absl::NotFoundError("no"));
  const std::string page = Page();
  const std::string labels =
      "grpc_type=\"unary\",grpc_service=\"x.v1.S\",grpc_method=\"Get\"";
  EXPECT_THAT(page, HasSubstr(absl::StrCat("grpc_server_started_total{", labels,
                                           "} 3\n")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("grpc_server_handled_total{", labels,
                                           ",grpc_code=\"OK\"} 2\n")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("grpc_server_handled_total{", labels,
                                           ",grpc_code=\"NotFound\"} 1\n")));
  EXPECT_THAT(page,
              HasSubstr(absl::StrCat("grpc_server_handling_seconds_bucket{",
                                     labels, ",le=\"0.0001\"} 3\n")));
}

TEST_F(CallMetricsTest, CallsUnderWayAreInFlight) {
  CallRecord record;
  record.method = "x.v1.S/Watch";
  metrics_.OnCallStarted(record);
  const std::string labels = "grpc_service=\"x.v1.S\",grpc_method=\"Watch\"";
  EXPECT_THAT(Page(), HasSubstr(absl::StrCat("nfmeter_calls_in_flight{", labels,
                                             "} 1\n")));
  metrics_.OnCallEnded(record);
  EXPECT_THAT(Page(), HasSubstr(absl::StrCat("nfmeter_calls_in_flight{", labels,
                                             "} 0\n")));
}

TEST_F(CallMetricsTest, FailuresAreCountedByTheirReason) {
  Call(kGet, MakeError(absl::StatusCode::kNotFound, "COUNTER_NOT_FOUND", "no"));
  Call(kGet, absl::CancelledError("gone"));
  EXPECT_THAT(Page(), HasSubstr("{reason=\"COUNTER_NOT_FOUND\"} 1\n"));
  EXPECT_THAT(Page(), HasSubstr("{reason=\"Canceled\"} 1\n"));
}

TEST_F(CallMetricsTest, NamesThatCallersMakeUpMakeNoSeries) {
  for (int i = 0; i < 1000; ++i) {
    Call(absl::StrCat("x.v1.S/Made", i), absl::UnimplementedError("no"));
  }
  EXPECT_THAT(Page(), Not(HasSubstr("Made1")));
  EXPECT_THAT(Page(), HasSubstr("grpc_method=\"unlisted\"} 1000\n"));
}

TEST_F(CallMetricsTest, NoCallOfManyThreadsIsLost) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 1000; ++n) Call(kGet, absl::OkStatus());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(Page(), HasSubstr("grpc_method=\"Get\",grpc_code=\"OK\"} 20000"));
}

}  // namespace
}  // namespace nfmeter::telemetry
