// SPDX-License-Identifier: GPL-3.0-or-later
// Where an error of the domain becomes an error of the API.
#ifndef NFMETER_SERVICE_GATE_STATUS_H_
#define NFMETER_SERVICE_GATE_STATUS_H_

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace nfmeter::service {

// As google.rpc.Status, with ErrorInfo always, BadRequest where fields were
// wrong and RetryInfo where trying again helps. A status without a reason gets
// one named after its code; UNKNOWN becomes INTERNAL. All strings are valid
// UTF-8, and so short that the whole fits the 8 KiB which gRPC clients take as
// trailing metadata: long lists are cut and say how many are left out.
google::rpc::Status ToRpcStatus(const absl::Status& status);

// The same as a gRPC status, with the google.rpc.Status in its details
// (grpc-status-details-bin).
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_STATUS_H_
