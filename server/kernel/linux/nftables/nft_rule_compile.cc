// SPDX-License-Identifier: GPL-3.0-or-later
// CompileNftRule().
//
// Conditions are written as nft itself writes them, so that it lists them in
// words, and in one order: those that cost most come last.
#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/linux/nftables/nft_rule_layout.h"
#include "kernel/linux/nftables/nft_userdata.h"
#include "kernel/rule_edit.h"
#include "kernel/rule_mark.h"

namespace nfmeter::kernel {
namespace {

using Expressions = std::vector<NftExpression>;

// Writes the expressions of one rule.
class Compiler {
 public:
  Compiler(Family family, const RuleMatch& match, const NftRuleParts& parts)
      : layout_(NftLayoutOf(family)), match_(match), parts_(parts) {}

  NftRule Conditions() {
    WriteConditions();
    return std::move(out_);
  }

  NftRule Run(const RuleSpec& rule) {
    WriteConditions();
    Count(rule);
    Verdict(rule);
    return std::move(out_);
  }

 private:
  void WriteConditions() {
    const bool bare_icmp = IsBareIcmp(match_);
    if (bare_icmp) Protocol();
    Add(NftMeta{NFT_META_NFPROTO});
    Compare(false, std::string(1, layout_.nfproto));
    Interface(match_.in_interface, NFT_META_IIFNAME, NFT_META_IIF);
    Interface(match_.out_interface, NFT_META_OIFNAME, NFT_META_OIF);
    Address(match_.source, layout_.source_offset);
    Address(match_.destination, layout_.destination_offset);
    Dscp();
    if (!bare_icmp) Protocol();
    Ports(match_.source_ports, kNftSourcePortOffset);
    Ports(match_.destination_ports, kNftDestinationPortOffset);
    Icmp();
    TcpFlags();
    if (match_.packet_type.has_value()) {
      Add(NftMeta{NFT_META_PKTTYPE});
      Compare(match_.packet_type->negated,
              std::string(1, static_cast<char>(match_.packet_type->value)));
    }
    Mark();
    Owner(match_.owner_uid, NFT_META_SKUID);
    Owner(match_.owner_gid, NFT_META_SKGID);
    if (match_.cgroup_path.has_value()) {
      Add(NftSocket{NFT_SOCKET_CGROUPV2, parts_.cgroup.level});
      Compare(match_.cgroup_path->negated, HostBytes(parts_.cgroup.id));
    }
    Conntrack();
    AddressTypes(match_.source_address_types, NFTA_FIB_F_SADDR);
    AddressTypes(match_.destination_address_types, NFTA_FIB_F_DADDR);
  }

  void Add(NftExpression expression) {
    out_.bytes.expressions.push_back(std::move(expression));
  }
  void Compare(bool negated, std::string value) {
    Add(NftCompare{negated ? uint32_t{NFT_CMP_NEQ} : uint32_t{NFT_CMP_EQ},
                   std::move(value)});
  }
  // A number of the host's order, as it lies in a register.
  template <typename T>
  static std::string HostBytes(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
  }

  void Protocol() {
    if (!match_.protocol.has_value()) return;
    Add(NftMeta{NFT_META_L4PROTO});
    Compare(match_.protocol->negated, std::string(1, match_.protocol->value));
  }

  void Interface(const std::optional<Negatable<std::string>>& interface,
                 uint32_t name_key, uint32_t index_key) {
    if (!interface.has_value()) return;
    std::string name = interface->value;
    if (name == "+") {
      // Any interface will do, but there must be one.
      Add(NftMeta{index_key});
      Compare(!interface->negated, HostBytes(uint32_t{0}));
      return;
    }
    Add(NftMeta{name_key});
    if (absl::EndsWith(name, "+")) {
      name.pop_back();
    } else {
      name.resize(IFNAMSIZ);
    }
    Compare(interface->negated, name);
  }

