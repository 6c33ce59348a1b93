// SPDX-License-Identifier: Apache-2.0
// Statuses of the SDK: made from gRPC's, and made here.
#ifndef NFMETER_CLIENT_SRC_STATUS_H_
#define NFMETER_CLIENT_SRC_STATUS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/src/address.h"
#include "grpcpp/support/status.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// The same code and message, with the google.rpc details as payloads.
absl::Status FromGrpc(const grpc::Status& status);

// An error of the SDK's own, of domain "nfmeter.client".
absl::Status ClientError(absl::StatusCode code, absl::string_view reason,
                         absl::string_view message, absl::string_view hint);

// Says in people's words why `failure`, an UNAVAILABLE that no server has made,
// happened: by trying the socket itself, because gRPC's texts differ from
// version to version. Over a network these texts are all there is; `tls` says
// what the client showed. Other statuses come back as they are.
absl::Status ExplainConnection(
    const absl::Status& failure, const Address& address,
    const std::optional<TlsOptions>& tls = std::nullopt);

// The same status with another message.
absl::Status WithMessage(const absl::Status& status, absl::string_view message);

// Adds `offset` to the index in all "field[index]" of the message and of the
// field violations: an error of a part becomes one of the whole batch.
absl::Status ShiftIndexes(const absl::Status& status, absl::string_view field,
                          size_t offset);

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_STATUS_H_
