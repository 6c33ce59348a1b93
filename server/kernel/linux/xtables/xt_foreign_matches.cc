// SPDX-License-Identifier: GPL-3.0-or-later
// Matches that only others use: printed as iptables-save does, never made.
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/xt_connmark.h>
#include <linux/netfilter/xt_dscp.h>
#include <linux/netfilter/xt_esp.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_length.h>
#include <linux/netfilter/xt_limit.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_quota.h>
#include <linux/netfilter/xt_recent.h>
#include <linux/netfilter/xt_statistic.h>
#include <linux/netfilter/xt_tcpmss.h>
#include <linux/netfilter_ipv4/ipt_ttl.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// The kernel keeps the time between two packets; iptables writes the rate in
// the largest unit that loses little of it.
void AppendRate(uint32_t period, std::string& text) {
  static constexpr struct {
    absl::string_view name;
    uint32_t periods;
  } kUnits[] = {{"day", XT_LIMIT_SCALE * 24 * 60 * 60},
                {"hour", XT_LIMIT_SCALE * 60 * 60},
                {"min", XT_LIMIT_SCALE * 60},
                {"sec", XT_LIMIT_SCALE}};
  if (period == 0) {
    text.append(" inf");
    return;
  }
  size_t unit = 1;
  while (unit < std::size(kUnits) && period <= kUnits[unit].periods &&
         kUnits[unit].periods / period >= kUnits[unit].periods % period) {
    ++unit;
  }
  absl::StrAppend(&text, " ", kUnits[unit - 1].periods / period, "/",
                  kUnits[unit - 1].name);
}

void PrintLimit(const MatchContext&, const xt_rateinfo& limit,
                std::string& text) {
  constexpr uint32_t kDefaultBurst = 5;
  text.append(" --limit");
  AppendRate(limit.avg, text);
  if (limit.burst != kDefaultBurst) {
    absl::StrAppend(&text, " --limit-burst ", limit.burst);
  }
}

void PrintLength(const MatchContext&, const xt_length_info& length,
                 std::string& text) {
  AppendNegation(length.invert != 0, text);
  text.append(" --length ");
  AppendRange(length.min, length.max, text);
}

void PrintStatistic(const MatchContext&, const xt_statistic_info& statistic,
                    std::string& text) {
  const absl::string_view negation =
      (statistic.flags & XT_STATISTIC_INVERT) != 0 ? " !" : "";
  switch (statistic.mode) {
    case XT_STATISTIC_MODE_RANDOM:
      absl::StrAppendFormat(&text, " --mode random%s --probability %.11f",
                            negation,
                            1.0 * statistic.u.random.probability / 0x80000000);
      break;
    case XT_STATISTIC_MODE_NTH:
      absl::StrAppend(&text, " --mode nth", negation, " --every ",
                      statistic.u.nth.every + 1, " --packet ",
                      statistic.u.nth.packet);
      break;
  }
}

void PrintIpRange(const MatchContext& context, const xt_iprange_mtinfo& range,
                  std::string& text) {
  if ((range.flags & IPRANGE_SRC) != 0) {
    AppendNegation(range.flags & IPRANGE_SRC_INV, text);
    absl::StrAppend(&text, " --src-range ",
                    FormatAddress(context.family, &range.src_min), "-",
                    FormatAddress(context.family, &range.src_max));
  }
  if ((range.flags & IPRANGE_DST) != 0) {
    AppendNegation(range.flags & IPRANGE_DST_INV, text);
    absl::StrAppend(&text, " --dst-range ",
                    FormatAddress(context.family, &range.dst_min), "-",
                    FormatAddress(context.family, &range.dst_max));
  }
}

void PrintMac(const MatchContext&, const xt_mac_info& mac, std::string& text) {
  AppendNegation(mac.invert != 0, text);
  absl::string_view separator = " --mac-source ";
  for (const unsigned char byte : mac.srcaddr) {
    absl::StrAppendFormat(&text, "%s%02x", separator, byte);
    separator = ":";
  }
}

void PrintConnmark(const MatchContext&, const xt_connmark_mtinfo1& mark,
                   std::string& text) {
  AppendNegation(mark.invert != 0, text);
  text.append(" --mark");
  AppendMark(mark.mark, mark.mask, text);
}

