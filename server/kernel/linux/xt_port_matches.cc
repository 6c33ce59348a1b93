// tcp, udp, sctp, dccp and multiport: ports and TCP flags.
//
// A direction with one range goes into the protocol's own match, which is
// cheapest; several ranges need multiport.
// The C library's header must come before the kernel's, which then leaves out
// what it has defined.
#include <linux/dccp.h>
#include <linux/netfilter/xt_dccp.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <netinet/in.h>
// The header has a function that returns C's _Bool, and a macro `bytes`.
#define _Bool bool
#include <linux/netfilter/xt_sctp.h>
#undef _Bool
#undef bytes

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xt_match.h"
#include "kernel/linux/xt_text.h"

namespace nfmeter::kernel {
namespace {

using Ports = std::vector<PortRange>;

constexpr PortRange kAnyPort = {0, 0xffff};

PortRange RangeOf(const __u16 (&bounds)[2]) { return {bounds[0], bounds[1]}; }

void PrintPorts(const char* option, PortRange range, bool negated,
                std::string& text) {
  AppendNegation(negated, text);
  absl::StrAppend(&text, " ", option, " ");
  AppendRange(range.first, range.last, text);
}

// A condition on ports that is there if it says anything.
bool SetPorts(PortRange range, bool negated,
              std::optional<Negatable<Ports>>& field) {
  if (range == kAnyPort && !negated) return true;
  return SetOnce(field, Ports{range}, negated);
}

// tcp

void AppendTcpFlagNames(uint8_t flags, std::string& text) {
  static constexpr absl::string_view kNames[] = {"FIN", "SYN", "RST",
                                                 "PSH", "ACK", "URG"};
  absl::string_view separator = "";
  for (int bit = 0; bit < 6; ++bit) {
    if ((flags & (1 << bit)) == 0) continue;
    absl::StrAppend(&text, separator, kNames[bit]);
    separator = ",";
  }
  if (flags == 0) text.append("NONE");
}

void PrintTcp(const MatchContext&, const xt_tcp& tcp, std::string& text) {
  if (RangeOf(tcp.spts) != kAnyPort) {
    PrintPorts("--sport", RangeOf(tcp.spts), tcp.invflags & XT_TCP_INV_SRCPT,
               text);
  }
  if (RangeOf(tcp.dpts) != kAnyPort) {
    PrintPorts("--dport", RangeOf(tcp.dpts), tcp.invflags & XT_TCP_INV_DSTPT,
               text);
  }
  if (tcp.option != 0 || (tcp.invflags & XT_TCP_INV_OPTION) != 0) {
    AppendNegation(tcp.invflags & XT_TCP_INV_OPTION, text);
    absl::StrAppend(&text, " --tcp-option ", tcp.option);
  }
  if (tcp.flg_mask != 0 || (tcp.invflags & XT_TCP_INV_FLAGS) != 0) {
    AppendNegation(tcp.invflags & XT_TCP_INV_FLAGS, text);
    text.append(" --tcp-flags ");
    AppendTcpFlagNames(tcp.flg_mask, text);
    text.push_back(' ');
    AppendTcpFlagNames(tcp.flg_cmp, text);
  }
}

bool DecodeTcp(const MatchContext&, const xt_tcp& tcp, DecodedEntry& out) {
  bool complete = SetPorts(RangeOf(tcp.spts), tcp.invflags & XT_TCP_INV_SRCPT,
                           out.match.source_ports);
  complete &= SetPorts(RangeOf(tcp.dpts), tcp.invflags & XT_TCP_INV_DSTPT,
                       out.match.destination_ports);
  if (tcp.flg_mask != 0 || (tcp.invflags & XT_TCP_INV_FLAGS) != 0) {
    complete &= SetOnce(out.match.tcp_flags,
                        TcpFlags{.mask = tcp.flg_mask, .set = tcp.flg_cmp},
                        tcp.invflags & XT_TCP_INV_FLAGS);
  }
  return complete && tcp.option == 0 && (tcp.invflags & XT_TCP_INV_OPTION) == 0;
}

// udp

void PrintUdp(const MatchContext&, const xt_udp& udp, std::string& text) {
  if (RangeOf(udp.spts) != kAnyPort) {
    PrintPorts("--sport", RangeOf(udp.spts), udp.invflags & XT_UDP_INV_SRCPT,
               text);
  }
  if (RangeOf(udp.dpts) != kAnyPort) {
    PrintPorts("--dport", RangeOf(udp.dpts), udp.invflags & XT_UDP_INV_DSTPT,
               text);
  }
}

bool DecodeUdp(const MatchContext&, const xt_udp& udp, DecodedEntry& out) {
  const bool complete =
      SetPorts(RangeOf(udp.spts), udp.invflags & XT_UDP_INV_SRCPT,
               out.match.source_ports);
  return SetPorts(RangeOf(udp.dpts), udp.invflags & XT_UDP_INV_DSTPT,
                  out.match.destination_ports) &&
         complete;
}

// sctp and dccp say by flags which of their conditions hold. Their flags for
// ports are the same.
static_assert(XT_SCTP_SRC_PORTS == XT_DCCP_SRC_PORTS &&
              XT_SCTP_DEST_PORTS == XT_DCCP_DEST_PORTS);

template <typename Info>
void PrintFlaggedPorts(const Info& info, std::string& text) {
  if ((info.flags & XT_SCTP_SRC_PORTS) != 0) {
    PrintPorts("--sport", RangeOf(info.spts), info.invflags & XT_SCTP_SRC_PORTS,
               text);
  }
  if ((info.flags & XT_SCTP_DEST_PORTS) != 0) {
    PrintPorts("--dport", RangeOf(info.dpts),
               info.invflags & XT_SCTP_DEST_PORTS, text);
  }
}

template <typename Info>
bool DecodeFlaggedPorts(const Info& info, RuleMatch& match) {
  bool complete = true;
  if ((info.flags & XT_SCTP_SRC_PORTS) != 0) {
    complete &= SetOnce(match.source_ports, Ports{RangeOf(info.spts)},
                        info.invflags & XT_SCTP_SRC_PORTS);
  }
  if ((info.flags & XT_SCTP_DEST_PORTS) != 0) {
    complete &= SetOnce(match.destination_ports, Ports{RangeOf(info.dpts)},
                        info.invflags & XT_SCTP_DEST_PORTS);
  }
  return complete;
}

struct SctpChunkName {
  uint8_t type;
  absl::string_view name;
  absl::string_view flags;  // bits 7 to 0
};

constexpr SctpChunkName kSctpChunks[] = {
    {0, "DATA", "----IUBE"},
    {1, "INIT", "--------"},
    {2, "INIT_ACK", "--------"},
    {3, "SACK", "--------"},
    {4, "HEARTBEAT", "--------"},
    {5, "HEARTBEAT_ACK", "--------"},
    {6, "ABORT", "-------T"},
    {7, "SHUTDOWN", "--------"},
    {8, "SHUTDOWN_ACK", "--------"},
    {9, "ERROR", "--------"},
    {10, "COOKIE_ECHO", "--------"},
    {11, "COOKIE_ACK", "--------"},
    {12, "ECN_ECNE", "--------"},
    {13, "ECN_CWR", "--------"},
    {14, "SHUTDOWN_COMPLETE", "-------T"},
    {64, "I_DATA", "----IUBE"},
    {128, "ASCONF_ACK", "--------"},
    {130, "RE_CONFIG", "--------"},
    {132, "PAD", "--------"},
    {192, "FORWARD_TSN", "--------"},
    {193, "ASCONF", "--------"},
    {194, "I_FORWARD_TSN", "--------"},
};

void PrintSctpChunks(const xt_sctp_info& sctp, std::string& text) {
  AppendNegation(sctp.invflags & XT_SCTP_CHUNK_TYPES, text);
  text.append(" --chunk-types");
  text.append(sctp.chunk_match_type == SCTP_CHUNK_MATCH_ANY   ? " any"
              : sctp.chunk_match_type == SCTP_CHUNK_MATCH_ALL ? " all"
                                                              : " only");
  const auto equals = [&sctp](uint32_t word) {
    return std::all_of(std::begin(sctp.chunkmap), std::end(sctp.chunkmap),
                       [word](uint32_t w) { return w == word; });
  };
  if (equals(0)) {
    text.append(" NONE");
    return;
  }
  if (equals(~uint32_t{0})) {
    text.append(" ALL");
    return;
  }
  const int flag_count =
      std::clamp(sctp.flag_count, 0, static_cast<int>(XT_NUM_SCTP_FLAGS));
  absl::string_view separator = " ";
  for (const SctpChunkName& chunk : kSctpChunks) {
    if ((sctp.chunkmap[chunk.type / 32] & (1u << (chunk.type % 32))) == 0) {
      continue;
    }
    absl::StrAppend(&text, separator, chunk.name);
    separator = ",";
    for (int i = 0; i < flag_count; ++i) {
      const xt_sctp_flag_info& flags = sctp.flag_info[i];
      if (flags.chunktype != chunk.type || flags.flag_mask == 0) continue;
      text.push_back(':');
      for (int bit = 7; bit >= 0; --bit) {
        if ((flags.flag_mask & (1 << bit)) == 0) continue;
        const char letter = chunk.flags[7 - bit];
        const bool set = (flags.flag & (1 << bit)) != 0;
        text.push_back(set || letter == '-' ? letter
                                            : static_cast<char>(letter | 0x20));
      }
    }
  }
}

void PrintSctp(const MatchContext&, const xt_sctp_info& sctp,
               std::string& text) {
  PrintFlaggedPorts(sctp, text);
  if ((sctp.flags & XT_SCTP_CHUNK_TYPES) != 0) PrintSctpChunks(sctp, text);
}

bool DecodeSctp(const MatchContext&, const xt_sctp_info& sctp,
                DecodedEntry& out) {
  return DecodeFlaggedPorts(sctp, out.match) &&
         (sctp.flags & XT_SCTP_CHUNK_TYPES) == 0;
}

void PrintDccp(const MatchContext&, const xt_dccp_info& dccp,
               std::string& text) {
  static constexpr absl::string_view kTypes[] = {
      "REQUEST", "RESPONSE", "DATA", "ACK",     "DATAACK", "CLOSEREQ",
      "CLOSE",   "RESET",    "SYNC", "SYNCACK", "INVALID"};
  PrintFlaggedPorts(dccp, text);
  if ((dccp.flags & XT_DCCP_TYPE) != 0) {
    AppendNegation(dccp.invflags & XT_DCCP_TYPE, text);
    text.append(" --dccp-types ");
    absl::string_view separator = "";
    for (size_t type = 0; type < std::size(kTypes); ++type) {
      if ((dccp.typemask & (1 << type)) == 0) continue;
      absl::StrAppend(&text, separator, kTypes[type]);
      separator = ",";
    }
  }
  if ((dccp.flags & XT_DCCP_OPTION) != 0) {
    AppendNegation(dccp.invflags & XT_DCCP_OPTION, text);
    absl::StrAppend(&text, " --dccp-option ", dccp.option);
  }
}

bool DecodeDccp(const MatchContext&, const xt_dccp_info& dccp,
                DecodedEntry& out) {
  return DecodeFlaggedPorts(dccp, out.match) &&
         (dccp.flags & (XT_DCCP_TYPE | XT_DCCP_OPTION)) == 0;
}

// multiport

// The ranges, or nullopt when the places are not used as the kernel reads them.
std::optional<Ports> RangesOf(const xt_multiport_v1& multiport) {
  if (multiport.count == 0 || multiport.count > XT_MULTI_PORTS) {
    return std::nullopt;
  }
  Ports ranges;
  for (int i = 0; i < multiport.count; ++i) {
    PortRange range = {multiport.ports[i], multiport.ports[i]};
    if (multiport.pflags[i] != 0) {
      if (++i == multiport.count) return std::nullopt;
      range.last = multiport.ports[i];
    }
    ranges.push_back(range);
  }
  return ranges;
}

void PrintMultiport(const MatchContext&, const xt_multiport_v1& multiport,
                    std::string& text) {
  AppendNegation(multiport.invert != 0, text);
  text.append(multiport.flags == XT_MULTIPORT_SOURCE        ? " --sports "
              : multiport.flags == XT_MULTIPORT_DESTINATION ? " --dports "
                                                            : " --ports ");
  const std::optional<Ports> ranges = RangesOf(multiport);
  if (!ranges.has_value()) {
    text.append("[malformed]");
    return;
  }
  absl::string_view separator = "";
  for (size_t i = 0; i < ranges->size(); ++i) {
    absl::StrAppend(&text, separator);
    AppendRange((*ranges)[i].first, (*ranges)[i].last, text);
    separator = ",";
  }
}

bool DecodeMultiport(const MatchContext&, const xt_multiport_v1& multiport,
                     DecodedEntry& out) {
  std::optional<Ports> ranges = RangesOf(multiport);
  if (!ranges.has_value()) return false;
  switch (multiport.flags) {
    case XT_MULTIPORT_SOURCE:
      return SetOnce(out.match.source_ports, *std::move(ranges),
                     multiport.invert != 0);
    case XT_MULTIPORT_DESTINATION:
      return SetOnce(out.match.destination_ports, *std::move(ranges),
                     multiport.invert != 0);
    default:
      return false;
  }
}

constexpr std::array kKinds = {
    KnownKind<PrintTcp, DecodeTcp>("tcp", 0),
    KnownKind<PrintUdp, DecodeUdp>("udp", 0),
    KnownKind<PrintSctp, DecodeSctp>("sctp", 0),
    KnownKind<PrintDccp, DecodeDccp>("dccp", 0),
    KnownKind<PrintMultiport, DecodeMultiport>("multiport", 1),
};

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

bool HasPorts(uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
         protocol == IPPROTO_UDPLITE || protocol == IPPROTO_SCTP ||
         protocol == IPPROTO_DCCP;
}

}  // namespace

absl::Span<const MatchKind> PortMatchKinds() { return kKinds; }

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
