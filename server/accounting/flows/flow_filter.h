// SPDX-License-Identifier: GPL-3.0-or-later
// Which flows a reading is about.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_FILTER_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_FILTER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "kernel/flow_types.h"

namespace nfmeter::accounting {

// What matches one end of a flow: the originator's or the responder's. NAT
// gives an end two addresses, one in each tuple; either will do.
struct FlowEndFilter {
  std::optional<kernel::IpPrefix> prefix;
  std::vector<kernel::PortRange> ports;  // one of them; empty: any

  bool Matches(kernel::Family family, const kernel::FlowAddress& one,
               const kernel::FlowAddress& other, uint16_t one_port,
               uint16_t other_port) const;
  friend bool operator==(const FlowEndFilter&, const FlowEndFilter&) = default;
};

// All conditions have to hold; an empty one holds for every flow. A value.
struct FlowFilter {
  std::optional<kernel::Family> family;
  FlowEndFilter source;       // the originator
  FlowEndFilter destination;  // the responder
  // Whichever end; every one of them.
  std::vector<FlowEndFilter> either;
  std::optional<uint8_t> protocol;
  std::optional<kernel::FlowBits> mark;
  std::optional<uint16_t> zone;
  kernel::FlowBits status = {.value = 0, .mask = 0};
  // One of these; empty: any, flows without such a state included.
  std::vector<kernel::TcpState> tcp_states;

  bool Matches(const kernel::FlowRecord& flow) const;

  // What the kernel may leave out for this filter: what it does rightly. The
  // flows still have to be matched.
  kernel::FlowDumpFilter ForKernel() const;

  friend bool operator==(const FlowFilter&, const FlowFilter&) = default;
};

// What may be left out for both.
kernel::FlowDumpFilter InCommon(const kernel::FlowDumpFilter& a,
                                const kernel::FlowDumpFilter& b);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_FILTER_H_
