// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <grpcpp/version_info.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "cli/cli.h"

namespace {

using ::nfmeter::cli::Console;
using ::nfmeter::cli::TerminalSize;

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

// The process's own.
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

// Silences gRPC and protobuf: what they complain of comes to the user as the
// error of a call. With GRPC_VERBOSITY in the environment, gRPC talks.
void SilenceLibraries() {
// Newer ones log through Abseil.
#if GOOGLE_PROTOBUF_VERSION < 4022000
  google::protobuf::SetLogHandler(nullptr);
#endif
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 65
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    gpr_set_log_function([](gpr_log_func_args*) {});
  }
#endif
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  // A reader that goes away ("nfmeter watch | head -1") ends us without a
  // word, whatever we were started with.
  signal(SIGPIPE, SIG_DFL);
  SilenceLibraries();
  return nfmeter::cli::Main(std::vector<std::string>(argv + 1, argv + argc),
                            StandardConsole());
}
