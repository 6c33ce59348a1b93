// SPDX-License-Identifier: Apache-2.0
// Where the command reads and writes.
#ifndef NFMETER_CLI_CONSOLE_H_
#define NFMETER_CLI_CONSOLE_H_

#include <functional>
#include <istream>
#include <ostream>

namespace nfmeter::cli {

struct TerminalSize {
  size_t rows = 24;
  size_t columns = 80;

  friend bool operator==(const TerminalSize&, const TerminalSize&) = default;
};

// The three standard streams, or a test's. Does not own them.
struct Console {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  // Terminals, of those that take escapes (TERM is not "dumb").
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // `out` shows UTF-8: the locale says so.
  bool unicode = false;
  // Of the terminal at `out`, asked again before each frame.
  std::function<TerminalSize()> size = [] { return TerminalSize(); };
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_CONSOLE_H_
