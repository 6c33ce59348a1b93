// SPDX-License-Identifier: GPL-3.0-or-later
// NftRuleText(): the words of nft.
#include <netdb.h>
#include <netinet/in.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/linux/nftables/nft_rule_layout.h"

namespace nfmeter::kernel {
namespace {

struct Word {
  uint32_t number;
  absl::string_view word;
};

// icmp_type_tbl, icmp6_type_tbl and their codes in nft's proto.c and
// datatype.c.
constexpr Word kIcmpTypes[] = {
    {0, "echo-reply"},           {3, "destination-unreachable"},
    {4, "source-quench"},        {5, "redirect"},
    {8, "echo-request"},         {9, "router-advertisement"},
    {10, "router-solicitation"}, {11, "time-exceeded"},
    {12, "parameter-problem"},   {13, "timestamp-request"},
    {14, "timestamp-reply"},     {15, "info-request"},
    {16, "info-reply"},          {17, "address-mask-request"},
    {18, "address-mask-reply"}};
constexpr Word kIcmpv6Types[] = {
    {1, "destination-unreachable"}, {2, "packet-too-big"},
    {3, "time-exceeded"},           {4, "parameter-problem"},
    {128, "echo-request"},          {129, "echo-reply"},
    {130, "mld-listener-query"},    {131, "mld-listener-report"},
    {132, "mld-listener-done"},     {133, "nd-router-solicit"},
    {134, "nd-router-advert"},      {135, "nd-neighbor-solicit"},
    {136, "nd-neighbor-advert"},    {137, "nd-redirect"},
    {138, "router-renumbering"},    {141, "ind-neighbor-solicit"},
    {142, "ind-neighbor-advert"},   {143, "mld2-listener-report"}};
constexpr Word kIcmpCodes[] = {
    {0, "net-unreachable"},  {1, "host-unreachable"}, {2, "prot-unreachable"},
    {3, "port-unreachable"}, {4, "frag-needed"},      {9, "net-prohibited"},
    {10, "host-prohibited"}, {13, "admin-prohibited"}};
constexpr Word kIcmpv6Codes[] = {
    {0, "no-route"},         {1, "admin-prohibited"}, {3, "addr-unreachable"},
    {4, "port-unreachable"}, {5, "policy-fail"},      {6, "reject-route"}};
constexpr Word kDscps[] = {{0x08, "cs1"},  {0x10, "cs2"},  {0x18, "cs3"},
                           {0x20, "cs4"},  {0x28, "cs5"},  {0x30, "cs6"},
                           {0x38, "cs7"},  {0x00, "cs0"},  {0x0a, "af11"},
                           {0x0c, "af12"}, {0x0e, "af13"}, {0x12, "af21"},
                           {0x14, "af22"}, {0x16, "af23"}, {0x1a, "af31"},
                           {0x1c, "af32"}, {0x1e, "af33"}, {0x22, "af41"},
                           {0x24, "af42"}, {0x26, "af43"}, {0x2e, "ef"}};
constexpr Word kAddressTypes[] = {
    {0, "unspec"},    {1, "unicast"},     {2, "local"},
    {3, "broadcast"}, {4, "anycast"},     {5, "multicast"},
    {6, "blackhole"}, {7, "unreachable"}, {8, "prohibit"}};
constexpr Word kStates[] = {{kCtInvalid, "invalid"},
                            {kCtEstablished, "established"},
                            {kCtRelated, "related"},
                            {kCtNew, "new"},
                            {kCtUntracked, "untracked"}};
constexpr Word kStatus[] = {{kCtSnat, "snat"}, {kCtDnat, "dnat"}};
constexpr Word kTcpFlags[] = {{1, "fin"},  {2, "syn"},  {4, "rst"},
                              {8, "psh"},  {16, "ack"}, {32, "urg"},
                              {64, "ecn"}, {128, "cwr"}};
constexpr absl::string_view kPacketTypes[] = {"host", "broadcast", "multicast"};

std::string WordOf(uint32_t number, absl::Span<const Word> words) {
  for (const Word& each : words) {
    if (each.number == number) return std::string(each.word);
  }
  return absl::StrCat(number);
}

std::string BitsOf(uint32_t bits, absl::Span<const Word> words) {
  std::vector<absl::string_view> set;
  for (const Word& each : words) {
    if ((bits & each.number) != 0) set.push_back(each.word);
  }
  return absl::StrJoin(set, ",");
}

absl::string_view Not(bool negated) { return negated ? "!= " : ""; }

std::string ProtocolWord(uint8_t protocol) {
  protoent storage;
  protoent* found = nullptr;
  char buffer[4096];
  if (getprotobynumber_r(protocol, &storage, buffer, sizeof(buffer), &found) ==
          0 &&
      found != nullptr) {
    return found->p_name;
  }
  return absl::StrCat(protocol);
}

template <typename T>
std::string RangeText(const Range<T>& range) {
  return range.first == range.last ? absl::StrCat(range.first)
                                   : absl::StrCat(range.first, "-", range.last);
}

// Writes one rule.
class Text {
 public:
  Text(Family family, const Rule& rule)
      : family_(family), rule_(rule), match_(rule.match) {}

