// tcp, udp, sctp, dccp and multiport: ports and TCP flags, read and printed.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

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

}  // namespace

absl::Span<const MatchKind> PortMatchKinds() { return kKinds; }

}  // namespace nfmeter::kernel
