// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_law.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_escape.h"
#include "kernel/acct_table.h"
#include "kernel/saved_text.h"

namespace nfmeter::kernel {
namespace {

constexpr size_t kChainMaxBytes = 28;        // XT_EXTENSION_MAXNAMELEN - 1
constexpr size_t kInterfaceMaxBytes = 15;    // IFNAMSIZ - 1
constexpr size_t kIpSetNameMaxBytes = 31;    // IPSET_MAXNAMELEN - 1
constexpr size_t kIpSetMaxDirections = 6;    // IPSET_DIM_MAX
constexpr size_t kCgroupPathMaxBytes = 511;  // xt_cgroup_info_v2.path
constexpr size_t kCommentMaxBytes = 200;     // of 255, with our mark
constexpr uint8_t kDscpMax = 63;             // XT_DSCP_MAX
constexpr uint32_t kInvalidId = 0xffffffff;  // (uid_t)-1
constexpr uint8_t kAnyIcmpType = 255;        // what IPv4's match takes it for
// What addrtype_mt_checkentry_v1() in xt_addrtype.c refuses.
constexpr uint16_t kNotInIpv6 = kAddrBroadcast | kAddrBlackhole | kAddrProhibit;

constexpr absl::string_view kNotBare =
    "; it can't begin with '-' or '!', nor have spaces, quotes (\") or control "
    "characters, because iptables-save would print what iptables-restore reads "
    "as something else";

// The protocol that all packets of the rule have.
std::optional<uint8_t> OnlyProtocol(const RuleMatch& match) {
  if (!match.protocol.has_value() || match.protocol->negated) {
    return std::nullopt;
  }
  return match.protocol->value;
}

// Finds the faults of one rule.
class Inspection {
 public:
  Inspection(const RuleSpec& rule, Family family, Table table)
      : rule_(rule), match_(rule.match), family_(family), table_(table) {}

  std::vector<RuleFault> Run() {
    CheckNames();
    CheckVerdict();
    CheckFamily();
    CheckInterfaces();
    CheckPorts(match_.source_ports, "match.source_ports");
    CheckPorts(match_.destination_ports, "match.destination_ports");
    CheckIcmp();
    CheckTcpFlags();
    CheckPacket();
    CheckAddressTypes(match_.source_address_types,
                      "match.source_address_types");
    CheckAddressTypes(match_.destination_address_types,
                      "match.destination_address_types");
    CheckSocket();
    CheckIpSet();
    CheckComment();
    return std::move(faults_);
  }

 private:
  void Wrong(absl::string_view field, std::string description) {
    faults_.push_back({std::string(field), std::move(description)});
  }

  // False, and a fault: `text` is longer than the kernel has room for.
  bool CheckLength(absl::string_view text, size_t bound,
                   absl::string_view field) {
    if (text.size() <= bound) return true;
    Wrong(field,
          absl::StrCat("is ", text.size(), " bytes long; at most ", bound));
    return false;
  }

  void CheckNames() {
    if (!rule_.id.empty() && !IsRuleId(rule_.id)) {
      Wrong("id", absl::StrCat(QuoteName(rule_.id), " must be 1 to ",
                               kRuleIdMaxBytes, " of [a-z0-9-]"));
    }
    CheckChain();
    CheckCounter();
  }

  void CheckChain() {
    const std::string& chain = rule_.chain;
    if (chain.empty()) {
      Wrong("chain", "is empty; name a chain such as INPUT");
    } else if (!CheckLength(chain, kChainMaxBytes, "chain")) {
      return;
    } else if (!IsBareWord(chain)) {
      Wrong("chain", absl::StrCat(QuoteName(chain),
                                  " has a character that names of chains "
                                  "can't have",
                                  kNotBare));
    } else if (absl::c_linear_search(BuiltinChains(Table::kMangle), chain) &&
               !absl::c_linear_search(BuiltinChains(table_), chain)) {
      Wrong("chain", absl::StrCat("table ", TableName(table_), " has no ",
                                  chain, "; its built-in chains are ",
                                  absl::StrJoin(BuiltinChains(table_), ", ")));
    }
  }

