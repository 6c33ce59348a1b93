// SPDX-License-Identifier: GPL-3.0-or-later
// sctp and dccp: ports, and what others may say of chunks and packet types.
#include <linux/dccp.h>
#include <linux/netfilter/xt_dccp.h>
// The header has a function that returns C's _Bool, and a macro `bytes`.
#define _Bool bool
#include <linux/netfilter/xt_sctp.h>
#undef _Bool
#undef bytes

#include <algorithm>
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// Both say by flags which of their conditions hold. Their flags for ports are
// the same.
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
    AppendBits(dccp.typemask, kTypes, "", text);
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

template <typename Info>
void FillFlagged(const NativePorts& ports, Info& info) {
  if (ports.source != nullptr) {
    FillRange(ports.source, info.spts);
    info.flags |= XT_SCTP_SRC_PORTS;
    if (IsNegated(ports.source)) info.invflags |= XT_SCTP_SRC_PORTS;
  }
  if (ports.destination != nullptr) {
    FillRange(ports.destination, info.dpts);
    info.flags |= XT_SCTP_DEST_PORTS;
    if (IsNegated(ports.destination)) info.invflags |= XT_SCTP_DEST_PORTS;
  }
}

}  // namespace

absl::Span<const ExtensionKind> SctpMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintSctp, DecodeSctp>("sctp", 0),
      KnownKind<PrintDccp, DecodeDccp>("dccp", 0),
  };
  return kKinds;
}

void AppendSctp(const NativePorts& ports, MatchWriter& out) {
  xt_sctp_info sctp{};
  // Unused, but iptables compares bytes when it looks for a rule to delete.
  for (xt_sctp_flag_info& flags : sctp.flag_info) flags.chunktype = 0xff;
  FillFlagged(ports, sctp);
  out.Append("sctp", 0, sctp);
}

void AppendDccp(const NativePorts& ports, MatchWriter& out) {
  xt_dccp_info dccp{};
  FillFlagged(ports, dccp);
  out.Append("dccp", 0, dccp);
}

}  // namespace nfmeter::kernel
