// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_filter.h"

#include <algorithm>

namespace nfmeter::accounting {
namespace {

using kernel::FlowAddress;
using kernel::FlowRecord;

bool IsIn(const kernel::IpPrefix& prefix, const FlowAddress& address) {
  for (size_t i = 0; i < address.size(); ++i) {
    if ((address[i] & prefix.mask[i]) != prefix.address[i]) return false;
  }
  return true;
}

bool IsIn(const std::vector<kernel::PortRange>& ranges, uint16_t port) {
  return std::any_of(ranges.begin(), ranges.end(), [port](const auto& range) {
    return range.first <= port && port <= range.last;
  });
}

bool Equal(const kernel::FlowBits& bits, uint32_t value) {
  return (value & bits.mask) == (bits.value & bits.mask);
}

bool MatchesSource(const FlowEndFilter& end, const FlowRecord& flow) {
  return end.Matches(flow.family, flow.original.source, flow.reply.destination,
                     flow.original.source_port, flow.reply.destination_port);
}

bool MatchesDestination(const FlowEndFilter& end, const FlowRecord& flow) {
  return end.Matches(flow.family, flow.original.destination, flow.reply.source,
                     flow.original.destination_port, flow.reply.source_port);
}

}  // namespace

bool FlowEndFilter::Matches(kernel::Family family, const FlowAddress& one,
                            const FlowAddress& other, uint16_t one_port,
                            uint16_t other_port) const {
  if (prefix.has_value() && (prefix->family != family ||
                             (!IsIn(*prefix, one) && !IsIn(*prefix, other)))) {
    return false;
  }
  return ports.empty() || IsIn(ports, one_port) || IsIn(ports, other_port);
}

bool FlowFilter::Matches(const FlowRecord& flow) const {
  if (family.has_value() && flow.family != *family) return false;
  if (protocol.has_value() && flow.protocol != *protocol) return false;
  if (zone.has_value() && flow.zone != *zone) return false;
  if (mark.has_value() && !Equal(*mark, flow.mark)) return false;
  if (!Equal(status, flow.status)) return false;
  if (!tcp_states.empty() && (!flow.tcp_state.has_value() ||
                              std::find(tcp_states.begin(), tcp_states.end(),
                                        *flow.tcp_state) == tcp_states.end())) {
    return false;
  }
  return MatchesSource(source, flow) && MatchesDestination(destination, flow) &&
         std::all_of(
             either.begin(), either.end(), [&flow](const FlowEndFilter& end) {
               return MatchesSource(end, flow) || MatchesDestination(end, flow);
             });
}

kernel::FlowDumpFilter FlowFilter::ForKernel() const {
  kernel::FlowDumpFilter filter = {
      .family = family, .protocol = protocol, .mark = mark};
  for (const FlowEndFilter* end : {&source, &destination}) {
    if (end->prefix.has_value()) filter.family = end->prefix->family;
  }
  for (const FlowEndFilter& end : either) {
    if (end.prefix.has_value()) filter.family = end.prefix->family;
  }
  return filter;
}

kernel::FlowDumpFilter InCommon(const kernel::FlowDumpFilter& a,
                                const kernel::FlowDumpFilter& b) {
  kernel::FlowDumpFilter common = a;
  if (a.family != b.family) common.family.reset();
  if (a.protocol != b.protocol) common.protocol.reset();
  if (a.mark != b.mark) common.mark.reset();
  return common;
}

}  // namespace nfmeter::accounting
