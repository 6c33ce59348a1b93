// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter check: the line and the exit status that monitoring reads.
#include "absl/strings/str_join.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CheckTest : public CliTest {
 protected:
  CheckTest() {
    // 3 GiB in two hours.
    server_.usage.on_ListUsage = [this](const auto& request, auto* response) {
      request_ = request;
      *response = Json<v1::ListUsageResponse>(answer_);
      return grpc::Status::OK;
    };
  }

  std::string answer_ = R"({"rows": [{"bytes": "1073741824"},
                                     {"bytes": "2147483648"}]})";
  v1::ListUsageRequest request_;
};

TEST_F(CheckTest, BelowTheLimitItIsOk) {
  const RunResult result =
      Nfmeter({"check", "web", "--limit", "10GiB", "--since", "month"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(StartsWith("NFMETER OK - web: 3.00 GiB of 10.0 GiB since "),
                    HasSubstr("-01 00:00 | bytes=3221225472B;;10737418240;0")));
  EXPECT_EQ(request_.filter().name_glob(), "web");
}

TEST_F(CheckTest, WarningAndCriticalAreExitCodesOneAndTwo) {
  RunResult result =
      Nfmeter({"check", "web", "--limit", "10GiB", "--warn", "2GiB"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, StartsWith("NFMETER WARNING - web: 3.00 GiB"));
  result = Nfmeter({"check", "web", "--limit", "2GiB", "--since", "7d"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.out, StartsWith("NFMETER CRITICAL - web: 3.00 GiB"));
}

// The range "0 to 3 GiB" of plugins includes 3 GiB.
TEST_F(CheckTest, ExactlyTheLimitIsWithinIt) {
  EXPECT_EQ(Nfmeter({"check", "web", "--limit", "3221225472"}).exit_code, 0);
  EXPECT_EQ(Nfmeter({"check", "web", "--limit", "3221225471"}).exit_code, 2);
  const auto warn = [&](const char* bytes) {
    return Nfmeter({"check", "web", "--limit", "10GiB", "--warn", bytes})
        .exit_code;
  };
  EXPECT_EQ(warn("3221225472"), 0);
  EXPECT_EQ(warn("3221225471"), 1);
}

// Nothing counted yet is 0, and not a mistyped name.
TEST_F(CheckTest, ACounterWithAStarInItsNameIsNamedWithBrackets) {
  answer_ = "{}";
  std::string asked;
  bool there = true;
  server_.counters.on_ListCounters = [&](const auto& request, auto* response) {
    asked = request.filter().name_glob();
    if (there) response->add_counters()->set_name("a*b");
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"check", "a[*]b", "--limit", "1GB"}).out,
              StartsWith("NFMETER OK - a[*]b: 0 B"));
  EXPECT_EQ(asked, "a[*]b");
  EXPECT_EQ(request_.filter().name_glob(), "a[*]b");
  there = false;
  EXPECT_THAT(Nfmeter({"check", "x*", "--limit", "1GB"}).out,
              StartsWith("NFMETER UNKNOWN - no counter matches 'x*'"));
}

TEST_F(CheckTest, AGapMakesItAtLeast) {
  answer_ = R"({"rows": [{"bytes": "1024", "atLeast": true}]})";
  EXPECT_THAT(Nfmeter({"check", "web", "--limit", "1GB"}).out,
              HasSubstr("web: at least 1.00 KiB"));
}

TEST_F(CheckTest, WhatCannotBeAskedIsUnknown) {
  answer_ = "{}";
  server_.counters.on_GetCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::NOT_FOUND, "there is no counter 'wbe'");
  };
  RunResult result = Nfmeter({"check", "wbe", "--limit", "1GB"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "NFMETER UNKNOWN - there is no counter 'wbe'\n");
  result = Nfmeter({"check", "web", "--limit", "1GB", "--since", "soon"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.out, HasSubstr("--since 'soon'"));
}

// 2, the exit code of wrong usage elsewhere, is CRITICAL for a plugin, and
// wakes somebody.
TEST_F(CheckTest, AWrongCommandLineIsUnknown) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{
           {"check"},
           {"check", "web"},
           {"check", "web", "--limit", "plenty"},
           {"check", "web", "--limit", "1GB", "--frob"},
           {"check", "web", "--limit", "1GB", "--context", "gw1"},
           {"--timeout", "x", "check", "web", "--limit", "1GB"}}) {
    const RunResult result = Nfmeter(wrong);
    EXPECT_EQ(result.exit_code, 3) << absl::StrJoin(wrong, " ");
    EXPECT_THAT(result.out, StartsWith("NFMETER UNKNOWN - "));
    EXPECT_EQ(result.err, "");
  }
}

// However long ago: buckets would be too many, and many to add up.
TEST_F(CheckTest, OneSumIsAskedFor) {
  Nfmeter({"check", "web", "--limit", "10GiB", "--since", "900d"});
  EXPECT_EQ(request_.bucket(), v1::USAGE_BUCKET_UNSPECIFIED);
}

TEST_F(CheckTest, AnErrorOfTheServerNamesTheFlag) {
  server_.usage.on_ListUsage = [](const auto&, auto*) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT, "start_time: is wrong",
                 {{"start_time", "is wrong"}});
  };
  EXPECT_EQ(Nfmeter({"check", "web", "--limit", "1GB"}).out,
            "NFMETER UNKNOWN - --since: is wrong\n");
}

}  // namespace
}  // namespace nfmeter::testing
