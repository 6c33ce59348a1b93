// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <ios>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/library_logs.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  // A reader that goes away ("nfmeter watch | head -1") ends us without a
  // word, whatever we were started with.
  signal(SIGPIPE, SIG_DFL);
  nfmeter::cli::SilenceLibraries();
  return nfmeter::cli::Main(std::vector<std::string>(argv + 1, argv + argc),
                            nfmeter::cli::StandardConsole());
}
