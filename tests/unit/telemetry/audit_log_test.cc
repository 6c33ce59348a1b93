// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/audit_log.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "telemetry/call_log.h"
#include "telemetry/log.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::telemetry {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kTrace[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

CallRecord Reset() {
  return {.method = "nfmeter.v1.CounterService/ResetCounter",
          .mutates = true,
          .principal = "spiffe://a/b",
          .peer = "ipv6:%5B::1%5D:80",
          .trace_parent = kTrace,
          .request_id = "r1",
          .targets = {"a", "b\"\n"},
          .target_count = 3,
          .duration = absl::Microseconds(1500)};
}

CallRecord Denied() {
  return {.method = "nfmeter.v1.CounterService/GetCounter",
          .principal = "cn:x",
          .status = MakeError(absl::StatusCode::kPermissionDenied,
                              "NOT_PERMITTED", "no")};
}

class AuditLogTest : public ::testing::Test {
 protected:
  static std::vector<std::string> LinesOf(const std::string& path) {
    std::ifstream in(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  nfmeter::testing::TemporaryDirectory dir_;
  nfmeter::testing::FakeClock clock_;
  const std::string path_ = dir_ / "audit.log";
};

TEST_F(AuditLogTest, AChangeIsALineWithAllThatIsKnown) {
  AuditLog audit(path_, clock_);
  ASSERT_OK(audit.Open());
  audit.OnCallEnded(Reset());
  EXPECT_THAT(
      LinesOf(path_),
      ::testing::ElementsAre(
          R"({"time":"2026-01-01T00:00:00.000Z","principal":"spiffe://a/b",)"
          R"("peer":"ipv6:[::1]:80",)"
          R"("method":"nfmeter.v1.CounterService/ResetCounter",)"
          R"("targets":["a","b\"\n"],"target_count":3,"request_id":"r1",)"
          R"("code":"OK","duration_ms":1.500,)"
          R"("trace_id":"0af7651916cd43dd8448eb211c80319c",)"
          R"("span_id":"b7ad6b7169203331"})"));
}

TEST_F(AuditLogTest, FailedAndTriedChangesAreLinesToo) {
  AuditLog audit(path_, clock_);
  CallRecord record = Reset();
  record.validate_only = true;
  record.status =
      MakeError(absl::StatusCode::kNotFound, "COUNTER_NOT_FOUND", "none");
  audit.OnCallEnded(record);
  ASSERT_THAT(LinesOf(path_), SizeIs(1));
  EXPECT_THAT(LinesOf(path_)[0],
              HasSubstr(R"("validate_only":true,"code":"NOT_FOUND",)"
                        R"("reason":"COUNTER_NOT_FOUND")"));
}

TEST_F(AuditLogTest, ReadsAreNotLinesUnlessTheyAreRefused) {
  AuditLog audit(path_, clock_);
  CallRecord read = Denied();
  read.status = absl::OkStatus();
  audit.OnCallEnded(read);
  read.status = absl::NotFoundError("");
  audit.OnCallEnded(read);
  read.status =
      MakeError(absl::StatusCode::kResourceExhausted, "LANE_FULL", "");
  audit.OnCallEnded(read);
  EXPECT_THAT(LinesOf(path_), IsEmpty());
  audit.OnCallEnded(Denied());
  for (const char* reason : {"RATE_LIMITED", "TOO_MANY_STREAMS"}) {
    read.status = MakeError(absl::StatusCode::kResourceExhausted, reason, "");
    audit.OnCallEnded(read);
  }
  read.status = absl::UnauthenticatedError("");
  audit.OnCallEnded(read);
  EXPECT_THAT(LinesOf(path_), SizeIs(4));
}

TEST_F(AuditLogTest, RefusalsThatFloodItAreCounted) {
  AuditLog audit(path_, clock_);
  for (int i = 0; i < 1000; ++i) audit.OnCallEnded(Denied());
  EXPECT_THAT(LinesOf(path_), SizeIs(AuditLog::kMaxRefusalsPerSecond));
  // Changes are never left out.
  audit.OnCallEnded(Reset());
  EXPECT_THAT(LinesOf(path_), SizeIs(AuditLog::kMaxRefusalsPerSecond + 1));
  clock_.Advance(absl::Seconds(1));
  audit.OnCallEnded(Denied());
  EXPECT_THAT(LinesOf(path_).back(), HasSubstr("\"refusals_left_out\":900}"));
  audit.OnCallEnded(Denied());
  EXPECT_THAT(LinesOf(path_).back(), Not(HasSubstr("left_out")));
}

