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

std::string OwnedTargetName(const OwnedRule& rule) {
  switch (rule.action) {
    case OwnedAction::kContinue:
      break;
    case OwnedAction::kJump:
    case OwnedAction::kGoto:
      return rule.chain;
    case OwnedAction::kReturn:
      return "RETURN";
    case OwnedAction::kDrop:
      return "DROP";
    case OwnedAction::kReject:
      return "REJECT";
    case OwnedAction::kMark:
      return "MARK";
  }
  return "";
}

absl::Status AppendOwnedTarget(Family family, const OwnedRule& rule,
                               std::vector<uint8_t>& bytes) {
  const std::string name = OwnedTargetName(rule);
  const bool to_chain =
      rule.action == OwnedAction::kJump || rule.action == OwnedAction::kGoto;
  if (to_chain && (name.empty() || name.size() > kChainNameMaxBytes)) {
    return NotExpressible("the name of a chain has 1 to 28 bytes");
  }
  if (rule.action == OwnedAction::kMark) {
    AppendTarget(
        name, 2,
        xt_mark_tginfo2{.mark = rule.mark.value, .mask = rule.mark.mask},
        bytes);
  } else if (rule.action != OwnedAction::kReject) {
    AppendVerdict(name, bytes);
  } else if (family == Family::kIpv4) {  // the defaults of iptables
    AppendTarget(name, 0, ipt_reject_info{.with = IPT_ICMP_PORT_UNREACHABLE},
                 bytes);
  } else {
    AppendTarget(name, 0, ip6t_reject_info{.with = IP6T_ICMP6_PORT_UNREACH},
                 bytes);
  }
  return absl::OkStatus();
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
