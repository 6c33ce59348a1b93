// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/utf8.h"

namespace nfmeter::telemetry {
namespace {

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

const char* Pattern(LogFormat format) {
  return format == LogFormat::kJson
             ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
             : "%Y-%m-%dT%H:%M:%S.%eZ %l %v";
}

class Logger {
 public:
  Logger() { Configure(LogFormat::kText, LogLevel::kInfo); }

  void Configure(LogFormat format, LogLevel level) {
    format_ = format;
    lines_.set_level(SpdlogLevel(level));
    lines_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        Pattern(format), spdlog::pattern_time_type::utc));
  }

  spdlog::logger& lines() { return lines_; }
  LogFormat format() const { return format_; }

 private:
  spdlog::logger lines_{"nfmeterd",
                        std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  LogFormat format_ = LogFormat::kText;
};

// Never destroyed: threads of libraries may log to the very end.
Logger& TheLogger() {
  static Logger* const logger = new Logger;
  return *logger;
}

bool NeedsQuotes(absl::string_view value) {
  for (const unsigned char c : value) {
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f) {
      return true;
    }
  }
  return value.empty();
}

}  // namespace

void ConfigureLog(LogFormat format, LogLevel level) {
  TheLogger().Configure(format, level);
}

std::string EscapeForLog(absl::string_view text) {
  std::string escaped;
  for (const unsigned char c : ValidUtf8(text)) {
    if (c == '"' || c == '\\') {
      escaped.append({'\\', static_cast<char>(c)});
    } else if (c == '\n') {
      escaped.append("\\n");
    } else if (c < 0x20 || c == 0x7f) {
      absl::StrAppend(&escaped, "\\u", absl::Hex(c, absl::kZeroPad4));
    } else {
      escaped.push_back(static_cast<char>(c));
    }
  }
  return escaped;
}

bool IsLogged(LogLevel level) {
  return TheLogger().lines().should_log(SpdlogLevel(level));
}

void Log(LogLevel level, absl::string_view event,
         std::initializer_list<LogField> fields) {
  Logger& logger = TheLogger();
  const auto spdlog_level = SpdlogLevel(level);
  if (!logger.lines().should_log(spdlog_level)) return;
  logger.lines().log(spdlog_level,
                     FormatLogLine(logger.format(), event, fields));
}

std::string FormatLogLine(LogFormat format, absl::string_view event,
                          std::initializer_list<LogField> fields) {
  if (format == LogFormat::kJson) {
    std::string line =
        absl::StrCat("\"message\":\"", EscapeForLog(event), "\"");
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",\"", field.key, "\":\"",
                      EscapeForLog(field.value), "\"");
    }
    return line;
  }
  std::string line(event);
  for (const LogField& field : fields) {
    const char* quote = NeedsQuotes(field.value) ? "\"" : "";
    absl::StrAppend(&line, " ", field.key, "=", quote,
                    EscapeForLog(field.value), quote);
  }
  return line;
}

}  // namespace nfmeter::telemetry
