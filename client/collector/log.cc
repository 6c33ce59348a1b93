// SPDX-License-Identifier: Apache-2.0
#include "collector/log.h"

#include <unistd.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace nfmeter::collector {

void Log(Level level, absl::string_view what,
         std::initializer_list<std::pair<absl::string_view, absl::string_view>>
             values) {
  constexpr absl::string_view kNames[] = {"info", "warning", "error"};
  std::string line =
      absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                                    absl::UTCTimeZone()),
                   " ", kNames[static_cast<int>(level)], " ", what);
  for (const auto& [key, value] : values) {
    absl::StrAppend(&line, " ", key, "=");
    if (value.find_first_of(" \"\n=") == value.npos && !value.empty()) {
      absl::StrAppend(&line, value);
    } else {
      const std::string escaped = absl::Utf8SafeCEscape(value);
      absl::StrAppend(&line, "\"", absl::StrReplaceAll(escaped, {{"\\'", "'"}}),
                      "\"");
    }
  }
  line.push_back('\n');
  // One write, so that lines of several threads stay whole. Where nobody reads
  // them, there is nothing to be done about it.
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace nfmeter::collector
