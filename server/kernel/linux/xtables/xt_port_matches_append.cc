// tcp, udp, sctp, dccp and multiport: ports and TCP flags, made.
//
// A direction with one range goes into the protocol's own match, which is
// cheapest; several ranges need multiport.
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
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
  if (places == 0 || places > XT_MULTI_PORTS) {
    return NotExpressible(
        absl::StrCat("a rule takes 1 to ", XT_MULTI_PORTS,
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

void AppendMultiport(xt_multiport_flags direction,
                     const Negatable<Ports>& ports, MatchWriter& out) {
  xt_multiport_v1 multiport{};
  multiport.flags = direction;
  multiport.invert = ports.negated ? 1 : 0;
  for (const PortRange& range : ports.value) {
    multiport.pflags[multiport.count] = range.first != range.last ? 1 : 0;
    multiport.ports[multiport.count++] = range.first;
    if (range.first != range.last) {
      multiport.ports[multiport.count++] = range.last;
    }
  }
  out.Append("multiport", 1, multiport);
}

// The conditions that go into the protocol's own match.
struct NativeConditions {
  const Negatable<Ports>* source = nullptr;
  const Negatable<Ports>* destination = nullptr;
  const Negatable<TcpFlags>* tcp_flags = nullptr;
};

void FillRange(const Negatable<Ports>* ports, __u16 (&bounds)[2]) {
  const PortRange range = ports == nullptr ? kAnyPort : ports->value[0];
  bounds[0] = range.first;
  bounds[1] = range.last;
}

bool IsNegated(const Negatable<Ports>* ports) {
  return ports != nullptr && ports->negated;
}

void AppendTcp(const NativeConditions& conditions, MatchWriter& out) {
  xt_tcp tcp{};
  FillRange(conditions.source, tcp.spts);
  FillRange(conditions.destination, tcp.dpts);
  if (IsNegated(conditions.source)) tcp.invflags |= XT_TCP_INV_SRCPT;
  if (IsNegated(conditions.destination)) tcp.invflags |= XT_TCP_INV_DSTPT;
  if (const auto* flags = conditions.tcp_flags; flags != nullptr) {
    tcp.flg_mask = flags->value.mask;
    tcp.flg_cmp = flags->value.set;
    if (flags->negated) tcp.invflags |= XT_TCP_INV_FLAGS;
  }
  out.Append("tcp", 0, tcp);
}

void AppendUdp(const NativeConditions& conditions, MatchWriter& out) {
  xt_udp udp{};
  FillRange(conditions.source, udp.spts);
  FillRange(conditions.destination, udp.dpts);
  if (IsNegated(conditions.source)) udp.invflags |= XT_UDP_INV_SRCPT;
  if (IsNegated(conditions.destination)) udp.invflags |= XT_UDP_INV_DSTPT;
  out.Append("udp", 0, udp);
}

template <typename Info>
void FillFlagged(const NativeConditions& conditions, Info& info) {
  if (conditions.source != nullptr) {
    FillRange(conditions.source, info.spts);
    info.flags |= XT_SCTP_SRC_PORTS;
    if (IsNegated(conditions.source)) info.invflags |= XT_SCTP_SRC_PORTS;
  }
  if (conditions.destination != nullptr) {
    FillRange(conditions.destination, info.dpts);
    info.flags |= XT_SCTP_DEST_PORTS;
    if (IsNegated(conditions.destination)) info.invflags |= XT_SCTP_DEST_PORTS;
  }
}

void AppendSctp(const NativeConditions& conditions, MatchWriter& out) {
  xt_sctp_info sctp{};
  // Unused, but iptables compares bytes when it looks for a rule to delete.
  for (xt_sctp_flag_info& flags : sctp.flag_info) flags.chunktype = 0xff;
  FillFlagged(conditions, sctp);
  out.Append("sctp", 0, sctp);
}

void AppendDccp(const NativeConditions& conditions, MatchWriter& out) {
  xt_dccp_info dccp{};
  FillFlagged(conditions, dccp);
  out.Append("dccp", 0, dccp);
}

void AppendNative(uint8_t protocol, const NativeConditions& conditions,
                  MatchWriter& out) {
  switch (protocol) {
    case IPPROTO_TCP:
      return AppendTcp(conditions, out);
    case IPPROTO_UDP:
      return AppendUdp(conditions, out);
    case IPPROTO_SCTP:
      return AppendSctp(conditions, out);
    case IPPROTO_DCCP:
      return AppendDccp(conditions, out);
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
  if (absl::Status status = CheckPorts(source); !status.ok()) return status;
  if (absl::Status status = CheckPorts(destination); !status.ok()) {
    return status;
  }
  if (match.tcp_flags.has_value()) {
    if (context.protocol != IPPROTO_TCP) {
      return NotExpressible("TCP flags need the protocol tcp");
    }
    if (match.tcp_flags->value.mask == 0 && !match.tcp_flags->negated) {
      return NotExpressible("TCP flags need a mask of flags to look at");
    }
  }

  NativeConditions native;
  if (IsNative(context.protocol, source)) native.source = &*source;
  if (IsNative(context.protocol, destination)) {
    native.destination = &*destination;
  }
  if (match.tcp_flags.has_value()) native.tcp_flags = &*match.tcp_flags;
  if (native.source != nullptr || native.destination != nullptr ||
      native.tcp_flags != nullptr) {
    AppendNative(context.protocol, native, out);
  }
  if (source.has_value() && native.source == nullptr) {
    AppendMultiport(XT_MULTIPORT_SOURCE, *source, out);
  }
  if (destination.has_value() && native.destination == nullptr) {
    AppendMultiport(XT_MULTIPORT_DESTINATION, *destination, out);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
