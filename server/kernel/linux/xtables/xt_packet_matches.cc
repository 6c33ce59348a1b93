// SPDX-License-Identifier: GPL-3.0-or-later
// mark, dscp, pkttype and addrtype: properties of the packet itself.
#include <linux/if_packet.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_dscp.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_pkttype.h>

#include <array>
#include <bit>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// mark

void PrintMark(const MatchContext&, const xt_mark_mtinfo1& mark,
               std::string& text) {
  AppendNegation(mark.invert != 0, text);
  text.append(" --mark");
  AppendMark(mark.mark, mark.mask, text);
}

bool DecodeMark(const MatchContext&, const xt_mark_mtinfo1& mark,
                DecodedEntry& out) {
  return SetOnce(out.match.mark, Mark{.value = mark.mark, .mask = mark.mask},
                 mark.invert != 0);
}

// dscp

void PrintDscp(const MatchContext&, const xt_dscp_info& dscp,
               std::string& text) {
  AppendNegation(dscp.invert != 0, text);
  absl::StrAppendFormat(&text, " --dscp 0x%02x", dscp.dscp);
}

bool DecodeDscp(const MatchContext&, const xt_dscp_info& dscp,
                DecodedEntry& out) {
  return SetOnce(out.match.dscp, dscp.dscp, dscp.invert != 0);
}

// pkttype

static_assert(PACKET_HOST == static_cast<int>(PacketType::kUnicast) &&
              PACKET_BROADCAST == static_cast<int>(PacketType::kBroadcast) &&
              PACKET_MULTICAST == static_cast<int>(PacketType::kMulticast) &&
              PACKET_OTHERHOST == PACKET_MULTICAST + 1);

void PrintPacketType(const MatchContext&, const xt_pkttype_info& info,
                     std::string& text) {
  static constexpr absl::string_view kNames[] = {"unicast", "broadcast",
                                                 "multicast", "otherhost"};
  AppendNegation(info.invert != 0, text);
  text.append(" --pkt-type ");
  if (info.pkttype >= PACKET_HOST && info.pkttype <= PACKET_OTHERHOST) {
    absl::StrAppend(&text, kNames[info.pkttype]);
  } else {
    absl::StrAppend(&text, info.pkttype);
  }
}

bool DecodePacketType(const MatchContext&, const xt_pkttype_info& info,
                      DecodedEntry& out) {
  return info.pkttype >= PACKET_HOST && info.pkttype <= PACKET_MULTICAST &&
         SetOnce(out.match.packet_type, PacketType{info.pkttype},
                 info.invert != 0);
}

// addrtype

static_assert(int{kAddrUnspec} == int{XT_ADDRTYPE_UNSPEC} &&
              int{kAddrUnicast} == int{XT_ADDRTYPE_UNICAST} &&
              int{kAddrLocal} == int{XT_ADDRTYPE_LOCAL} &&
              int{kAddrBroadcast} == int{XT_ADDRTYPE_BROADCAST} &&
              int{kAddrAnycast} == int{XT_ADDRTYPE_ANYCAST} &&
              int{kAddrMulticast} == int{XT_ADDRTYPE_MULTICAST} &&
              int{kAddrBlackhole} == int{XT_ADDRTYPE_BLACKHOLE} &&
              int{kAddrUnreachable} == int{XT_ADDRTYPE_UNREACHABLE} &&
              int{kAddrProhibit} == int{XT_ADDRTYPE_PROHIBIT});
constexpr uint16_t kKnownAddressTypes = (kAddrProhibit << 1) - 1;

void AppendAddressTypes(uint16_t types, std::string& text) {
  static constexpr absl::string_view kNames[] = {
      "UNSPEC",   "UNICAST",   "LOCAL",     "BROADCAST",
      "ANYCAST",  "MULTICAST", "BLACKHOLE", "UNREACHABLE",
      "PROHIBIT", "THROW",     "NAT",       "XRESOLVE"};
  AppendBits(types, kNames, "", text);
}

void PrintAddressTypes(const MatchContext&, const xt_addrtype_info_v1& info,
                       std::string& text) {
  if (info.source != 0) {
    AppendNegation(info.flags & XT_ADDRTYPE_INVERT_SOURCE, text);
    text.append(" --src-type ");
    AppendAddressTypes(info.source, text);
  }
  if (info.dest != 0) {
    AppendNegation(info.flags & XT_ADDRTYPE_INVERT_DEST, text);
    text.append(" --dst-type ");
    AppendAddressTypes(info.dest, text);
  }
  if ((info.flags & XT_ADDRTYPE_LIMIT_IFACE_IN) != 0) {
    text.append(" --limit-iface-in");
  }
  if ((info.flags & XT_ADDRTYPE_LIMIT_IFACE_OUT) != 0) {
    text.append(" --limit-iface-out");
  }
}