  std::string Run(const NftRuleTraits& traits) {
    const bool bare_icmp = IsBareIcmp(match_);
    if (bare_icmp) Protocol();
    AddFamily();
    Interface(match_.in_interface, "iif");
    Interface(match_.out_interface, "oif");
    Address(match_.source, "saddr");
    Address(match_.destination, "daddr");
    if (match_.dscp.has_value()) {
      Add(Header(), " dscp ", Not(match_.dscp->negated), DscpWord());
    }
    if (!bare_icmp) Protocol();
    Ports(match_.source_ports, "sport");
    Ports(match_.destination_ports, "dport");
    Icmp();
    TcpFlags();
    if (match_.packet_type.has_value()) {
      Add("meta pkttype ", Not(match_.packet_type->negated),
          kPacketTypes[static_cast<size_t>(match_.packet_type->value)]);
    }
    Mark();
    Owner(match_.owner_uid, "skuid");
    Owner(match_.owner_gid, "skgid");
    Cgroup();
    Conntrack();
    AddressTypes(match_.source_address_types, "saddr");
    AddressTypes(match_.destination_address_types, "daddr");
    for (const std::string& other : rule_.other_matches) Add("[", other, "]");
    Count(traits);
    Verdict(traits.goes_to);
    Comment();
    return std::move(text_);
  }

 private:
  template <typename... Parts>
  void Add(const Parts&... parts) {
    if (!text_.empty()) text_.push_back(' ');
    absl::StrAppend(&text_, parts...);
  }

  absl::string_view Header() const {
    return family_ == kernel::Family::kIpv4 ? "ip" : "ip6";
  }

  // nft leaves out what a condition behind it implies.
  void AddFamily() {
    if (match_.source.has_value() || match_.destination.has_value() ||
        match_.dscp.has_value() || match_.icmp.has_value()) {
      return;
    }
    Add("meta nfproto ", family_ == kernel::Family::kIpv4 ? "ipv4" : "ipv6");
  }

  void Interface(const std::optional<Negatable<std::string>>& interface,
                 absl::string_view direction) {
    if (!interface.has_value()) return;
    std::string name = interface->value;
    if (name == "+") {
      Add(direction, " ", Not(!interface->negated), "0");
      return;
    }
    if (name.back() == '+') name.back() = '*';
    Add(direction, "name ", Not(interface->negated), "\"", name, "\"");
  }

  void Address(const std::optional<Negatable<IpPrefix>>& prefix,
               absl::string_view which) {
    if (!prefix.has_value()) return;
    const size_t bytes = NftLayoutOf(family_).address_bytes;
    const std::string address =
        FormatAddress(family_, prefix->value.address.data());
    const std::optional<size_t> length = PrefixLength(prefix->value);
    if (!length.has_value()) {
      Add(Header(), " ", which, " & ",
          FormatAddress(family_, prefix->value.mask.data()),
          prefix->negated ? " != " : " == ", address);
    } else if (*length == 8 * bytes) {
      Add(Header(), " ", which, " ", Not(prefix->negated), address);
    } else {
      Add(Header(), " ", which, " ", Not(prefix->negated), address, "/",
          *length);
    }
  }

  std::string DscpWord() const {
    for (const Word& each : kDscps) {
      if (each.number == match_.dscp->value) return std::string(each.word);
    }
    return absl::StrFormat("0x%02x", match_.dscp->value);
  }

  bool ProtocolIsImplied() const {
    return match_.source_ports.has_value() ||
           match_.destination_ports.has_value() || match_.icmp.has_value() ||
           match_.tcp_flags.has_value();
  }

  void Protocol() {
    if (!match_.protocol.has_value() || ProtocolIsImplied()) return;
    Add("meta l4proto ", Not(match_.protocol->negated),
        ProtocolWord(match_.protocol->value));
  }

  void Ports(const std::optional<Negatable<std::vector<PortRange>>>& ports,
             absl::string_view which) {
    if (!ports.has_value()) return;
    const std::string protocol = match_.protocol.has_value()
                                     ? ProtocolWord(match_.protocol->value)
                                     : "th";
    std::vector<std::string> ranges;
    for (const PortRange& range : NftPortsApart(ports->value)) {
      ranges.push_back(RangeText(range));
    }
    if (ranges.size() == 1) {
      Add(protocol, " ", which, " ", Not(ports->negated), ranges[0]);
    } else {
      Add(protocol, " ", which, " ", Not(ports->negated), "{ ",
          absl::StrJoin(ranges, ", "), " }");
    }
  }

