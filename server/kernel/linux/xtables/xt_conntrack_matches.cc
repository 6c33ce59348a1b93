// SPDX-License-Identifier: GPL-3.0-or-later
// conntrack: the state of the packet's connection. `-m state` of iptables is
// the same match of the kernel's with a flag that asks for the old name.
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

struct StateName {
  ConntrackStateBit ours;
  uint16_t kernel;
  absl::string_view name;
};

// In the order in which iptables prints them.
constexpr StateName kStates[] = {
    {kCtInvalid, XT_CONNTRACK_STATE_INVALID, "INVALID"},
    {kCtNew, XT_CONNTRACK_STATE_BIT(IP_CT_NEW), "NEW"},
    {kCtRelated, XT_CONNTRACK_STATE_BIT(IP_CT_RELATED), "RELATED"},
    {kCtEstablished, XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED), "ESTABLISHED"},
    {kCtUntracked, XT_CONNTRACK_STATE_UNTRACKED, "UNTRACKED"},
    {kCtSnat, XT_CONNTRACK_STATE_SNAT, "SNAT"},
    {kCtDnat, XT_CONNTRACK_STATE_DNAT, "DNAT"},
};

void AppendStates(uint16_t mask, std::string& text) {
  absl::string_view separator = " ";
  for (const StateName& state : kStates) {
    if ((mask & state.kernel) == 0) continue;
    absl::StrAppend(&text, separator, state.name);
    separator = ",";
  }
}

void AppendStatuses(uint16_t mask, std::string& text) {
  static_assert(IPS_EXPECTED == 1 && IPS_SEEN_REPLY == 2 && IPS_ASSURED == 4 &&
                IPS_CONFIRMED == 8);
  static constexpr absl::string_view kNames[] = {"EXPECTED", "SEEN_REPLY",
                                                 "ASSURED", "CONFIRMED"};
  AppendBits(mask, kNames, " ", text);
  if (mask == 0) text.append(" NONE");
}

// " 10.0.0.0/8"; without the length when it is full, unlike -s and -d.
void AppendAddress(Family family, const nf_inet_addr& address,
                   const nf_inet_addr& mask, std::string& text) {
  const size_t size = family == Family::kIpv4 ? 4 : 16;
  IpPrefix prefix;
  prefix.family = family;
  memcpy(prefix.address.data(), &address, size);
  memcpy(prefix.mask.data(), &mask, size);
  const std::string shown = FormatIpPrefix(prefix);
  absl::StrAppend(
      &text, " ",
      absl::StripSuffix(shown, family == Family::kIpv4 ? "/32" : "/128"));
}

void PrintAddresses(const MatchContext& context,
                    const xt_conntrack_mtinfo3& info, std::string& text) {
  const struct {
    uint16_t flag;
    const char* option;
    const nf_inet_addr& address;
    const nf_inet_addr& mask;
  } kAddresses[] = {
      {XT_CONNTRACK_ORIGSRC, " --ctorigsrc", info.origsrc_addr,
       info.origsrc_mask},
      {XT_CONNTRACK_ORIGDST, " --ctorigdst", info.origdst_addr,
       info.origdst_mask},
      {XT_CONNTRACK_REPLSRC, " --ctreplsrc", info.replsrc_addr,
       info.replsrc_mask},
      {XT_CONNTRACK_REPLDST, " --ctrepldst", info.repldst_addr,
       info.repldst_mask},
  };
  for (const auto& row : kAddresses) {
    if ((info.match_flags & row.flag) == 0) continue;
    AppendNegation(info.invert_flags & row.flag, text);
    text.append(row.option);
    AppendAddress(context.family, row.address, row.mask, text);
  }
}

void PrintPorts(const xt_conntrack_mtinfo3& info, std::string& text) {
  const struct {
    uint16_t flag;
    const char* option;
    uint16_t low;
    uint16_t high;
  } kPorts[] = {
      {XT_CONNTRACK_ORIGSRC_PORT, " --ctorigsrcport ", info.origsrc_port,
       info.origsrc_port_high},
      {XT_CONNTRACK_ORIGDST_PORT, " --ctorigdstport ", info.origdst_port,
       info.origdst_port_high},
      {XT_CONNTRACK_REPLSRC_PORT, " --ctreplsrcport ", info.replsrc_port,
       info.replsrc_port_high},
      {XT_CONNTRACK_REPLDST_PORT, " --ctrepldstport ", info.repldst_port,
       info.repldst_port_high},
  };
  for (const auto& row : kPorts) {
    if ((info.match_flags & row.flag) == 0) continue;
    AppendNegation(info.invert_flags & row.flag, text);
    text.append(row.option);
    AppendRange(row.low, row.high == 0 ? row.low : row.high, text);
  }
}

