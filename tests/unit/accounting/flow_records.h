// SPDX-License-Identifier: GPL-3.0-or-later
// Flows as tests write them.
#ifndef NFMETER_TESTS_UNIT_ACCOUNTING_FLOW_RECORDS_H_
#define NFMETER_TESTS_UNIT_ACCOUNTING_FLOW_RECORDS_H_

#include <cstdint>
#include <string>

#include "kernel/flow_types.h"
#include "tests/support/flow_address.h"

namespace nfmeter::testing {

// A TCP flow without NAT that has counted nothing.
inline kernel::FlowRecord TcpFlow(const std::string& source,
                                  uint16_t source_port,
                                  const std::string& destination,
                                  uint16_t destination_port) {
  kernel::FlowRecord flow;
  flow.family = source.find(':') != std::string::npos ? kernel::Family::kIpv6
                                                      : kernel::Family::kIpv4;
  flow.protocol = 6;
  flow.original = {.source = AddressOf(source),
                   .destination = AddressOf(destination),
                   .source_port = source_port,
                   .destination_port = destination_port};
  flow.reply = {.source = flow.original.destination,
                .destination = flow.original.source,
                .source_port = destination_port,
                .destination_port = source_port};
  flow.tcp_state = kernel::TcpState::kEstablished;
  flow.original_counts.emplace();
  flow.reply_counts.emplace();
  return flow;
}

inline kernel::FlowRecord Counted(kernel::FlowRecord flow,
                                  kernel::FlowCounts original,
                                  kernel::FlowCounts reply = {}) {
  flow.original_counts = original;
  flow.reply_counts = reply;
  return flow;
}

inline kernel::FlowRecord Begun(kernel::FlowRecord flow, uint64_t start_ns) {
  flow.start_ns = start_ns;
  return flow;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_UNIT_ACCOUNTING_FLOW_RECORDS_H_
