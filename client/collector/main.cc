// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <signal.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "collector/command.h"

int main(int argc, char** argv) {
  // Threads are many and their memory is little: arenas of their own would
  // take more than all records.
  mallopt(M_ARENA_MAX, 4);
  signal(SIGPIPE, SIG_IGN);
  if (std::getenv("GRPC_VERBOSITY") == nullptr) {
    // Connections that fail are told in this program's own words.
    gpr_set_log_function([](gpr_log_func_args*) {});
  }
  // Before threads are made, which inherit it.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  return nfmeter::collector::Main(
      std::vector<std::string>(argv + 1, argv + argc), [&ends] {
        int signal;
        sigwait(&ends, &signal);
      });
}
