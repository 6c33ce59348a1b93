// SPDX-License-Identifier: GPL-3.0-or-later
// icmp and icmp6: type and code.
#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "kernel/linux/xtables/xt_ip_part.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// To the kernel, this ICMP type of IPv4 means any (icmp_type_code_match).
constexpr uint8_t kAnyType = 0xff;

static_assert(IPT_ICMP_INV == IP6T_ICMP_INV);

template <typename Info>
void PrintTypeAndCode(const char* option, const Info& icmp, std::string& text) {
  absl::StrAppend(&text, " ", option, " ", icmp.type);
  if (icmp.code[0] != 0 || icmp.code[1] != 0xff) {
    absl::StrAppend(&text, "/", icmp.code[0]);
  }
}

void PrintIcmp(const MatchContext&, const ipt_icmp& icmp, std::string& text) {
  AppendNegation(icmp.invflags & IPT_ICMP_INV, text);
  if (icmp.type == kAnyType) {
    text.append(" --icmp-type any");
    return;
  }
  PrintTypeAndCode("--icmp-type", icmp, text);
}

void PrintIcmp6(const MatchContext&, const ip6t_icmp& icmp, std::string& text) {
  AppendNegation(icmp.invflags & IP6T_ICMP_INV, text);
  PrintTypeAndCode("--icmpv6-type", icmp, text);
}

template <typename Info>
bool DecodeTypeAndCode(const Info& icmp, DecodedEntry& out) {
  Icmp decoded = {.type = icmp.type};
  if (icmp.code[0] == icmp.code[1]) {
    decoded.code = icmp.code[0];
  } else if (icmp.code[0] != 0 || icmp.code[1] != 0xff) {
    return false;  // some codes
  }
  return SetOnce(out.match.icmp, decoded, icmp.invflags & IPT_ICMP_INV);
}

bool DecodeIcmp(const MatchContext&, const ipt_icmp& icmp, DecodedEntry& out) {
  return icmp.type != kAnyType && DecodeTypeAndCode(icmp, out);
}

bool DecodeIcmp6(const MatchContext&, const ip6t_icmp& icmp,
                 DecodedEntry& out) {
  return DecodeTypeAndCode(icmp, out);
}

template <typename Info>
void AppendInfo(absl::string_view name, const Negatable<Icmp>& icmp,
                MatchWriter& out) {
  Info info{};
  info.type = icmp.value.type;
  info.code[0] = icmp.value.code.value_or(0);
  info.code[1] = icmp.value.code.value_or(0xff);
  if (icmp.negated) info.invflags |= IPT_ICMP_INV;
  out.Append(name, 0, info);
}

}  // namespace

absl::Span<const ExtensionKind> IcmpMatchKinds() {
  static constexpr std::array kKinds = {
      KnownKind<PrintIcmp, DecodeIcmp>("icmp", 0, Family::kIpv4),
      KnownKind<PrintIcmp6, DecodeIcmp6>("icmp6", 0, Family::kIpv6),
  };
  return kKinds;
}

absl::Status AppendIcmpMatch(const MatchContext& context,
                             const RuleMatch& match, MatchWriter& out) {
  if (!match.icmp.has_value()) return absl::OkStatus();
  if (context.family == Family::kIpv4) {
    if (context.protocol != IPPROTO_ICMP) {
      return NotExpressible("an ICMP type in IPv4 needs the protocol icmp");
    }
    if (match.icmp->value.type == kAnyType) {
      return NotExpressible("x_tables takes ICMP type 255 for any type");
    }
    AppendInfo<ipt_icmp>("icmp", *match.icmp, out);
    return absl::OkStatus();
  }
  if (context.protocol != IPPROTO_ICMPV6) {
    return NotExpressible("an ICMP type in IPv6 needs the protocol icmpv6");
  }
  AppendInfo<ip6t_icmp>("icmp6", *match.icmp, out);
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
