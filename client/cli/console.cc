// SPDX-License-Identifier: Apache-2.0
#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace nfmeter::cli {
namespace {

// One that takes the escapes by which tables are redrawn.
bool IsTerminal(int stream) {
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  return isatty(stream) == 1 && !dumb;
}

// As setlocale() would find it, which is not called: numbers and sorting are
// the same everywhere.
bool LocaleIsUtf8() {
  for (const char* variable : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr || *value == '\0') continue;
    const std::string locale = absl::AsciiStrToUpper(value);
    return absl::StrContains(locale, "UTF-8") ||
           absl::StrContains(locale, "UTF8");
  }
  return false;
}

}  // namespace

Console StandardConsole() {
  return {.in = std::cin,
          .out = std::cout,
          .err = std::cerr,
          .in_is_terminal = isatty(STDIN_FILENO) == 1,
          .out_is_terminal = IsTerminal(STDOUT_FILENO),
          .err_is_terminal = IsTerminal(STDERR_FILENO),
          .unicode = LocaleIsUtf8(),
          .size = [] {
            TerminalSize size;
            winsize window{};
            if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0) {
              // 0: not known, as on serial lines.
              if (window.ws_row > 0) size.rows = window.ws_row;
              if (window.ws_col > 0) size.columns = window.ws_col;
            }
            return size;
          }};
}

}  // namespace nfmeter::cli