TEST_F(AuditLogTest, TheFileIsForItsUserAndGroupAndIsContinued) {
  std::ofstream(path_) << "{}\n";
  {
    AuditLog audit(dir_ / "new", clock_);
    ASSERT_OK(audit.Open());
    struct stat found {};
    ASSERT_EQ(stat((dir_ / "new").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777 & ~0640u, 0u);
  }
  AuditLog audit(path_, clock_);
  audit.OnCallEnded(Reset());
  EXPECT_THAT(LinesOf(path_), SizeIs(2));
}

TEST_F(AuditLogTest, AFileThatWasRotatedAwayIsMadeAnew) {
  AuditLog audit(path_, clock_);
  audit.OnCallEnded(Reset());
  std::filesystem::rename(path_, dir_ / "audit.log.1");
  audit.OnCallEnded(Reset());
  audit.OnCallEnded(Reset());
  EXPECT_THAT(LinesOf(dir_ / "audit.log.1"), SizeIs(1));
  EXPECT_THAT(LinesOf(path_), SizeIs(2));
  audit.Reopen();
  audit.OnCallEnded(Reset());
  EXPECT_THAT(LinesOf(path_), SizeIs(3));
}

TEST_F(AuditLogTest, AFileThatCannotBeWrittenIsNamedAtTheStart) {
  AuditLog audit("/nonexistent/audit.log", clock_);
  const absl::Status status = audit.Open();
  EXPECT_THAT(status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("audit.file /nonexistent/audit.log cannot be "
                                 "written: No such file or directory")));
  EXPECT_EQ(GetErrorDetails(status).reason, "AUDIT_FILE");
}

TEST_F(AuditLogTest, LinesThatAreLostAreCountedAndToldOfOnce) {
  ::testing::internal::CaptureStderr();
  AuditLog audit("/dev/full", clock_);
  ASSERT_OK(audit.Open());
  audit.OnCallEnded(Reset());
  audit.OnCallEnded(Reset());
  EXPECT_EQ(audit.lost(), 2u);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("error audit lines are lost file=/dev/full "
                             "error=\"No space left on device\""));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
}

// A disk that is full in the middle of a line: the next line is one again.
TEST_F(AuditLogTest, ALineThatWasCutShortSpoilsNoOther) {
  AuditLog audit(path_, clock_);
  audit.OnCallEnded(Reset());
  const std::vector<std::string> whole = LinesOf(path_);
  ASSERT_THAT(whole, SizeIs(1));
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit tight = {whole[0].size() + 11, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  ::testing::internal::CaptureStderr();
  audit.OnCallEnded(Reset());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  audit.OnCallEnded(Reset());
  ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(audit.lost(), 1u);
  const std::vector<std::string> lines = LinesOf(path_);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_EQ(lines[0], whole[0]);
  EXPECT_EQ(lines[1], whole[0].substr(0, 10));
  EXPECT_EQ(lines[2], whole[0]);
}

TEST_F(AuditLogTest, APipeThatNobodyReadsHoldsNobodyUp) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  AuditLog audit(path_, clock_);
  EXPECT_THAT(audit.Open(), StatusIs(absl::StatusCode::kFailedPrecondition));
  audit.OnCallEnded(Reset());
  EXPECT_EQ(audit.lost(), 1u);
}

TEST_F(AuditLogTest, WithoutAFileLinesGoToTheLog) {
  ::testing::internal::CaptureStderr();
  AuditLog audit("", clock_);
  ASSERT_OK(audit.Open());
  audit.OnCallEnded(Denied());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr(" info audit principal=cn:x peer=\"\" "
                        "method=nfmeter.v1.CounterService/GetCounter"));
}

TEST(CallLogTest, CallsAreLinesForDebuggingAndOurFailuresForEverybody) {
  CallLog log;
  ConfigureLog(LogFormat::kText, LogLevel::kInfo);
  ::testing::internal::CaptureStderr();
  CallRecord record = Reset();
  log.OnCallEnded(record);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  ::testing::internal::CaptureStderr();
  record.status = MakeError(absl::StatusCode::kInternal, "KERNEL_ERROR", "x");
  log.OnCallEnded(record);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("warning call failed method="));
  ConfigureLog(LogFormat::kText, LogLevel::kDebug);
  ::testing::internal::CaptureStderr();
  log.OnCallEnded(Reset());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("debug call "
                        "method=nfmeter.v1.CounterService/ResetCounter "));
}

}  // namespace
}  // namespace nfmeter::telemetry