  // AcctTable says what a counter's name may be; here it must also survive
  // iptables-save and -restore as a part of the rule.
  void CheckCounter() {
    const std::string& counter = rule_.counter;
    if (counter.empty()) {
      Wrong("counter", "is empty; name a counter");
    } else if (!CheckLength(counter, kAcctNameMaxBytes, "counter")) {
      return;
    } else if (HasControl(counter)) {
      Wrong("counter", absl::StrCat(QuoteName(counter),
                                    " has control characters, and "
                                    "iptables-save would print them into the "
                                    "rule; count into another counter"));
    } else if (counter[0] == '-') {
      Wrong("counter", absl::StrCat(QuoteName(counter),
                                    " begins with '-', and iptables-restore "
                                    "would take it for an option; count into "
                                    "another counter"));
    }
  }

  void CheckVerdict() {
    if (rule_.verdict == Verdict::kOther) {
      Wrong("verdict", "can't be chosen; CONTINUE, ACCEPT, DROP or RETURN");
    }
    if (rule_.verdict == Verdict::kDrop && table_ == Table::kNat) {
      Wrong("verdict", "table nat is not for dropping; use filter");
    }
    if (rule_.form == CountingForm::kTarget &&
        rule_.verdict != Verdict::kContinue) {
      Wrong("counting_form",
            "TARGET counts and goes on; a rule with another verdict than "
            "CONTINUE counts by MATCH");
    }
  }

  void CheckFamily() {
    CheckAddress(match_.source, "match.source");
    CheckAddress(match_.destination, "match.destination");
    if (!match_.protocol.has_value()) return;
    const uint8_t protocol = match_.protocol->value;
    if (protocol == 0) {
      Wrong("match.protocol", "0 stands for all protocols; leave it out");
    } else if (protocol == kProtocolIcmp && family_ != Family::kIpv4) {
      Wrong("match.protocol", "icmp belongs to IPv4, but the rule is of IPv6");
    } else if (protocol == kProtocolIcmpv6 && family_ != Family::kIpv6) {
      Wrong("match.protocol",
            "icmpv6 belongs to IPv6, but the rule is of IPv4");
    }
  }

  void CheckAddress(const std::optional<Negatable<IpPrefix>>& prefix,
                    absl::string_view field) {
    if (!prefix.has_value() || prefix->value.family == family_) return;
    Wrong(field,
          absl::StrCat("is an ", FamilyName(prefix->value.family),
                       " address, but the rule is of ", FamilyName(family_)));
  }

  void CheckInterfaces() {
    CheckInterface(match_.in_interface, "match.in_interface");
    CheckInterface(match_.out_interface, "match.out_interface");
    // iptables refuses these, as no packet could match.
    const std::string& chain = rule_.chain;
    if (match_.in_interface.has_value() &&
        (chain == "OUTPUT" || chain == "POSTROUTING")) {
      Wrong("match.in_interface",
            absl::StrCat("packets in ", chain,
                         " have no input interface; use out_interface, or "
                         "another chain"));
    }
    if (match_.out_interface.has_value() &&
        (chain == "INPUT" || chain == "PREROUTING")) {
      Wrong("match.out_interface",
            absl::StrCat("packets in ", chain,
                         " have no output interface yet; use in_interface, or "
                         "another chain"));
    }
  }

  void CheckInterface(const std::optional<Negatable<std::string>>& interface,
                      absl::string_view field) {
    if (!interface.has_value()) return;
    const std::string& name = interface->value;
    if (!CheckLength(name, kInterfaceMaxBytes, field)) return;
    if (!IsInterfaceName(name)) {
      Wrong(field,
            absl::StrCat(QuoteName(name),
                         " has a character that names of interfaces can't "
                         "have; they are of letters, digits, . _ - + @ % = , "
                         "and bytes beyond ASCII but \\xa0, and begin with no "
                         "'-'"));
    } else if (name == "+" && interface->negated) {
      // iptables-save prints nothing of it.
      Wrong(field,
            "'+' is every interface, so its negation matches no packet, and "
            "every packet after iptables-save and iptables-restore; leave it "
            "out, or name interfaces");
    }
  }