  void Address(const std::optional<Negatable<IpPrefix>>& prefix,
               uint32_t offset) {
    if (!prefix.has_value()) return;
    const auto bytes = [&](const std::array<uint8_t, 16>& array) {
      return std::string(reinterpret_cast<const char*>(array.data()),
                         layout_.address_bytes);
    };
    const std::string mask = bytes(prefix->value.mask);
    std::string address = bytes(prefix->value.address);
    // Where the mask covers whole bytes, only these are loaded.
    const size_t whole = std::min(mask.find_first_not_of('\xff'), mask.size());
    if (whole > 0 && mask.find_first_not_of('\0', whole) == std::string::npos) {
      address.resize(whole);
      Add(NftPayload{NFT_PAYLOAD_NETWORK_HEADER, offset,
                     static_cast<uint32_t>(whole)});
    } else {
      Add(NftPayload{NFT_PAYLOAD_NETWORK_HEADER, offset,
                     static_cast<uint32_t>(mask.size())});
      Add(NftBitwise{mask});
    }
    Compare(prefix->negated, address);
  }

  void Dscp() {
    if (!match_.dscp.has_value()) return;
    Add(NftPayload{NFT_PAYLOAD_NETWORK_HEADER, layout_.dscp_offset,
                   static_cast<uint32_t>(layout_.dscp_mask.size())});
    Add(NftBitwise{std::string(layout_.dscp_mask)});
    Compare(match_.dscp->negated, layout_.DscpBytes(match_.dscp->value));
  }

  void Ports(const std::optional<Negatable<std::vector<PortRange>>>& ports,
             uint32_t offset) {
    if (!ports.has_value()) return;
    Add(NftPayload{NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(uint16_t)});
    const std::vector<PortRange> apart = NftPortsApart(ports->value);
    if (apart.size() > 1) {
      NftBatch::Set set = {.id = NextSet(),
                           .key_type = kNftTypeService,
                           .key_bytes = sizeof(uint16_t)};
      for (const PortRange& range : apart) {
        set.elements.push_back({range.first, range.last});
      }
      Lookup(std::move(set), ports->negated);
      return;
    }
    Between(HostBytes(htobe16(apart[0].first)),
            HostBytes(htobe16(apart[0].last)), ports->negated);
  }

  // What the register holds lies within `first` to `last`.
  void Between(const std::string& first, const std::string& last,
               bool negated) {
    if (first == last) {
      Compare(negated, first);
    } else if (negated) {
      Add(NftOutside{first, last});
    } else {
      Add(NftCompare{NFT_CMP_GTE, first});
      Add(NftCompare{NFT_CMP_LTE, last});
    }
  }

  uint32_t NextSet() const {
    return parts_.first_set + static_cast<uint32_t>(out_.sets.size());
  }
  void Lookup(NftBatch::Set set, bool negated) {
    Add(NftLookup{.set = "__set%d", .id = set.id, .negated = negated});
    out_.sets.push_back(std::move(set));
  }

  void Icmp() {
    if (!match_.icmp.has_value()) return;
    std::string value(1, match_.icmp->value.type);
    if (match_.icmp->value.code.has_value()) {
      value.push_back(static_cast<char>(*match_.icmp->value.code));
    }
    Add(NftPayload{NFT_PAYLOAD_TRANSPORT_HEADER, 0,
                   static_cast<uint32_t>(value.size())});
    Compare(match_.icmp->negated, value);
  }

  void TcpFlags() {
    if (!match_.tcp_flags.has_value()) return;
    Add(NftPayload{NFT_PAYLOAD_TRANSPORT_HEADER, kNftTcpFlagsOffset, 1});
    Add(NftBitwise{std::string(1, match_.tcp_flags->value.mask)});
    Compare(match_.tcp_flags->negated,
            std::string(1, match_.tcp_flags->value.set));
  }