  void Icmp() {
    if (!match_.icmp.has_value()) return;
    const bool ipv4 = family_ == kernel::Family::kIpv4;
    const absl::string_view header = ipv4 ? "icmp" : "icmpv6";
    const kernel::Icmp& icmp = match_.icmp->value;
    Add(header, " type ", Not(match_.icmp->negated),
        WordOf(icmp.type, ipv4 ? absl::Span<const Word>(kIcmpTypes)
                               : absl::Span<const Word>(kIcmpv6Types)));
    if (!icmp.code.has_value()) return;
    // Negated, this means "not both", which nft writes and reads like this.
    Add(header, " code ", Not(match_.icmp->negated),
        WordOf(*icmp.code, ipv4 ? absl::Span<const Word>(kIcmpCodes)
                                : absl::Span<const Word>(kIcmpv6Codes)));
  }

  void TcpFlags() {
    if (!match_.tcp_flags.has_value()) return;
    const kernel::TcpFlags& flags = match_.tcp_flags->value;
    if (flags.set == 0) {
      Add("tcp flags ", match_.tcp_flags->negated ? "" : "! ",
          BitsOf(flags.mask, kTcpFlags));
      return;
    }
    Add("tcp flags ", Not(match_.tcp_flags->negated),
        BitsOf(flags.set, kTcpFlags), " / ", BitsOf(flags.mask, kTcpFlags));
  }

  void Mark() {
    if (!match_.mark.has_value()) return;
    const kernel::Mark& mark = match_.mark->value;
    const std::string value = absl::StrFormat("0x%08x", mark.value);
    if (mark.mask == UINT32_MAX) {
      Add("meta mark ", Not(match_.mark->negated), value);
    } else {
      Add("meta mark & ", absl::StrFormat("0x%08x", mark.mask),
          match_.mark->negated ? " != " : " == ", value);
    }
  }

  void Owner(const std::optional<Negatable<IdRange>>& ids,
             absl::string_view which) {
    if (!ids.has_value()) return;
    Add("meta ", which, " ", Not(ids->negated), RangeText(ids->value));
  }

  void Cgroup() {
    if (!match_.cgroup_path.has_value()) return;
    const std::vector<absl::string_view> names =
        absl::StrSplit(match_.cgroup_path->value, '/', absl::SkipEmpty());
    Add("socket cgroupv2 level ", names.size(), " ",
        Not(match_.cgroup_path->negated), "\"", absl::StrJoin(names, "/"),
        "\"");
  }

  void Conntrack() {
    if (!match_.conntrack_states.has_value()) return;
    const auto [states, negated] = *match_.conntrack_states;
    const std::string known = BitsOf(states, kStates);
    if (known.empty()) {
      Add("ct status ", negated ? "! " : "", BitsOf(states, kStatus));
    } else {
      Add("ct state ", negated ? "! " : "", known);
    }
  }

  void AddressTypes(const std::optional<Negatable<uint16_t>>& types,
                    absl::string_view which) {
    if (!types.has_value()) return;
    std::vector<std::string> words;
    for (uint32_t type = 0; type < 16; ++type) {
      if ((types->value >> type & 1) != 0) {
        words.push_back(WordOf(type, kAddressTypes));
      }
    }
    if (words.size() == 1) {
      Add("fib ", which, " type ", Not(types->negated), words[0]);
    } else {
      Add("fib ", which, " type ", Not(types->negated), "{ ",
          absl::StrJoin(words, ", "), " }");
    }
  }

  void Count(const NftRuleTraits& traits) {
    if (rule_.counter.empty()) return;
    if (traits.counts_itself) Add("counter");
    Add("counter name \"", NftObjectName(rule_.counter), "\"");
    for (const std::string& other : rule_.other_counters) {
      Add("counter name \"", NftObjectName(other), "\"");
    }
    if (traits.asks_quota)
      Add("quota name \"", NftObjectName(rule_.counter), "\"");
  }

  void Verdict(bool goes_to) {
    switch (rule_.verdict) {
      case kernel::Verdict::kAccept:
        return Add("accept");
      case kernel::Verdict::kDrop:
        return Add("drop");
      case kernel::Verdict::kReturn:
        return Add("return");
      case kernel::Verdict::kOther:
        return Add(goes_to ? "goto " : "jump ", rule_.target);
      case kernel::Verdict::kContinue:
        return;
    }
  }

  void Comment() {
    const std::string comment = rule_.managed
                                    ? NftRuleComment(rule_.id, match_.comment)
                                    : match_.comment;
    if (!comment.empty()) Add("comment \"", comment, "\"");
  }

  const kernel::Family family_;
  const Rule& rule_;
  const RuleMatch& match_;
  std::string text_;
};

}  // namespace

std::string NftRuleText(Family family, const Rule& rule,
                        const NftRuleTraits& traits) {
  return Text(family, rule).Run(traits);
}

}  // namespace nfmeter::kernel