bool DecodeAddressTypes(const MatchContext&, const xt_addrtype_info_v1& info,
                        DecodedEntry& out) {
  // A limit to one interface gives the types another meaning.
  if ((info.flags & ~(XT_ADDRTYPE_INVERT_SOURCE | XT_ADDRTYPE_INVERT_DEST)) !=
      0) {
    return false;
  }
  bool complete = true;
  if (info.source != 0) {
    complete &= (info.source & ~kKnownAddressTypes) == 0 &&
                SetOnce(out.match.source_address_types, uint16_t{info.source},
                        info.flags & XT_ADDRTYPE_INVERT_SOURCE);
  }
  if (info.dest != 0) {
    complete &=
        (info.dest & ~kKnownAddressTypes) == 0 &&
        SetOnce(out.match.destination_address_types, uint16_t{info.dest},
                info.flags & XT_ADDRTYPE_INVERT_DEST);
  }
  return complete;
}

// What addrtype_mt_checkentry_v1 of xt_addrtype.c refuses.
constexpr uint16_t kNotInIpv6 = kAddrBroadcast | kAddrBlackhole | kAddrProhibit;
// What match_type6() there asks the routing for: any of these. Of the others
// an address has to be all that are asked for.
constexpr uint16_t kRoutedInIpv6 = kAddrLocal | kAddrAnycast | kAddrUnreachable;

absl::Status CheckIpv6AddressTypes(uint16_t types, absl::string_view field) {
  if ((types & kNotInIpv6) != 0) {
    return NotExpressible(
        "the address types broadcast, blackhole and prohibit are of IPv4 only",
        field);
  }
  if (std::popcount(types) > 1 && (types & ~kRoutedInIpv6) != 0) {
    return NotExpressible(
        "iptables, by which this node counts, can't ask for any of several "
        "types of IPv6 addresses, but of LOCAL, ANYCAST and UNREACHABLE; use "
        "one type a rule",
        field);
  }
  return absl::OkStatus();
}

absl::Status AppendAddressTypeMatch(const MatchContext& context,
                                    const RuleMatch& match, MatchWriter& out) {
  const auto& source = match.source_address_types;
  const auto& destination = match.destination_address_types;
  if (!source.has_value() && !destination.has_value()) return absl::OkStatus();
  if ((source.has_value() && source->value == 0) ||
      (destination.has_value() && destination->value == 0)) {
    return NotExpressible("a condition on address types needs one type");
  }
  xt_addrtype_info_v1 info{};
  if (source.has_value()) {
    info.source = source->value;
    if (source->negated) info.flags |= XT_ADDRTYPE_INVERT_SOURCE;
  }
  if (destination.has_value()) {
    info.dest = destination->value;
    if (destination->negated) info.flags |= XT_ADDRTYPE_INVERT_DEST;
  }
  if (context.family == Family::kIpv6) {
    NFM_RETURN_IF_ERROR(
        CheckIpv6AddressTypes(info.source, "match.source_address_types"));
    NFM_RETURN_IF_ERROR(
        CheckIpv6AddressTypes(info.dest, "match.destination_address_types"));
  }
  out.Append("addrtype", 1, info);
  return absl::OkStatus();
}

}  // namespace

absl::Span<const ExtensionKind> PacketMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintMark, DecodeMark>("mark", 1),
      KnownKind<PrintDscp, DecodeDscp>("dscp", 0),
      KnownKind<PrintPacketType, DecodePacketType>("pkttype", 0),
      KnownKind<PrintAddressTypes, DecodeAddressTypes>("addrtype", 1),
  };
  return kKinds;
}

absl::Status AppendPacketMatches(const MatchContext& context,
                                 const RuleMatch& match, MatchWriter& out) {
  if (match.mark.has_value()) {
    xt_mark_mtinfo1 mark{};
    mark.mark = match.mark->value.value;
    mark.mask = match.mark->value.mask;
    mark.invert = match.mark->negated ? 1 : 0;
    out.Append("mark", 1, mark);
  }
  if (match.dscp.has_value()) {
    if (match.dscp->value > XT_DSCP_MAX) {
      return NotExpressible("a DSCP is at most 63");
    }
    xt_dscp_info dscp{};
    dscp.dscp = match.dscp->value;
    dscp.invert = match.dscp->negated ? 1 : 0;
    out.Append("dscp", 0, dscp);
  }
  if (match.packet_type.has_value()) {
    xt_pkttype_info info{};
    info.pkttype = static_cast<int>(match.packet_type->value);
    info.invert = match.packet_type->negated ? 1 : 0;
    out.Append("pkttype", 0, info);
  }
  return AppendAddressTypeMatch(context, match, out);
}

}  // namespace nfmeter::kernel