// The modes of ttl and hl are numbered alike.
void AppendHops(absl::string_view name, uint8_t mode, uint8_t hops,
                std::string& text) {
  static constexpr absl::string_view kModes[] = {" --", " ! --", " --", " --"};
  static constexpr absl::string_view kSuffixes[] = {"-eq", "-eq", "-lt", "-gt"};
  if (mode < std::size(kModes)) {
    absl::StrAppend(&text, kModes[mode], name, kSuffixes[mode]);
  }
  absl::StrAppend(&text, " ", hops);
}

void PrintTtl(const MatchContext&, const ipt_ttl_info& ttl, std::string& text) {
  AppendHops("ttl", ttl.mode, ttl.ttl, text);
}

void PrintHopLimit(const MatchContext&, const ip6t_hl_info& hl,
                   std::string& text) {
  AppendHops("hl", hl.mode, hl.hop_limit, text);
}

void PrintQuota(const MatchContext&, const xt_quota_info& quota,
                std::string& text) {
  AppendNegation(quota.flags & XT_QUOTA_INVERT, text);
  absl::StrAppend(&text, " --quota ", quota.quota);
}

void PrintTos(const MatchContext&, const xt_tos_match_info& tos,
              std::string& text) {
  AppendNegation(tos.invert != 0, text);
  absl::StrAppendFormat(&text, " --tos 0x%02x/0x%02x", tos.tos_value,
                        tos.tos_mask);
}

void PrintEsp(const MatchContext&, const xt_esp& esp, std::string& text) {
  if (esp.spis[0] == 0 && esp.spis[1] == 0xffffffff) return;
  AppendNegation(esp.invflags & XT_ESP_INV_SPI, text);
  text.append(" --espspi ");
  AppendRange(esp.spis[0], esp.spis[1], text);
}

void PrintTcpMss(const MatchContext&, const xt_tcpmss_match_info& mss,
                 std::string& text) {
  AppendNegation(mss.invert != 0, text);
  text.append(" --mss ");
  AppendRange(mss.mss_min, mss.mss_max, text);
}

void PrintRecent(const MatchContext& context, const xt_recent_mtinfo_v1& recent,
                 std::string& text) {
  const auto flag = [&](uint8_t bit, const char* option) {
    if ((recent.check_set & bit) != 0) text.append(option);
  };
  AppendNegation(recent.invert != 0, text);
  flag(XT_RECENT_SET, " --set");
  flag(XT_RECENT_CHECK, " --rcheck");
  flag(XT_RECENT_UPDATE, " --update");
  flag(XT_RECENT_REMOVE, " --remove");
  if (recent.seconds != 0)
    absl::StrAppend(&text, " --seconds ", recent.seconds);
  flag(XT_RECENT_REAP, " --reap");
  if (recent.hit_count != 0) {
    absl::StrAppend(&text, " --hitcount ", recent.hit_count);
  }
  flag(XT_RECENT_TTL, " --rttl");
  absl::StrAppend(&text, " --name ", TextOf(recent.name), " --mask ",
                  FormatAddress(context.family, &recent.mask),
                  recent.side == XT_RECENT_SOURCE ? " --rsource" : " --rdest");
}

}  // namespace

absl::Span<const ExtensionKind> ForeignMatchKinds() {
  static constexpr std::array kKinds = {
      PrintedKind<PrintLimit>("limit", 0),
      PrintedKind<PrintLength>("length", 0),
      PrintedKind<PrintStatistic>("statistic", 0),
      PrintedKind<PrintIpRange>("iprange", 1),
      PrintedKind<PrintMac>("mac", 0),
      PrintedKind<PrintConnmark>("connmark", 1),
      PrintedKind<PrintTtl>("ttl", 0, Family::kIpv4),
      PrintedKind<PrintHopLimit>("hl", 0, Family::kIpv6),
      PrintedKind<PrintQuota>("quota", 0),
      PrintedKind<PrintTos>("tos", 1),
      PrintedKind<PrintEsp>("esp", 0),
      PrintedKind<PrintTcpMss>("tcpmss", 0),
      PrintedKind<PrintRecent>("recent", 1),
  };
  return kKinds;
}

}  // namespace nfmeter::kernel
