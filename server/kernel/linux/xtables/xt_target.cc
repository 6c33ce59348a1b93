// SPDX-License-Identifier: GPL-3.0-or-later
// What the codec knows of targets beside verdicts and chains: how iptables-save
// prints them.
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_CLASSIFY.h>
#include <linux/netfilter/xt_CONNMARK.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_DSCP.h>
#include <linux/netfilter/xt_LOG.h>
#include <linux/netfilter/xt_MARK.h>
#include <linux/netfilter/xt_NFLOG.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <linux/netfilter/xt_TCPMSS.h>
#include <linux/netfilter_ipv4/ipt_REJECT.h>
#include <linux/netfilter_ipv6/ip6t_REJECT.h>
#include <string.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/xt_acct_target.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"

namespace nfmeter::kernel {
namespace {

// LOG, NFLOG, NFQUEUE

void PrintLog(const MatchContext&, const xt_log_info& log, std::string& text) {
  constexpr int kDefaultLevel = 4;  // LOG_WARNING
  if (log.prefix[0] != '\0') {
    text.append(" --log-prefix");
    AppendQuoted(TextOf(log.prefix), text);
  }
  if (log.level != kDefaultLevel) {
    absl::StrAppend(&text, " --log-level ", log.level);
  }
  const auto flag = [&](unsigned char bit, const char* option) {
    if ((log.logflags & bit) != 0) text.append(option);
  };
  flag(XT_LOG_TCPSEQ, " --log-tcp-sequence");
  flag(XT_LOG_TCPOPT, " --log-tcp-options");
  flag(XT_LOG_IPOPT, " --log-ip-options");
  flag(XT_LOG_UID, " --log-uid");
  flag(XT_LOG_MACDECODE, " --log-macdecode");
}

void PrintNflog(const MatchContext&, const xt_nflog_info& log,
                std::string& text) {
  if (log.prefix[0] != '\0') {
    text.append(" --nflog-prefix");
    AppendQuoted(TextOf(log.prefix), text);
  }
  if (log.group != 0) absl::StrAppend(&text, " --nflog-group ", log.group);
  if ((log.flags & XT_NFLOG_F_COPY_LEN) != 0) {
    absl::StrAppend(&text, " --nflog-size ", log.len);
  } else if (log.len != 0) {
    absl::StrAppend(&text, " --nflog-range ", log.len);
  }
  if (log.threshold != XT_NFLOG_DEFAULT_THRESHOLD) {
    absl::StrAppend(&text, " --nflog-threshold ", log.threshold);
  }
}

void PrintNfqueue(const MatchContext&, const xt_NFQ_info_v3& queue,
                  std::string& text) {
  if (queue.queues_total > 1) {
    absl::StrAppend(&text, " --queue-balance ", queue.queuenum, ":",
                    queue.queuenum + queue.queues_total - 1);
  } else {
    absl::StrAppend(&text, " --queue-num ", queue.queuenum);
  }
  if ((queue.flags & NFQ_FLAG_BYPASS) != 0) text.append(" --queue-bypass");
  if ((queue.flags & NFQ_FLAG_CPU_FANOUT) != 0) {
    text.append(" --queue-cpu-fanout");
  }
}

// REJECT

void AppendRejection(absl::Span<const absl::string_view> names, uint32_t with,
                     std::string& text) {
  text.append(" --reject-with ");
  if (with < names.size() && !names[with].empty()) {
    absl::StrAppend(&text, names[with]);
  } else {
    absl::StrAppend(&text, "[", with, "]");
  }
}

// Read as a number: the kernel's enum need not have a name for it.
static_assert(sizeof(ipt_reject_info) == sizeof(uint32_t) &&
              sizeof(ip6t_reject_info) == sizeof(uint32_t));

void PrintReject(const MatchContext&, const uint32_t& with, std::string& text) {
  static constexpr absl::string_view kNames[] = {"icmp-net-unreachable",
                                                 "icmp-host-unreachable",
                                                 "icmp-proto-unreachable",
                                                 "icmp-port-unreachable",
                                                 "echo-reply",
                                                 "icmp-net-prohibited",
                                                 "icmp-host-prohibited",
                                                 "tcp-reset",
                                                 "icmp-admin-prohibited"};
  AppendRejection(kNames, with, text);
}

void PrintReject6(const MatchContext&, const uint32_t& with,
                  std::string& text) {
  static constexpr absl::string_view kNames[] = {"icmp6-no-route",
                                                 "icmp6-adm-prohibited",
                                                 "icmp6-not-neighbor",
                                                 "icmp6-addr-unreachable",
                                                 "icmp6-port-unreachable",
                                                 "",
                                                 "tcp-reset",
                                                 "icmp6-policy-fail",
                                                 "icmp6-reject-route"};
  AppendRejection(kNames, with, text);
}

// MARK, CONNMARK, CLASSIFY, DSCP, TCPMSS

void PrintSetMark(const MatchContext&, const xt_mark_tginfo2& mark,
                  std::string& text) {
  absl::StrAppendFormat(&text, " --set-xmark 0x%x/0x%x", mark.mark, mark.mask);
}

void PrintSetConnmark(const MatchContext&, const xt_connmark_tginfo2& mark,
                      std::string& text) {
  switch (mark.mode) {
    case XT_CONNMARK_SET:
      absl::StrAppendFormat(&text, " --set-xmark 0x%x/0x%x", mark.ctmark,
                            mark.ctmask);
      break;
    case XT_CONNMARK_SAVE:
    case XT_CONNMARK_RESTORE:
      absl::StrAppendFormat(&text, " --%s-mark --nfmask 0x%x --ctmask 0x%x",
                            mark.mode == XT_CONNMARK_SAVE ? "save" : "restore",
                            mark.nfmask, mark.ctmask);
      break;
    default:
      absl::StrAppend(&text, " [mode ", mark.mode, "]");
      return;
  }
  if (mark.shift_bits != 0) {
    absl::StrAppend(&text,
                    mark.shift_dir == D_SHIFT_LEFT ? " --left-shift-mark "
                                                   : " --right-shift-mark ",
                    mark.shift_bits);
  }
}

void PrintClassify(const MatchContext&, const xt_classify_target_info& info,
                   std::string& text) {
  absl::StrAppendFormat(&text, " --set-class %04x:%04x", info.priority >> 16,
                        info.priority & 0xffff);
}

void PrintSetDscp(const MatchContext&, const xt_DSCP_info& dscp,
                  std::string& text) {
  absl::StrAppendFormat(&text, " --set-dscp 0x%02x", dscp.dscp);
}

void PrintSetTcpMss(const MatchContext&, const xt_tcpmss_info& info,
                    std::string& text) {
  if (info.mss == XT_TCPMSS_CLAMP_PMTU) {
    text.append(" --clamp-mss-to-pmtu");
  } else {
    absl::StrAppend(&text, " --set-mss ", info.mss);
  }
}

// CT

void PrintCt(const MatchContext&, const xt_ct_target_info_v1& ct,
             std::string& text) {
  static constexpr absl::string_view kEvents[] = {
      "new",       "related", "destroy", "reply",      "assured",
      "protoinfo", "helper",  "mark",    "natseqinfo", "secmark"};
  if ((ct.flags & XT_CT_NOTRACK_ALIAS) != 0) return;
  if ((ct.flags & XT_CT_NOTRACK) != 0) text.append(" --notrack");
  if (ct.helper[0] != '\0') {
    absl::StrAppend(&text, " --helper ", TextOf(ct.helper));
  }
  if (ct.timeout[0] != '\0') {
    absl::StrAppend(&text, " --timeout ", TextOf(ct.timeout));
  }
  AppendBits(ct.ct_events, kEvents, " --ctevents ", text);
  if (ct.exp_events != 0) {
    absl::StrAppend(&text, " --expevents ",
                    (ct.exp_events & 1) != 0 ? "new" : "");
  }
  if ((ct.flags & XT_CT_ZONE_MARK) != 0 || ct.zone != 0) {
    const int direction =
        ct.flags & (XT_CT_ZONE_DIR_ORIG | XT_CT_ZONE_DIR_REPL);
    absl::StrAppend(&text, " --zone",
                    direction == XT_CT_ZONE_DIR_ORIG   ? "-orig"
                    : direction == XT_CT_ZONE_DIR_REPL ? "-reply"
                                                       : "",
                    (ct.flags & XT_CT_ZONE_MARK) != 0
                        ? std::string(" mark")
                        : absl::StrCat(" ", ct.zone));
  }
}

absl::string_view CtName(const uint8_t* info) {
  const auto ct = LoadInfo<xt_ct_target_info_v1>(info);
  return (ct.flags & XT_CT_NOTRACK_ALIAS) != 0 ? "NOTRACK" : "CT";
}

constexpr ExtensionKind CtKind() {
  ExtensionKind kind = PrintedKind<PrintCt>("CT", 2);
  kind.shown_name = CtName;
  return kind;
}

// NAT

// Addresses and ports, "10.0.0.1-10.0.0.9:80-90/1024".
std::string FormatNatRange(Family family, const nf_nat_range2& range) {
  const bool has_ports = (range.flags & NF_NAT_RANGE_PROTO_SPECIFIED) != 0;
  std::string text;
  if ((range.flags & NF_NAT_RANGE_MAP_IPS) != 0) {
    const bool brackets = family == Family::kIpv6 && has_ports;
    const bool many =
        memcmp(&range.min_addr, &range.max_addr, sizeof(range.min_addr)) != 0;
    absl::StrAppend(&text, brackets ? "[" : "",
                    FormatAddress(family, &range.min_addr), many ? "-" : "",
                    many ? FormatAddress(family, &range.max_addr) : "",
                    brackets ? "]" : "");
  }
  if (has_ports) {
    absl::StrAppend(&text, ":", ntohs(range.min_proto.tcp.port));
    if (range.max_proto.tcp.port != range.min_proto.tcp.port) {
      absl::StrAppend(&text, "-", ntohs(range.max_proto.tcp.port));
    }
    if ((range.flags & NF_NAT_RANGE_PROTO_OFFSET) != 0) {
      absl::StrAppend(&text, "/", ntohs(range.base_proto.tcp.port));
    }
  }
  return text;
}

void AppendNat(Family family, const nf_nat_range2& range,
               absl::string_view option, std::string& text) {
  std::string shown = FormatNatRange(family, range);
  if (option == "--to-ports" && shown[0] == ':') shown.erase(0, 1);
  if (!shown.empty()) absl::StrAppend(&text, " ", option, " ", shown);
  if ((range.flags & NF_NAT_RANGE_PROTO_RANDOM) != 0) text.append(" --random");
  if ((range.flags & NF_NAT_RANGE_PROTO_RANDOM_FULLY) != 0) {
    text.append(" --random-fully");
  }
  if ((range.flags & NF_NAT_RANGE_PERSISTENT) != 0) {
    text.append(" --persistent");
  }
}

// NAT targets have one of three structs; these turn all into the newest.
nf_nat_range2 ToRange2(const nf_nat_ipv4_multi_range_compat& multi) {
  const nf_nat_ipv4_range& old = multi.range[0];
  nf_nat_range2 range{};
  range.flags = old.flags;
  range.min_addr.ip = old.min_ip;
  range.max_addr.ip = old.max_ip;
  range.min_proto = old.min;
  range.max_proto = old.max;
  return range;
}
nf_nat_range2 ToRange2(const nf_nat_range& old) {
  nf_nat_range2 range{};
  memcpy(&range, &old, sizeof(old));
  return range;
}
nf_nat_range2 ToRange2(const nf_nat_range2& range) { return range; }

template <typename Info>
void PrintDnat(const MatchContext& context, const Info& info,
               std::string& text) {
  AppendNat(context.family, ToRange2(info), "--to-destination", text);
}
template <typename Info>
void PrintSnat(const MatchContext& context, const Info& info,
               std::string& text) {
  AppendNat(context.family, ToRange2(info), "--to-source", text);
}
// REDIRECT and MASQUERADE.
template <typename Info>
void PrintPortNat(const MatchContext& context, const Info& info,
                  std::string& text) {
  AppendNat(context.family, ToRange2(info), "--to-ports", text);
}

using Nat4 = nf_nat_ipv4_multi_range_compat;

constexpr std::array kTargetKinds = {
    KnownKind<PrintAcctTarget, DecodeAcctTarget>(kAcctTarget, 0),
    PrintedKind<PrintLog>("LOG", 0),
    PrintedKind<PrintNflog>("NFLOG", 0),
    PrintedKind<PrintNfqueue>("NFQUEUE", 3),
    PrintedKind<PrintReject>("REJECT", 0, Family::kIpv4),
    PrintedKind<PrintReject6>("REJECT", 0, Family::kIpv6),
    PrintedKind<PrintSetMark>("MARK", 2),
    PrintedKind<PrintSetConnmark>("CONNMARK", 2),
    PrintedKind<PrintClassify>("CLASSIFY", 0),
    PrintedKind<PrintSetDscp>("DSCP", 0),
    PrintedKind<PrintSetTcpMss>("TCPMSS", 0),
    CtKind(),
    PrintedKind<PrintDnat<nf_nat_range2>>("DNAT", 2),
    PrintedKind<PrintDnat<Nat4>>("DNAT", 0, Family::kIpv4),
    PrintedKind<PrintSnat<Nat4>>("SNAT", 0, Family::kIpv4),
    PrintedKind<PrintSnat<nf_nat_range>>("SNAT", 1, Family::kIpv6),
    PrintedKind<PrintPortNat<Nat4>>("REDIRECT", 0, Family::kIpv4),
    PrintedKind<PrintPortNat<nf_nat_range>>("REDIRECT", 0, Family::kIpv6),
    PrintedKind<PrintPortNat<Nat4>>("MASQUERADE", 0, Family::kIpv4),
    PrintedKind<PrintPortNat<nf_nat_range>>("MASQUERADE", 0, Family::kIpv6),
};

}  // namespace

const ExtensionKind* FindTargetKind(absl::string_view name, uint8_t revision,
                                    Family family, size_t aligned) {
  for (const ExtensionKind& kind : kTargetKinds) {
    if (kind.name == name && kind.Fits(revision, family, aligned)) return &kind;
  }
  return nullptr;
}

}  // namespace nfmeter::kernel
