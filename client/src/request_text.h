// SPDX-License-Identifier: Apache-2.0
// The one thing about a request that no server can answer.
#ifndef NFMETER_CLIENT_SRC_REQUEST_TEXT_H_
#define NFMETER_CLIENT_SRC_REQUEST_TEXT_H_

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace nfmeter::client_internal {

// INVALID_ARGUMENT, with each field named, when strings of `request` are not
// UTF-8. Protobuf would send them, and gRPC refuses to parse them before the
// server sees the call: INTERNAL, without a word.
absl::Status CheckText(const google::protobuf::Message& request);

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_REQUEST_TEXT_H_
