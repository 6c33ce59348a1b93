// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/log.h"

#include "gmock/gmock.h"

namespace nfmeter::telemetry {
namespace {

using ::testing::MatchesRegex;

TEST(LogTest, TextQuotesOnlyWhatNeedsQuotes) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, "ready",
                          {{"listen", "unix:/run/a.sock"},
                           {"pid", 12},
                           {"error", "no \"such\" file"},
                           {"empty", ""},
                           {"equation", "a=b"}}),
            R"(ready listen=unix:/run/a.sock pid=12 )"
            R"(error="no \"such\" file" empty="" equation="a=b")");
}

TEST(LogTest, ALineStaysOneLineWhateverTheValue) {
  EXPECT_EQ(FormatLogLine(LogFormat::kText, "x", {{"v", "a\nb\x01\x7f\\"}}),
            R"(x v="a\nb\u0001\u007f\\")");
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, "x", {{"v", "a\nb\x01\"\\"}}),
            R"("message":"x","v":"a\nb\u0001\"\\")");
}

TEST(LogTest, WhatIsNotUtf8StaysReadableAndValid) {
  EXPECT_EQ(FormatLogLine(LogFormat::kJson, "x", {{"v", "\xc3\xa9\xff\xc3"}}),
            "\"message\":\"x\",\"v\":\"\xc3\xa9\\\\xff\\\\xc3\"");
}

TEST(LogTest, WritesTimeLevelAndEventFromTheLevelUp) {
  ::testing::internal::CaptureStderr();
  ConfigureLog(LogFormat::kText, LogLevel::kWarning);
  Log(LogLevel::kInfo, "quiet");
  Log(LogLevel::kWarning, "loud", {{"n", 1}});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:"
                           "[0-9]{2}\\.[0-9]{3}Z warning loud n=1\n"));
}

TEST(LogTest, JsonLinesAreWholeObjects) {
  ::testing::internal::CaptureStderr();
  ConfigureLog(LogFormat::kJson, LogLevel::kDebug);
  Log(LogLevel::kDebug, "started", {{"file", "{}%v"}});
  EXPECT_THAT(
      ::testing::internal::GetCapturedStderr(),
      MatchesRegex("\\{\"time\":\"[^\"]+Z\",\"level\":\"debug\",\"message\":"
                   "\"started\",\"file\":\"\\{\\}%v\"\\}\n"));
}

TEST(LogTest, OffIsOff) {
  ::testing::internal::CaptureStderr();
  ConfigureLog(LogFormat::kText, LogLevel::kOff);
  Log(LogLevel::kError, "never");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace nfmeter::telemetry
