// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_ip_part.h"

#include <string.h>

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// The two families number these flags alike (ip_tables.h, ip6_tables.h).
static_assert(IPT_INV_VIA_IN == IP6T_INV_VIA_IN &&
              IPT_INV_VIA_OUT == IP6T_INV_VIA_OUT &&
              IPT_INV_SRCIP == IP6T_INV_SRCIP &&
              IPT_INV_DSTIP == IP6T_INV_DSTIP &&
              IPT_INV_PROTO == IP6T_INV_PROTO);

Family FamilyOf(const ipt_ip&) { return Family::kIpv4; }
Family FamilyOf(const ip6t_ip6&) { return Family::kIpv6; }

template <typename Address>
absl::Status EncodeAddress(const std::optional<Negatable<IpPrefix>>& prefix,
                           Family family, uint8_t inverse, Address& address,
                           Address& mask, uint8_t& inverse_flags) {
  if (!prefix.has_value()) return absl::OkStatus();
  if (prefix->value.family != family) {
    return NotExpressible(absl::StrCat(
        "the address ", FormatIpPrefix(prefix->value), " is not of family ",
        FamilyName(family), ", which the rule is for"));
  }
  memcpy(&address, prefix->value.address.data(), sizeof(address));
  memcpy(&mask, prefix->value.mask.data(), sizeof(mask));
  if (prefix->negated) inverse_flags |= inverse;
  return absl::OkStatus();
}

// The mask covers the final NUL, unless a '+' stands for any rest.
absl::Status EncodeInterface(
    const std::optional<Negatable<std::string>>& interface, uint8_t inverse,
    char (&name)[IFNAMSIZ], unsigned char (&mask)[IFNAMSIZ],
    uint8_t& inverse_flags) {
  if (!interface.has_value()) return absl::OkStatus();
  const std::string& text = interface->value;
  if (text.empty() || text.size() >= IFNAMSIZ ||
      text.find('\0') != std::string::npos) {
    return NotExpressible(absl::StrCat("an interface's name has 1 to ",
                                       IFNAMSIZ - 1, " bytes and no NUL"));
  }
  // Every interface is no condition: iptables-save prints nothing of it, so
  // nothing is what a rule has that was restored.
  if (text == "+" && !interface->negated) return absl::OkStatus();
  memcpy(name, text.data(), text.size());
  const size_t covered = text.back() == '+' ? text.size() - 1 : text.size() + 1;
  memset(mask, 0xff, covered);
  if (interface->negated) inverse_flags |= inverse;
  return absl::OkStatus();
}

template <typename Ip>
absl::Status EncodeCommon(const RuleMatch& match, Ip& ip) {
  const Family family = FamilyOf(ip);
  NFM_RETURN_IF_ERROR(EncodeAddress(match.source, family, IPT_INV_SRCIP, ip.src,
                                    ip.smsk, ip.invflags));
  NFM_RETURN_IF_ERROR(EncodeAddress(match.destination, family, IPT_INV_DSTIP,
                                    ip.dst, ip.dmsk, ip.invflags));
  NFM_RETURN_IF_ERROR(EncodeInterface(match.in_interface, IPT_INV_VIA_IN,
                                      ip.iniface, ip.iniface_mask,
                                      ip.invflags));
  NFM_RETURN_IF_ERROR(EncodeInterface(match.out_interface, IPT_INV_VIA_OUT,
                                      ip.outiface, ip.outiface_mask,
                                      ip.invflags));
  if (!match.protocol.has_value()) return absl::OkStatus();
  if (match.protocol->value == 0) {
    return NotExpressible("protocol 0 stands for all protocols in x_tables");
  }
  ip.proto = match.protocol->value;
  if (match.protocol->negated) ip.invflags |= IPT_INV_PROTO;
  return absl::OkStatus();
}

template <typename Address>
void DecodeAddress(Family family, char option, const Address& address,
                   const Address& mask, bool negated,
                   std::optional<Negatable<IpPrefix>>& field,
                   DecodedEntry& out) {
  static constexpr Address kNone{};
  const bool any_mask = memcmp(&mask, &kNone, sizeof(mask)) == 0;
  if (any_mask && !negated) return;
  IpPrefix prefix;
  prefix.family = family;
  memcpy(prefix.address.data(), &address, sizeof(address));
  memcpy(prefix.mask.data(), &mask, sizeof(mask));
  AppendNegation(negated, out.match_text);
  absl::StrAppend(&out.match_text, " -", absl::string_view(&option, 1), " ",
                  FormatIpPrefix(prefix));
  for (size_t i = 0; i < sizeof(address); ++i) {
    // Such an address equals no masked one: the condition is never true.
    if ((prefix.address[i] & ~prefix.mask[i]) != 0) {
      out.other_matches.push_back(option == 's' ? "source" : "destination");
      return;
    }
  }
  field = Negatable<IpPrefix>{prefix, negated};
}