  void Mark() {
    if (!match_.mark.has_value()) return;
    Add(NftMeta{NFT_META_MARK});
    if (match_.mark->value.mask != UINT32_MAX) {
      Add(NftBitwise{HostBytes(match_.mark->value.mask)});
    }
    Compare(match_.mark->negated, HostBytes(match_.mark->value.value));
  }

  void Owner(const std::optional<Negatable<IdRange>>& ids, uint32_t key) {
    if (!ids.has_value()) return;
    Add(NftMeta{key});
    if (ids->value.first == ids->value.last) {
      Compare(ids->negated, HostBytes(ids->value.first));
      return;
    }
    Add(NftToNetworkOrder{});
    Between(HostBytes(htobe32(ids->value.first)),
            HostBytes(htobe32(ids->value.last)), ids->negated);
  }

  void Conntrack() {
    if (!match_.conntrack_states.has_value()) return;
    const auto [value, negated] = *match_.conntrack_states;
    const uint32_t states = NftConntrackBits(value, kNftConntrackStates);
    const uint32_t status = NftConntrackBits(value, kNftConntrackStatus);
    Add(NftCt{states != 0 ? uint32_t{NFT_CT_STATE} : uint32_t{NFT_CT_STATUS}});
    Add(NftBitwise{HostBytes(states | status)});
    Compare(!negated, HostBytes(uint32_t{0}));
  }

  void AddressTypes(const std::optional<Negatable<uint16_t>>& types,
                    uint32_t flags) {
    if (!types.has_value()) return;
    Add(NftFib{.result = NFT_FIB_RESULT_ADDRTYPE, .flags = flags});
    NftBatch::Set set = {.id = NextSet(),
                         .key_type = kNftTypeAddressType,
                         .key_bytes = sizeof(uint32_t),
                         .host_order = true};
    // Bit n stands for rtnetlink's type n.
    for (uint32_t type = 0; type < 16; ++type) {
      if ((types->value >> type & 1) != 0) set.elements.push_back({type, type});
    }
    if (set.elements.size() == 1) {
      Compare(types->negated, HostBytes(set.elements[0].first));
    } else {
      Lookup(std::move(set), types->negated);
    }
  }

  // As the nfacct match does: counts always, and with a quota goes on to the
  // verdict only once it is exceeded.
  void Count(const RuleSpec& rule) {
    Add(NftCounter{parts_.packets, parts_.bytes});
    const std::string object = NftObjectName(rule.counter);
    Add(NftObject{static_cast<uint32_t>(NftObjectType::kCounter), object});
    if (parts_.quota) {
      Add(NftObject{static_cast<uint32_t>(NftObjectType::kQuota), object});
    }
  }

  void Verdict(const RuleSpec& rule) {
    switch (rule.verdict) {
      case Verdict::kAccept:
        return Add(NftVerdict{kNftAccept, ""});
      case Verdict::kDrop:
        return Add(NftVerdict{kNftDrop, ""});
      case Verdict::kReturn:
        return Add(NftVerdict{NFT_RETURN, ""});
      case Verdict::kContinue:
      case Verdict::kOther:
        return;
    }
  }

