// SPDX-License-Identifier: Apache-2.0
// The standard health service.
#ifndef NFMETER_CLIENT_SRC_HEALTH_H_
#define NFMETER_CLIENT_SRC_HEALTH_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/src/connection.h"
#include "nfmeter/client.h"

namespace nfmeter::client_internal {

// See Client::CheckHealth.
absl::StatusOr<Health> CheckHealth(Connection& connection,
                                   absl::string_view service,
                                   const CallOptions& options);

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_HEALTH_H_
