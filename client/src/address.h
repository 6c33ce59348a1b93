// SPDX-License-Identifier: Apache-2.0
// Server addresses as people write them.
#ifndef NFMETER_CLIENT_SRC_ADDRESS_H_
#define NFMETER_CLIENT_SRC_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace nfmeter::client_internal {

struct Address {
  // For gRPC: "unix:/run/x.sock", "dns:///host:1", "127.0.0.1:1".
  std::string target;
  // Path of the unix socket; empty for other kinds.
  std::string socket_path;
  // Can't be reached from other hosts.
  bool local = false;
};

// INVALID_ARGUMENT, BAD_SERVER_ADDRESS: says what is wrong and shows the forms.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_ADDRESS_H_
