// SPDX-License-Identifier: Apache-2.0
// google.rpc details as payloads of statuses.
#ifndef NFMETER_CLIENT_SRC_PAYLOAD_H_
#define NFMETER_CLIENT_SRC_PAYLOAD_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace nfmeter::client_internal {

// The hint of errors that are made in the SDK: plain text.
inline constexpr char kHintUrl[] = "nfmeter.client/hint";

template <typename Message>
std::string PayloadUrl() {
  return absl::StrCat("type.googleapis.com/",
                      std::string(Message::descriptor()->full_name()));
}

template <typename Message>
void SetPayload(const Message& message, absl::Status* status) {
  status->SetPayload(PayloadUrl<Message>(),
                     absl::Cord(message.SerializeAsString()));
}

// False: `status` has none.
template <typename Message>
bool GetPayload(const absl::Status& status, Message* message) {
  const auto payload = status.GetPayload(PayloadUrl<Message>());
  return payload.has_value() && message->ParseFromString(std::string(*payload));
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_PAYLOAD_H_