  void CheckPorts(const std::optional<Negatable<std::vector<PortRange>>>& ports,
                  absl::string_view field) {
    if (!ports.has_value()) return;
    size_t places = 0;
    for (size_t i = 0; i < ports->value.size(); ++i) {
      const PortRange& range = ports->value[i];
      places += range.first == range.last ? 1 : 2;
      if (range.first <= range.last) continue;
      Wrong(absl::StrCat(field, "[", i, "]"),
            absl::StrCat("last (", range.last, ") is below first (",
                         range.first, ")"));
    }
    if (places == 0) {
      Wrong(field, "is empty; name ports");
    } else if (places > kMultiportPlaces) {
      Wrong(field, absl::StrCat("takes ", places, " places; a rule has ",
                                kMultiportPlaces,
                                " (a range takes two); use several rules"));
    }
    const std::optional<uint8_t> protocol = OnlyProtocol(match_);
    if (!protocol.has_value() || !HasPorts(*protocol)) {
      Wrong(field, "needs protocol tcp, udp, udplite, sctp or dccp");
    }
  }

  void CheckIcmp() {
    if (!match_.icmp.has_value()) return;
    const std::optional<uint8_t> protocol = OnlyProtocol(match_);
    if (protocol != kProtocolIcmp && protocol != kProtocolIcmpv6) {
      Wrong("match.icmp", "needs protocol icmp (IPv4) or icmpv6 (IPv6)");
    }
    if (family_ == Family::kIpv4 && match_.icmp->value.type == kAnyIcmpType) {
      Wrong("match.icmp.type",
            "255 stands for any type in IPv4; leave icmp out");
    }
  }

  void CheckTcpFlags() {
    if (!match_.tcp_flags.has_value()) return;
    const TcpFlags& flags = match_.tcp_flags->value;
    if (flags.mask == 0) {
      Wrong("match.tcp_flags.mask", "is empty; name the flags to look at");
    } else if ((flags.set & ~flags.mask) != 0) {
      Wrong("match.tcp_flags.set",
            "has flags that are not in mask; no packet could match");
    }
    if (OnlyProtocol(match_) != kProtocolTcp) {
      Wrong("match.tcp_flags", "needs protocol tcp");
    }
  }

  void CheckPacket() {
    if (match_.conntrack_states.has_value() &&
        match_.conntrack_states->value == 0) {
      Wrong("match.conntrack_states", "is empty; name states");
    }
    if (match_.mark.has_value()) {
      const Mark& mark = match_.mark->value;
      if ((mark.value & ~mark.mask) != 0) {
        Wrong("match.mark.value",
              absl::StrCat("0x", absl::Hex(mark.value),
                           " has bits outside of mask 0x", absl::Hex(mark.mask),
                           "; no packet could match"));
      }
    }
    if (match_.dscp.has_value() && match_.dscp->value > kDscpMax) {
      Wrong("match.dscp", absl::StrCat(match_.dscp->value,
                                       " is out of range; 0 to ", kDscpMax));
    }
  }

  void CheckAddressTypes(const std::optional<Negatable<uint16_t>>& types,
                         absl::string_view field) {
    if (!types.has_value()) return;
    if (types->value == 0) {
      Wrong(field, "is empty; name types");
    } else if (family_ == Family::kIpv6 && (types->value & kNotInIpv6) != 0) {
      Wrong(field,
            "has BROADCAST, BLACKHOLE or PROHIBIT, which are of IPv4 only");
    }
  }

  void CheckIds(const std::optional<Negatable<IdRange>>& ids,
                absl::string_view field) {
    if (!ids.has_value()) return;
    if (ids->value.last < ids->value.first) {
      Wrong(field, absl::StrCat("last (", ids->value.last, ") is below first (",
                                ids->value.first, ")"));
    } else if (ids->value.last == kInvalidId) {
      Wrong(field, absl::StrCat(kInvalidId, " is nobody's id"));
    }
  }

  void CheckSocket() {
    CheckIds(match_.owner_uid, "match.owner_uid");
    CheckIds(match_.owner_gid, "match.owner_gid");
    CheckCgroup();
    if (!absl::c_linear_search(BuiltinChains(table_), rule_.chain)) return;
    for (RuleFault& fault : FaultsOfSocket(match_, rule_.chain)) {
      faults_.push_back(std::move(fault));
    }
  }

