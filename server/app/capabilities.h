// SPDX-License-Identifier: GPL-3.0-or-later
// What follows from the parts that a kernel has.
#ifndef NFMETER_APP_CAPABILITIES_H_
#define NFMETER_APP_CAPABILITIES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "kernel/kernel.h"
#include "service/node/node_service.h"

namespace nfmeter::app {

// Which backend counts, and why, for people.
std::string DescribeBackend(const kernel::Capabilities& kernel);

// The parts as GetNode shows them, with the methods that need each. The names
// of the backends are shown for parts that are there. A part that no method
// needs is one that may be missing without harm.
std::vector<service::NodeCapability> NodeCapabilities(
    const kernel::Capabilities& kernel, absl::string_view acct_backend = "",
    absl::string_view rule_backend = "");

// Full name of a gRPC service and whether it can do its work: what
// grpc.health.v1 answers.
struct ServiceHealth {
  std::string service;
  bool serving = false;
};
std::vector<ServiceHealth> HealthOf(const kernel::Capabilities& kernel,
                                    bool ledger_writable = true);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_CAPABILITIES_H_
