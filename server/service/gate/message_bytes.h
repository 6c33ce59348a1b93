// SPDX-License-Identifier: GPL-3.0-or-later
// Messages as the bytes that gRPC carries.
#ifndef NFMETER_SERVICE_GATE_MESSAGE_BYTES_H_
#define NFMETER_SERVICE_GATE_MESSAGE_BYTES_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/support/byte_buffer.h"

namespace nfmeter::service {

// INVALID_ARGUMENT, reason MALFORMED_REQUEST.
absl::Status ParseMessage(const grpc::ByteBuffer& bytes,
                          google::protobuf::MessageLite* request);

// INVALID_ARGUMENT, reason MALFORMED_REQUEST: the call ended without a message.
absl::Status NoMessage();

// RESOURCE_EXHAUSTED, reason REQUEST_TOO_LARGE.
absl::Status CheckMessageSize(const grpc::ByteBuffer& bytes, size_t bound);

// RESOURCE_EXHAUSTED, reason ANSWER_TOO_LARGE: the client does not take so
// much.
absl::Status CheckAnswerSize(size_t bytes, size_t bound);

// The message as a stream sends it.
grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message);

// The message with its maps in a fixed order: equal messages give equal bytes,
// also after a restart.
std::string StableBytes(const google::protobuf::MessageLite& message);

// INTERNAL: larger than 2 GiB.
absl::Status WriteMessage(const google::protobuf::MessageLite& response,
                          grpc::ByteBuffer* bytes);

// About how many bytes of memory the message in `bytes` takes once it is
// parsed, by the fields that it has on the wire: an empty element of a list has
// two bytes there and some hundred in memory. Nothing is allocated for it. Of
// bytes that are no message, those before the fault are counted, as parsing
// ends there.
size_t ParsedBytes(const grpc::ByteBuffer& bytes,
                   const google::protobuf::Message& prototype);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_MESSAGE_BYTES_H_
