#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

namespace nfmeter::cli {

Console StandardConsole() {
  return {.in = std::cin,
          .out = std::cout,
          .err = std::cerr,
          .out_is_terminal = isatty(STDOUT_FILENO) == 1,
          .err_is_terminal = isatty(STDERR_FILENO) == 1,
          .size = [] {
            TerminalSize size;
            winsize window{};
            if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 &&
                window.ws_row > 0 && window.ws_col > 0) {
              size.rows = window.ws_row;
              size.columns = window.ws_col;
            }
            return size;
          }};
}

}  // namespace nfmeter::cli
