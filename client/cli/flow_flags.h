// SPDX-License-Identifier: Apache-2.0
// The flags that say which flows, and by what they are summed.
#ifndef NFMETER_CLI_FLOW_FLAGS_H_
#define NFMETER_CLI_FLOW_FLAGS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/command_tree.h"
#include "nfmeter/v1/flow.pb.h"

namespace nfmeter::cli {

// What was given, as text; checked when the request is made.
struct FlowFilterFlags {
  std::string source;
  std::string destination;
  std::string address;
  std::string source_ports;
  std::string destination_ports;
  std::string ports;
  std::string protocol;
  std::string mark;
  std::string zone;
  std::string states;
  std::string status;
  bool ipv4 = false;
  bool ipv6 = false;
};

void AddFlowFilterFlags(CommandTree& tree, CLI::App& command,
                        FlowFilterFlags& flags);

// INVALID_ARGUMENT names the flag.
absl::StatusOr<v1::FlowFilter> ReadFlowFilter(const FlowFilterFlags& flags);

// "src/24,dport": src and dst with prefix lengths of IPv4 and IPv6
// ("src/24/48"), sport, dport, proto, mark, zone, state.
absl::StatusOr<v1::FlowGrouping> ParseFlowGrouping(absl::string_view text);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FLOW_FLAGS_H_