// The name that the user wrote, or nullopt for masks that no name makes.
std::optional<std::string> InterfaceName(
    const char (&name)[IFNAMSIZ], const unsigned char (&mask)[IFNAMSIZ]) {
  size_t covered = 0;
  while (covered < IFNAMSIZ && mask[covered] == 0xff) ++covered;
  for (size_t i = covered; i < IFNAMSIZ; ++i) {
    if (mask[i] != 0) return std::nullopt;
  }
  const absl::string_view bytes(name, covered);
  const size_t nul = bytes.find('\0');
  if (nul == absl::string_view::npos) {
    if (covered == IFNAMSIZ) return std::nullopt;
    return absl::StrCat(bytes, "+");
  }
  if (nul + 1 != covered) return std::nullopt;
  return std::string(bytes.substr(0, nul));
}

void DecodeInterface(char option, const char (&name)[IFNAMSIZ],
                     const unsigned char (&mask)[IFNAMSIZ], bool negated,
                     std::optional<Negatable<std::string>>& field,
                     DecodedEntry& out) {
  if (mask[0] != 0) {
    // As iptables-save does, which prints names under odd masks too.
    AppendNegation(negated, out.match_text);
    absl::StrAppend(&out.match_text, " -", absl::string_view(&option, 1), " ");
    size_t i = 0;
    for (; i < IFNAMSIZ && mask[i] != 0; ++i) {
      if (name[i] != '\0') out.match_text.push_back(name[i]);
    }
    if (i < IFNAMSIZ && name[i - 1] != '\0') out.match_text.push_back('+');
  }
  const bool no_mask =
      std::all_of(std::begin(mask), std::end(mask),
                  [](unsigned char byte) { return byte == 0; });
  if (no_mask && !negated) return;
  if (std::optional<std::string> text = InterfaceName(name, mask)) {
    field = Negatable<std::string>{*std::move(text), negated};
  } else {
    out.other_matches.push_back(option == 'i' ? "in-interface"
                                              : "out-interface");
  }
}

// `checked`: the kernel looks at the protocol at all.
void DecodeProtocol(uint16_t protocol, bool negated, bool checked,
                    DecodedEntry& out) {
  if (protocol == 0) return;
  AppendNegation(negated, out.match_text);
  if (protocol > 0xff) {
    absl::StrAppend(&out.match_text, " -p ", protocol);
    out.other_matches.push_back("protocol");
    return;
  }
  absl::StrAppend(&out.match_text, " -p ",
                  ProtocolName(static_cast<uint8_t>(protocol)));
  if (checked) {
    out.match.protocol =
        Negatable<uint8_t>{static_cast<uint8_t>(protocol), negated};
  }
}

template <typename Ip>
void DecodeCommon(const Ip& ip, bool protocol_checked, DecodedEntry& out) {
  const Family family = FamilyOf(ip);
  DecodeAddress(family, 's', ip.src, ip.smsk, ip.invflags & IPT_INV_SRCIP,
                out.match.source, out);
  DecodeAddress(family, 'd', ip.dst, ip.dmsk, ip.invflags & IPT_INV_DSTIP,
                out.match.destination, out);
  DecodeInterface('i', ip.iniface, ip.iniface_mask,
                  ip.invflags & IPT_INV_VIA_IN, out.match.in_interface, out);
  DecodeInterface('o', ip.outiface, ip.outiface_mask,
                  ip.invflags & IPT_INV_VIA_OUT, out.match.out_interface, out);
  DecodeProtocol(ip.proto, ip.invflags & IPT_INV_PROTO, protocol_checked, out);
}

}  // namespace

absl::Status EncodeIpPart(const RuleMatch& match, ipt_ip& ip) {
  return EncodeCommon(match, ip);
}

absl::Status EncodeIpPart(const RuleMatch& match, ip6t_ip6& ip) {
  if (match.protocol.has_value()) ip.flags |= IP6T_F_PROTO;
  return EncodeCommon(match, ip);
}

void DecodeIpPart(const ipt_ip& ip, DecodedEntry& out) {
  DecodeCommon(ip, true, out);
  out.goto_chain = (ip.flags & IPT_F_GOTO) != 0;
  if ((ip.flags & IPT_F_FRAG) != 0) {
    AppendNegation(ip.invflags & IPT_INV_FRAG, out.match_text);
    out.match_text.append(" -f");
  }
  if ((ip.flags & IPT_F_FRAG) != 0 || (ip.invflags & IPT_INV_FRAG) != 0) {
    out.other_matches.push_back("fragment");
  }
}

void DecodeIpPart(const ip6t_ip6& ip, DecodedEntry& out) {
  DecodeCommon(ip, (ip.flags & IP6T_F_PROTO) != 0, out);
  out.goto_chain = (ip.flags & IP6T_F_GOTO) != 0;
}

}  // namespace nfmeter::kernel
