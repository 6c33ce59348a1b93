// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_owned_target.h"

#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv4/ipt_REJECT.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter_ipv6/ip6t_REJECT.h>
#include <string.h>

#include "kernel/linux/xtables/xt_match.h"

namespace nfmeter::kernel {
absl::Status AppendOwnedTarget(Family family, const OwnedRule& rule,
                               std::vector<uint8_t>& bytes) {
  switch (rule.action) {
    case OwnedAction::kContinue:
      AppendVerdict("", bytes);
      return absl::OkStatus();
    case OwnedAction::kJump:
    case OwnedAction::kGoto:
      if (rule.chain.empty() || rule.chain.size() > kChainNameMaxBytes) {
        return NotExpressible("the name of a chain has 1 to 28 bytes");
      }
      AppendVerdict(rule.chain, bytes);
      return absl::OkStatus();
    case OwnedAction::kReturn:
      AppendVerdict("RETURN", bytes);
      return absl::OkStatus();
    case OwnedAction::kDrop:
      AppendVerdict("DROP", bytes);
      return absl::OkStatus();
    case OwnedAction::kReject:
      // The defaults of iptables.
      if (family == Family::kIpv4) {
        AppendTarget("REJECT", 0,
                     ipt_reject_info{.with = IPT_ICMP_PORT_UNREACHABLE}, bytes);
      } else {
        AppendTarget("REJECT", 0,
                     ip6t_reject_info{.with = IP6T_ICMP6_PORT_UNREACH}, bytes);
      }
      return absl::OkStatus();
    case OwnedAction::kMark:
      AppendTarget(
          "MARK", 2,
          xt_mark_tginfo2{.mark = rule.mark.value, .mask = rule.mark.mask},
          bytes);
      return absl::OkStatus();
  }
  return NotExpressible("an owned rule does something else");
}

void SetGoto(Family family, std::vector<uint8_t>& entry) {
  if (family == Family::kIpv4) {
    entry[offsetof(ipt_entry, ip.flags)] |= IPT_F_GOTO;
  } else {
    entry[offsetof(ip6t_entry, ipv6.flags)] |= IP6T_F_GOTO;
  }
}

void ClearTargetName(Family family, std::vector<uint8_t>& entry) {
  uint16_t offset = 0;
  memcpy(&offset,
         &entry[family == Family::kIpv4 ? offsetof(ipt_entry, target_offset)
                                        : offsetof(ip6t_entry, target_offset)],
         sizeof(offset));
  memset(&entry[offset + offsetof(xt_entry_target, u.user.name)], 0,
         sizeof(xt_entry_target::u.user.name));
}

}  // namespace nfmeter::kernel
