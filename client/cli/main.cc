// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/stubs/common.h>
#include <grpc/support/log.h>
#include <grpcpp/version_info.h>
#include <signal.h>

#include <cstdlib>
#include <ios>
#include <string>
#include <vector>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include "cli/cli.h"

namespace {

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
                            nfmeter::cli::StandardConsole());
}
