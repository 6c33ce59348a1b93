// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/library_logs.h"

#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <grpcpp/version_info.h>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "telemetry/line_limit.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

using telemetry::LineLimit;
using telemetry::LogLevel;

constexpr absl::Duration kWindow = absl::Seconds(10);
constexpr int kLinesInWindow = 10;

void LogLine(LineLimit& limit, LogLevel level, absl::string_view library,
             absl::string_view detail) {
  if (!telemetry::IsLogged(level)) return;
  const std::optional<int64_t> left_out = limit.Take();
  if (!left_out.has_value()) return;
  telemetry::Log(level, library, {{"detail", detail}, {"left_out", *left_out}});
}

// Newer gRPC and protobuf log through Abseil, which writes to standard error by
// itself.
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 65
void LogGrpcLine(gpr_log_func_args* line) {
  static LineLimit limit(kLinesInWindow, kWindow);
  const absl::string_view message = line->message;
  if (line->severity == GPR_LOG_SEVERITY_ERROR) {
    // It quotes headers that it refuses; our log has nothing of clients.
    LogLine(limit, LogLevel::kWarning, "grpc",
            message.substr(0, message.find(" value=")));
  } else {
    // Somebody asks for all of them, by GRPC_VERBOSITY.
    telemetry::Log(LogLevel::kDebug, "grpc", {{"detail", message}});
  }
}
void CaptureGrpcLog() { gpr_set_log_function(LogGrpcLine); }
#else
void CaptureGrpcLog() {}
#endif

#if GOOGLE_PROTOBUF_VERSION < 4022000
// What it calls an error is a message that it refuses, such as one whose text
// is not UTF-8. The call, which fails, tells its caller.
void LogProtobufLine(google::protobuf::LogLevel level, const char*, int,
                     const std::string& message) {
  static LineLimit limit(kLinesInWindow, kWindow);
  const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;
  LogLine(limit, fatal ? LogLevel::kError : LogLevel::kDebug, "protobuf",
          message);
}
void CaptureProtobufLog() { google::protobuf::SetLogHandler(LogProtobufLine); }
#else
void CaptureProtobufLog() {}
#endif

}  // namespace

void CaptureLibraryLogs() {
  CaptureGrpcLog();
  CaptureProtobufLog();
}

}  // namespace nfmeter::app
