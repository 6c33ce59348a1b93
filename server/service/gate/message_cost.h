// SPDX-License-Identifier: GPL-3.0-or-later
// What it takes to parse a message.
#ifndef NFMETER_SERVICE_GATE_MESSAGE_COST_H_
#define NFMETER_SERVICE_GATE_MESSAGE_COST_H_

#include <cstddef>

#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"

namespace nfmeter::service {

// About how many bytes of memory the message in `bytes` takes once it is
// parsed, by the fields that it has on the wire: an empty element of a list has
// two bytes there and some hundred in memory. Nothing is allocated for it. Of
// bytes that are no message, those before the fault are counted, as parsing
// ends there.
size_t ParsedBytes(const grpc::ByteBuffer& bytes,
                   const google::protobuf::Message& prototype);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_MESSAGE_COST_H_
