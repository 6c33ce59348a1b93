// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/library_logs.h"

#include <grpc/support/log.h>

#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "nfmeter/v1/counter.pb.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

// What `write` has logged, from `level` up.
template <typename Write>
std::string LogOf(telemetry::LogLevel level, Write write) {
  telemetry::ConfigureLog(telemetry::LogFormat::kJson, level);
  CaptureLibraryLogs();
  gpr_log_verbosity_init();  // as grpc_init() does
  ::testing::internal::CaptureStderr();
  write();
  return ::testing::internal::GetCapturedStderr();
}

// A counter whose name is "\xff".
void ParseBadText() {
  v1::Counter counter;
  EXPECT_FALSE(counter.ParseFromString("\x0a\x01\xff"));
}

TEST(LibraryLogsTest, TextThatIsNotUtf8IsALineForDebuggingOnly) {
  EXPECT_EQ(LogOf(telemetry::LogLevel::kInfo, ParseBadText), "");
  EXPECT_THAT(
      LogOf(telemetry::LogLevel::kDebug, ParseBadText),
      MatchesRegex("\\{\"time\":\"[^\"]+\",\"level\":\"debug\",\"message\":"
                   "\"protobuf\",\"detail\":\"String field "
                   "'nfmeter.v1.Counter.name' contains invalid [^\"]+\","
                   "\"left_out\":\"0\"\\}\n"));
}

TEST(LibraryLogsTest, MessagesThatAreRefusedDoNotFloodTheLog) {
  const std::string log = LogOf(telemetry::LogLevel::kDebug, [] {
    for (int i = 0; i < 1000; ++i) ParseBadText();
  });
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 10);
}

TEST(LibraryLogsTest, ErrorsOfGrpcAreWarningsWithoutWhatClientsSent) {
  const std::string log = LogOf(telemetry::LogLevel::kInfo, [] {
    for (int i = 0; i < 1000; ++i) {
      gpr_log(GPR_ERROR, "Invalid header key=%s value=%s", "k", "secret\n");
    }
  });
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 10);
  EXPECT_THAT(log, HasSubstr("\"level\":\"warning\",\"message\":\"grpc\","
                             "\"detail\":\"Invalid header key=k\""));
  EXPECT_THAT(log, Not(HasSubstr("secret")));
}

TEST(LibraryLogsTest, WhatGrpcIsAskedToTraceIsForDebugging) {
  const auto write = [] {
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
    gpr_log(GPR_INFO, "a frame");
  };
  EXPECT_EQ(LogOf(telemetry::LogLevel::kInfo, write), "");
  EXPECT_THAT(LogOf(telemetry::LogLevel::kDebug, write),
              HasSubstr("\"level\":\"debug\",\"message\":\"grpc\","
                        "\"detail\":\"a frame\""));
}

}  // namespace
}  // namespace nfmeter::app
