// SPDX-License-Identifier: GPL-3.0-or-later
// Which matches say the ports and TCP flags of a rule.
#include <netinet/in.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/rule_law.h"

namespace nfmeter::kernel {
namespace {

absl::Status CheckPorts(const std::optional<Negatable<Ports>>& ports) {
  if (!ports.has_value()) return absl::OkStatus();
  size_t places = 0;
  for (const PortRange& range : ports->value) {
    if (range.first > range.last) {
      return NotExpressible(absl::StrCat("the port range ", range.first, ":",
                                         range.last, " is upside down"));
    }
    places += range.first == range.last ? 1 : 2;
  }
  if (places == 0 || places > kMultiportPlaces) {
    return NotExpressible(
        absl::StrCat("a rule takes 1 to ", kMultiportPlaces,
                     " places for ports (a range takes two), not ", places));
  }
  return absl::OkStatus();
}

// Whether the protocol's own match can say it: one range. tcp and udp can't
// tell "any port" from no condition at all, so that is left to multiport too,
// and reads back as it was given.
bool IsNative(uint8_t protocol, const std::optional<Negatable<Ports>>& ports) {
  if (!ports.has_value() || ports->value.size() != 1) return false;
  switch (protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
      return ports->value[0] != kAnyPort;
    case IPPROTO_SCTP:
    case IPPROTO_DCCP:
      return true;
    default:
      return false;  // udplite has a match in the kernel, but not in iptables
  }
}

void AppendNative(uint8_t protocol, const NativePorts& ports,
                  const Negatable<TcpFlags>* tcp_flags, MatchWriter& out) {
  switch (protocol) {
    case IPPROTO_TCP:
      return AppendTcp(ports, tcp_flags, out);
    case IPPROTO_UDP:
      return AppendUdp(ports, out);
    case IPPROTO_SCTP:
      return AppendSctp(ports, out);
    case IPPROTO_DCCP:
      return AppendDccp(ports, out);
  }
}

}  // namespace

absl::Status AppendPortMatches(const MatchContext& context,
                               const RuleMatch& match, MatchWriter& out) {
  const auto& source = match.source_ports;
  const auto& destination = match.destination_ports;
  if ((source.has_value() || destination.has_value()) &&
      !HasPorts(context.protocol)) {
    return NotExpressible(
        "ports need the protocol tcp, udp, udplite, sctp or dccp");
  }
  NFM_RETURN_IF_ERROR(CheckPorts(source));
  NFM_RETURN_IF_ERROR(CheckPorts(destination));
  if (match.tcp_flags.has_value()) {
    if (context.protocol != IPPROTO_TCP) {
      return NotExpressible("TCP flags need the protocol tcp");
    }
    if (match.tcp_flags->value.mask == 0 && !match.tcp_flags->negated) {
      return NotExpressible("TCP flags need a mask of flags to look at");
    }
  }

  NativePorts native;
  if (IsNative(context.protocol, source)) native.source = &*source;
  if (IsNative(context.protocol, destination)) {
    native.destination = &*destination;
  }
  const Negatable<TcpFlags>* const tcp_flags =
      match.tcp_flags.has_value() ? &*match.tcp_flags : nullptr;
  if (native.source != nullptr || native.destination != nullptr ||
      tcp_flags != nullptr) {
    AppendNative(context.protocol, native, tcp_flags, out);
  }
  if (source.has_value() && native.source == nullptr) {
    AppendMultiport(PortSide::kSource, *source, out);
  }
  if (destination.has_value() && native.destination == nullptr) {
    AppendMultiport(PortSide::kDestination, *destination, out);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
