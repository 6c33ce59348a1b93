// SPDX-License-Identifier: Apache-2.0
// What libraries would write to standard error by themselves.
#ifndef NFMETER_CLI_LIBRARY_LOGS_H_
#define NFMETER_CLI_LIBRARY_LOGS_H_

namespace nfmeter::cli {

// Silences gRPC and protobuf: what they complain of comes to the user as the
// error of a call. With GRPC_VERBOSITY in the environment, gRPC talks.
void SilenceLibraries();

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_LIBRARY_LOGS_H_