  const NftLayout& layout_;
  const RuleMatch& match_;
  const NftRuleParts& parts_;
  NftRule out_;
};

absl::Status CheckMatch(const RuleSpec& rule) {
  if (rule.match.ip_set.has_value()) {
    return AboutRule(
        rule, "match.ip_set",
        MakeError(absl::StatusCode::kUnimplemented, "MATCH_UNAVAILABLE",
                  "nf_tables, by which this node counts, can't look into "
                  "ipsets; match addresses, or run nfmeterd with --backend "
                  "iptables"));
  }
  if (!rule.match.conntrack_states.has_value()) return absl::OkStatus();
  const uint32_t states = rule.match.conntrack_states->value;
  if (NftConntrackBits(states, kNftConntrackStates) != 0 &&
      NftConntrackBits(states, kNftConntrackStatus) != 0) {
    return AboutRule(
        rule, "match.conntrack_states",
        MakeError(absl::StatusCode::kInvalidArgument, "RULE_NOT_EXPRESSIBLE",
                  "nf_tables, by which this node counts, can't ask for SNAT or "
                  "DNAT and another state in one condition; make a rule for "
                  "each"));
  }
  return absl::OkStatus();
}

absl::Status CheckExpressible(const RuleSpec& rule) {
  if (rule.form != CountingForm::kTarget) return CheckMatch(rule);
  return AboutRule(
      rule, "counting_form",
      MakeError(absl::StatusCode::kUnimplemented, "TARGET_UNAVAILABLE",
                "nf_tables, by which this node counts, has no NFACCT target "
                "(kmod/ brings it to legacy iptables); leave counting_form "
                "empty"));
}

// A port list in bytes: first and last of each.
std::string PortBytes(const std::vector<PortRange>& ports) {
  std::string bytes;
  for (const PortRange& range : ports) {
    for (const uint16_t port : {range.first, range.last}) {
      bytes.push_back(static_cast<char>(port >> 8));
      bytes.push_back(static_cast<char>(port & 0xff));
    }
  }
  return bytes;
}

// A set keeps neither the order of ports nor ranges that touch, so the list is
// kept as it was given.
void AppendPorts(NftEntry entry,
                 const std::optional<Negatable<std::vector<PortRange>>>& ports,
                 std::string& out) {
  if (!ports.has_value() || NftPortsApart(ports->value) == ports->value) return;
  AppendNftEntry(entry, PortBytes(ports->value), out);
}

absl::StatusOr<std::string> UserdataOf(const RuleSpec& rule) {
  const std::string comment = NftRuleComment(rule.id, rule.match.comment);
  std::string out = NftComment(comment);
  if (!absl::EndsWith(comment, absl::StrCat(" ", rule.match.comment)) &&
      !rule.match.comment.empty()) {
    AppendNftEntry(NftEntry::kWords, rule.match.comment, out);
  }
  AppendPorts(NftEntry::kSourcePorts, rule.match.source_ports, out);
  AppendPorts(NftEntry::kDestinationPorts, rule.match.destination_ports, out);
  if (rule.match.cgroup_path.has_value() &&
      rule.match.cgroup_path->value.size() < kNftUserdataMaxBytes) {
    AppendNftEntry(NftEntry::kCgroupPath, rule.match.cgroup_path->value, out);
  } else if (rule.match.cgroup_path.has_value()) {
    out.resize(kNftUserdataMaxBytes + 1);
  }
  if (out.size() <= kNftUserdataMaxBytes) return out;
  return AboutRule(
      rule,
      rule.match.cgroup_path.has_value() ? "match.cgroup_path"
                                         : "match.comment",
      MakeError(absl::StatusCode::kInvalidArgument, "RULE_NOT_EXPRESSIBLE",
                absl::StrCat("comment, ports and cgroup path are too long "
                             "together for nf_tables, by which this node "
                             "counts: it keeps ",
                             kNftUserdataMaxBytes, " bytes beside a rule")));
}

}  // namespace

std::string NftRuleComment(absl::string_view id, absl::string_view words) {
  const std::string both = RuleMark(id, words);
  return IsNftComment(both) ? both : RuleMark(id, "");
}

absl::StatusOr<NftRule> CompileNftRule(Family family, const RuleSpec& rule,
                                       const NftRuleParts& parts) {
  NFM_RETURN_IF_ERROR(CheckExpressible(rule));
  NFM_ASSIGN_OR_RETURN(std::string userdata, UserdataOf(rule));
  NftRule out = Compiler(family, rule.match, parts).Run(rule);
  out.bytes.userdata = std::move(userdata);
  return out;
}

absl::StatusOr<NftRule> CompileNftMatch(Family family, const RuleSpec& rule,
                                        const NftRuleParts& parts) {
  NFM_RETURN_IF_ERROR(CheckMatch(rule));
  return Compiler(family, rule.match, parts).Conditions();
}

}  // namespace nfmeter::kernel