void PrintConntrack(const MatchContext& context,
                    const xt_conntrack_mtinfo3& info, std::string& text) {
  if ((info.match_flags & XT_CONNTRACK_STATE) != 0) {
    AppendNegation(info.invert_flags & XT_CONNTRACK_STATE, text);
    text.append((info.match_flags & XT_CONNTRACK_STATE_ALIAS) != 0
                    ? " --state"
                    : " --ctstate");
    AppendStates(info.state_mask, text);
  }
  if ((info.match_flags & XT_CONNTRACK_PROTO) != 0) {
    AppendNegation(info.invert_flags & XT_CONNTRACK_PROTO, text);
    absl::StrAppend(&text, " --ctproto ", info.l4proto);
  }
  PrintAddresses(context, info, text);
  PrintPorts(info, text);
  if ((info.match_flags & XT_CONNTRACK_STATUS) != 0) {
    AppendNegation(info.invert_flags & XT_CONNTRACK_STATUS, text);
    text.append(" --ctstatus");
    AppendStatuses(info.status_mask, text);
  }
  if ((info.match_flags & XT_CONNTRACK_EXPIRES) != 0) {
    AppendNegation(info.invert_flags & XT_CONNTRACK_EXPIRES, text);
    text.append(" --ctexpire ");
    AppendRange(info.expires_min, info.expires_max, text);
  }
  if ((info.match_flags & XT_CONNTRACK_DIRECTION) != 0) {
    text.append((info.invert_flags & XT_CONNTRACK_DIRECTION) != 0
                    ? " --ctdir REPLY"
                    : " --ctdir ORIGINAL");
  }
}

bool DecodeConntrack(const MatchContext&, const xt_conntrack_mtinfo3& info,
                     DecodedEntry& out) {
  bool complete = (info.match_flags &
                   ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS)) == 0;
  if ((info.match_flags & XT_CONNTRACK_STATE) == 0) return complete;
  uint32_t states = 0;
  uint16_t unknown = info.state_mask;
  for (const StateName& state : kStates) {
    if ((info.state_mask & state.kernel) != 0) states |= state.ours;
    unknown &= ~state.kernel;
  }
  if (unknown != 0) return false;
  return SetOnce(out.match.conntrack_states, states,
                 info.invert_flags & XT_CONNTRACK_STATE) &&
         complete;
}

absl::string_view ConntrackName(const uint8_t* bytes) {
  const auto info = LoadInfo<xt_conntrack_mtinfo3>(bytes);
  return (info.match_flags & XT_CONNTRACK_STATE_ALIAS) != 0 ? "state"
                                                            : "conntrack";
}

constexpr ExtensionKind ConntrackKind() {
  ExtensionKind kind =
      KnownKind<PrintConntrack, DecodeConntrack>("conntrack", 3);
  kind.shown_name = ConntrackName;
  return kind;
}

}  // namespace

absl::Span<const ExtensionKind> ConntrackMatchKinds() {
  static constexpr std::array kKinds = {ConntrackKind()};
  return kKinds;
}

absl::Status AppendConntrackMatch(const MatchContext&, const RuleMatch& match,
                                  MatchWriter& out) {
  if (!match.conntrack_states.has_value()) return absl::OkStatus();
  xt_conntrack_mtinfo3 info{};
  info.match_flags = XT_CONNTRACK_STATE;
  if (match.conntrack_states->negated) info.invert_flags = XT_CONNTRACK_STATE;
  uint32_t unknown = match.conntrack_states->value;
  for (const StateName& state : kStates) {
    if ((match.conntrack_states->value & state.ours) != 0) {
      info.state_mask |= state.kernel;
    }
    unknown &= ~state.ours;
  }
  if (info.state_mask == 0 || unknown != 0) {
    return NotExpressible(
        "a condition on conntrack states needs at least one known state");
  }
  out.Append("conntrack", 3, info);
  return absl::OkStatus();
}

}  // namespace nfmeter::kernel
