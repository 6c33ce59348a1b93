// SPDX-License-Identifier: GPL-3.0-or-later
// tcp and udp: ports and TCP flags.
#include <linux/netfilter/xt_tcpudp.h>
#include <string.h>

#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// Both have the same members for ports, and number their flags alike.
static_assert(XT_TCP_INV_SRCPT == XT_UDP_INV_SRCPT &&
              XT_TCP_INV_DSTPT == XT_UDP_INV_DSTPT);

template <typename Info>
void PrintPortRanges(const Info& info, std::string& text) {
  if (RangeOf(info.spts) != kAnyPort) {
    PrintPorts("--sport", RangeOf(info.spts), info.invflags & XT_TCP_INV_SRCPT,
               text);
  }
  if (RangeOf(info.dpts) != kAnyPort) {
    PrintPorts("--dport", RangeOf(info.dpts), info.invflags & XT_TCP_INV_DSTPT,
               text);
  }
}

// Sets a condition on ports, unless it is that of all ports.
bool SetPorts(PortRange range, bool negated,
              std::optional<Negatable<Ports>>& field) {
  if (range == kAnyPort && !negated) return true;
  return SetOnce(field, Ports{range}, negated);
}

template <typename Info>
bool DecodePortRanges(const Info& info, RuleMatch& match) {
  const bool source = SetPorts(
      RangeOf(info.spts), info.invflags & XT_TCP_INV_SRCPT, match.source_ports);
  return SetPorts(RangeOf(info.dpts), info.invflags & XT_TCP_INV_DSTPT,
                  match.destination_ports) &&
         source;
}

template <typename Info>
void FillPortRanges(const NativePorts& ports, Info& info) {
  FillRange(ports.source, info.spts);
  FillRange(ports.destination, info.dpts);
  if (IsNegated(ports.source)) info.invflags |= XT_TCP_INV_SRCPT;
  if (IsNegated(ports.destination)) info.invflags |= XT_TCP_INV_DSTPT;
}

void AppendTcpFlagNames(uint8_t flags, std::string& text) {
  static constexpr absl::string_view kNames[] = {"FIN", "SYN", "RST",
                                                 "PSH", "ACK", "URG"};
  AppendBits(flags, kNames, "", text);
  if (flags == 0) text.append("NONE");
}

void PrintTcp(const MatchContext&, const xt_tcp& tcp, std::string& text) {
  PrintPortRanges(tcp, text);
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
  bool complete = DecodePortRanges(tcp, out.match);
  if (tcp.flg_mask != 0 || (tcp.invflags & XT_TCP_INV_FLAGS) != 0) {
    complete &= SetOnce(out.match.tcp_flags,
                        TcpFlags{.mask = tcp.flg_mask, .set = tcp.flg_cmp},
                        tcp.invflags & XT_TCP_INV_FLAGS);
  }
  return complete && tcp.option == 0 && (tcp.invflags & XT_TCP_INV_OPTION) == 0;
}

void PrintUdp(const MatchContext&, const xt_udp& udp, std::string& text) {
  PrintPortRanges(udp, text);
}

bool DecodeUdp(const MatchContext&, const xt_udp& udp, DecodedEntry& out) {
  return DecodePortRanges(udp, out.match);
}

}  // namespace

absl::Span<const ExtensionKind> TcpMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintTcp, DecodeTcp>("tcp", 0),
      KnownKind<PrintUdp, DecodeUdp>("udp", 0),
  };
  return kKinds;
}

void AppendTcp(const NativePorts& ports, const Negatable<TcpFlags>* tcp_flags,
               MatchWriter& out) {
  xt_tcp tcp{};
  FillPortRanges(ports, tcp);
  if (tcp_flags != nullptr) {
    tcp.flg_mask = tcp_flags->value.mask;
    tcp.flg_cmp = tcp_flags->value.set;
    if (tcp_flags->negated) tcp.invflags |= XT_TCP_INV_FLAGS;
  }
  out.Append("tcp", 0, tcp);
}

void AppendUdp(const NativePorts& ports, MatchWriter& out) {
  // Its last byte has no name, and iptables compares all when it looks for a
  // rule to delete.
  xt_udp udp;
  memset(&udp, 0, sizeof(udp));
  FillPortRanges(ports, udp);
  out.Append("udp", 0, udp);
}

}  // namespace nfmeter::kernel
