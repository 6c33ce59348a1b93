// SPDX-License-Identifier: GPL-3.0-or-later
// tcp and udp: ports and TCP flags.
#include <linux/netfilter/xt_tcpudp.h>

#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_ports.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// Sets a condition on ports, unless it is that of all ports.
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

}  // namespace

absl::Span<const MatchKind> TcpMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintTcp, DecodeTcp>("tcp", 0),
      KnownKind<PrintUdp, DecodeUdp>("udp", 0),
  };
  return kKinds;
}

void AppendTcp(const NativePorts& ports, const Negatable<TcpFlags>* tcp_flags,
               MatchWriter& out) {
  xt_tcp tcp{};
  FillRange(ports.source, tcp.spts);
  FillRange(ports.destination, tcp.dpts);
  if (IsNegated(ports.source)) tcp.invflags |= XT_TCP_INV_SRCPT;
  if (IsNegated(ports.destination)) tcp.invflags |= XT_TCP_INV_DSTPT;
  if (tcp_flags != nullptr) {
    tcp.flg_mask = tcp_flags->value.mask;
    tcp.flg_cmp = tcp_flags->value.set;
    if (tcp_flags->negated) tcp.invflags |= XT_TCP_INV_FLAGS;
  }
  out.Append("tcp", 0, tcp);
}

void AppendUdp(const NativePorts& ports, MatchWriter& out) {
  xt_udp udp{};
  FillRange(ports.source, udp.spts);
  FillRange(ports.destination, udp.dpts);
  if (IsNegated(ports.source)) udp.invflags |= XT_UDP_INV_SRCPT;
  if (IsNegated(ports.destination)) udp.invflags |= XT_UDP_INV_DSTPT;
  out.Append("udp", 0, udp);
}

}  // namespace nfmeter::kernel
