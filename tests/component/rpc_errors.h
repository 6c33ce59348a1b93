// SPDX-License-Identifier: GPL-3.0-or-later
// What the errors of calls say to programs.
#ifndef NFMETER_TESTS_COMPONENT_RPC_ERRORS_H_
#define NFMETER_TESTS_COMPONENT_RPC_ERRORS_H_

#include <string>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"

namespace nfmeter::testing {

// The google.rpc.Status in the details of a status.
google::rpc::Status RpcStatusOf(const grpc::Status& status);
google::rpc::ErrorInfo ErrorInfoOf(const google::rpc::Status& status);
google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status);
google::rpc::BadRequest BadRequestOf(const grpc::Status& status);
// The paths of the wrong fields.
std::vector<std::string> WrongFieldsOf(const grpc::Status& status);

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_RPC_ERRORS_H_