  void CheckCgroup() {
    if (!match_.cgroup_path.has_value()) return;
    const std::string& path = match_.cgroup_path->value;
    if (path.empty()) {
      Wrong("match.cgroup_path", "is empty; '/' is the root");
    } else if (!CheckLength(path, kCgroupPathMaxBytes, "match.cgroup_path")) {
      return;
    } else if (HasControl(path)) {
      Wrong("match.cgroup_path", "has control characters");
    } else if (path[0] == '-') {
      Wrong("match.cgroup_path",
            "begins with '-', and iptables-restore would take it for an "
            "option; put a '/' before it");
    }
  }

  void CheckIpSet() {
    if (!match_.ip_set.has_value()) return;
    const IpSet& set = match_.ip_set->value;
    if (set.name.empty() || set.name.size() > kIpSetNameMaxBytes) {
      Wrong(
          "match.ip_set.name",
          absl::StrCat(QuoteName(set.name), " is not the name of a set; 1 to ",
                       kIpSetNameMaxBytes, " bytes"));
    } else if (!IsBareWord(set.name)) {
      Wrong("match.ip_set.name",
            absl::StrCat(QuoteName(set.name),
                         " is not the name of a set that rules can use",
                         kNotBare));
    }
    if (set.directions.empty() || set.directions.size() > kIpSetMaxDirections) {
      Wrong("match.ip_set.directions",
            absl::StrCat("has ", set.directions.size(),
                         " directions; one for each dimension of the set, 1 "
                         "to ",
                         kIpSetMaxDirections));
    }
  }

  void CheckComment() {
    const std::string& comment = match_.comment;
    if (!CheckLength(comment, kCommentMaxBytes, "match.comment")) return;
    if (!IsPrintable(comment)) {
      Wrong("match.comment",
            "has control characters, or bytes that are not UTF-8");
    }
  }

  const RuleSpec& rule_;
  const RuleMatch& match_;
  const Family family_;
  const Table table_;
  std::vector<RuleFault> faults_;
};

}  // namespace

bool IsRuleId(absl::string_view id) {
  return !id.empty() && id.size() <= kRuleIdMaxBytes &&
         absl::c_all_of(id, [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

bool HasPorts(uint8_t protocol) {
  switch (protocol) {
    case kProtocolTcp:
    case 17:   // udp
    case 33:   // dccp
    case 132:  // sctp
    case 136:  // udplite
      return true;
    default:
      return false;
  }
}

absl::Span<const absl::string_view> BuiltinChains(Table table) {
  static constexpr absl::string_view kFilter[] = {"INPUT", "FORWARD", "OUTPUT"};
  static constexpr absl::string_view kMangle[] = {
      "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
  static constexpr absl::string_view kRaw[] = {"PREROUTING", "OUTPUT"};
  static constexpr absl::string_view kNat[] = {"PREROUTING", "INPUT", "OUTPUT",
                                               "POSTROUTING"};
  switch (table) {
    case Table::kMangle:
      return kMangle;
    case Table::kRaw:
      return kRaw;
    case Table::kNat:
      return kNat;
    case Table::kFilter:
    case Table::kSecurity:
      break;
  }
  return kFilter;
}

std::vector<RuleFault> FaultsOfRule(const RuleSpec& rule, Family family,
                                    Table table) {
  return Inspection(rule, family, table).Run();
}

std::vector<RuleFault> FaultsOfSocket(const RuleMatch& match,
                                      absl::string_view from) {
  if (from == "OUTPUT" || from == "POSTROUTING") return {};
  std::vector<RuleFault> faults;
  const auto check_owner = [&](bool is_set, absl::string_view field) {
    if (!is_set) return;
    faults.push_back({std::string(field),
                      absl::StrCat("is known only where packets are sent, not "
                                   "for those from ",
                                   from, "; use OUTPUT and POSTROUTING")});
  };
  check_owner(match.owner_uid.has_value(), "match.owner_uid");
  check_owner(match.owner_gid.has_value(), "match.owner_gid");
  if (match.cgroup_path.has_value() && from != "INPUT") {
    faults.push_back(
        {"match.cgroup_path",
         absl::StrCat("is known only at a local socket, not for "
                      "packets from ",
                      from, "; use INPUT, OUTPUT or POSTROUTING")});
  }
  return faults;
}

}  // namespace nfmeter::kernel
