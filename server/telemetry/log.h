// SPDX-License-Identifier: GPL-3.0-or-later
// The log: one line per state change, as key=value text or as JSON.
//
// Lines say what happened to the server. They never contain what clients sent:
// no names, labels, rules or values. The audit log, which may go here, is about
// that, and says names.
#ifndef NFMETER_TELEMETRY_LOG_H_
#define NFMETER_TELEMETRY_LOG_H_

#include <initializer_list>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace nfmeter::telemetry {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat { kText, kJson };

// One key and its value, a text, a number or a truth value as absl::StrCat()
// takes them. Keys are lower_snake and not one of time, level and message.
struct LogField {
  LogField(absl::string_view key, const absl::AlphaNum& value)
      : key(key), value(value.Piece()) {}

  std::string key;
  std::string value;
};

// From now on lines go to standard error in this form, from this level up.
// Before the first call: text, info. Call it before there are other threads.
void ConfigureLog(LogFormat format, LogLevel level);

// Whether lines of this level are written.
bool IsLogged(LogLevel level);

// `text` with control characters, quotes and backslashes as JSON escapes, and
// bytes that are not UTF-8 as \xHH.
std::string EscapeForLog(absl::string_view text);

// Writes a line. `event` is a few words, the same at each occurrence:
//   2026-01-02T03:04:05.678Z info ready listen="unix:/run/a b.sock" pid=12
//   {"time":"...","level":"info","message":"ready","listen":"..."}
// Thread-safe.
void Log(LogLevel level, absl::string_view event,
         std::initializer_list<LogField> fields = {});

// What Log() writes after time and level, without the line's end.
std::string FormatLogLine(LogFormat format, absl::string_view event,
                          std::initializer_list<LogField> fields);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_LOG_H_
