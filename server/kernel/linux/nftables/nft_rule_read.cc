// SPDX-License-Identifier: GPL-3.0-or-later
// ReadNftRuleOf().
#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "kernel/linux/nftables/nft_expression_cursor.h"
#include "kernel/linux/nftables/nft_name.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/linux/nftables/nft_rule_layout.h"
#include "kernel/linux/nftables/nft_userdata.h"
#include "kernel/rule_law.h"
#include "kernel/rule_mark.h"

namespace nfmeter::kernel {
namespace {

template <typename T>
std::optional<T> NumberOf(absl::string_view bytes) {
  if (bytes.size() != sizeof(T)) return std::nullopt;
  T number;
  memcpy(&number, bytes.data(), sizeof(number));
  return number;
}

std::optional<uint16_t> PortOf(absl::string_view bytes) {
  const auto number = NumberOf<uint16_t>(bytes);
  if (!number.has_value()) return std::nullopt;
  return be16toh(*number);
}

std::optional<uint32_t> NetworkIdOf(absl::string_view bytes) {
  const auto number = NumberOf<uint32_t>(bytes);
  if (!number.has_value()) return std::nullopt;
  return be32toh(*number);
}

// Reads the expressions of one rule as the compiler writes them.
class Reader {
 public:
  Reader(Family family, const NftRuleInfo& info, NftSetLookup sets, Rule& out)
      : family_(family),
        layout_(NftLayoutOf(family)),
        in_(ReadNftExpressions(info.expressions)),
        sets_(sets),
        userdata_(info.userdata),
        out_(out),
        match_(out.match) {}

  void Run() {
    while (!in_.at_end()) {
      const size_t start = in_.position();
      if (!ReadOne()) out_.other_matches.push_back(in_.PassForeign(start));
    }
  }

  const NftRuleTraits& traits() const { return traits_; }

 private:
  bool ReadOne() {
    if (const auto* meta = in_.Take<NftMeta>()) return ReadMeta(meta->key);
    if (const auto* payload = in_.Take<NftPayload>())
      return ReadPayload(*payload);
    if (const auto* ct = in_.Take<NftCt>()) return ReadConntrack(ct->key);
    if (const auto* socket = in_.Take<NftSocket>()) return ReadSocket(*socket);
    if (const auto* fib = in_.Take<NftFib>()) return ReadFib(*fib);
    if (const auto* counter = in_.Take<NftCounter>()) {
      traits_.counts_itself = true;
      out_.packets = counter->packets;
      out_.bytes = counter->bytes;
      return true;
    }
    if (const auto* object = in_.Take<NftObject>()) return ReadObject(*object);
    if (const auto* verdict = in_.Take<NftVerdict>())
      return ReadVerdict(*verdict);
    return false;
  }

  template <typename T>
  static bool Set(std::optional<Negatable<T>>& field, T value, bool negated) {
    if (field.has_value()) return false;  // twice is not ours
    field = {std::move(value), negated};
    return true;
  }

  bool ReadMeta(uint32_t key) {
    switch (key) {
      case NFT_META_NFPROTO: {
        const auto is = in_.TakeComparison();
        return is.has_value() && !is->negated &&
               is->value == std::string(1, layout_.nfproto);
      }
      case NFT_META_L4PROTO: {
        const auto is = in_.TakeComparison();
        return is.has_value() && is->value.size() == 1 &&
               Set<uint8_t>(match_.protocol, is->value[0], is->negated);
      }
      case NFT_META_IIFNAME:
        return ReadInterface(match_.in_interface);
      case NFT_META_OIFNAME:
        return ReadInterface(match_.out_interface);
      case NFT_META_IIF:
        return ReadAnyInterface(match_.in_interface);
      case NFT_META_OIF:
        return ReadAnyInterface(match_.out_interface);
      case NFT_META_PKTTYPE: {
        const auto is = in_.TakeComparison();
        return is.has_value() && is->value.size() == 1 &&
               static_cast<uint8_t>(is->value[0]) <=
                   static_cast<uint8_t>(PacketType::kMulticast) &&
               Set(match_.packet_type, static_cast<PacketType>(is->value[0]),
                   is->negated);
      }
      case NFT_META_MARK:
        return ReadMark();
      case NFT_META_SKUID:
        return ReadOwner(match_.owner_uid);
      case NFT_META_SKGID:
        return ReadOwner(match_.owner_gid);
      default:
        return false;
    }
  }

  bool ReadInterface(std::optional<Negatable<std::string>>& field) {
    const auto is = in_.TakeComparison();
    if (!is.has_value()) return false;
    const size_t nul = is->value.find('\0');
    std::string name = is->value.substr(0, nul);
    if (nul == std::string::npos) name.push_back('+');
    return !name.empty() && Set(field, std::move(name), is->negated);
  }
  bool ReadAnyInterface(std::optional<Negatable<std::string>>& field) {
    const auto is = in_.TakeComparison();
    return is.has_value() && NumberOf<uint32_t>(is->value) == 0u &&
           Set<std::string>(field, "+", !is->negated);
  }

  bool ReadMark() {
    Mark mark;
    if (const auto* bitwise = in_.Take<NftBitwise>()) {
      mark.mask = NumberOf<uint32_t>(bitwise->mask).value_or(0);
    }
    const auto is = in_.TakeComparison();
    if (!is.has_value()) return false;
    const auto value = NumberOf<uint32_t>(is->value);
    if (!value.has_value()) return false;
    mark.value = *value;
    return Set(match_.mark, mark, is->negated);
  }

  bool ReadOwner(std::optional<Negatable<IdRange>>& field) {
    const bool network_order = in_.Take<NftToNetworkOrder>() != nullptr;
    const auto is = in_.TakeBetween();
    if (!is.has_value()) return false;
    const auto number = network_order ? NetworkIdOf : NumberOf<uint32_t>;
    const auto first = number(is->first);
    const auto last = number(is->last);
    return first.has_value() && last.has_value() &&
           Set(field, IdRange{*first, *last}, is->negated);
  }

  bool ReadPayload(const NftPayload& payload) {
    if (payload.second) return false;
    if (payload.base == NFT_PAYLOAD_NETWORK_HEADER) {
      if (payload.offset == layout_.source_offset) {
        return ReadAddress(payload.bytes, match_.source);
      }
      if (payload.offset == layout_.destination_offset) {
        return ReadAddress(payload.bytes, match_.destination);
      }
      return payload.offset == layout_.dscp_offset &&
             payload.bytes == layout_.dscp_mask.size() && ReadDscp();
    }
    if (payload.base != NFT_PAYLOAD_TRANSPORT_HEADER) return false;
    if (payload.offset == kNftTcpFlagsOffset && payload.bytes == 1) {
      return ReadTcpFlags();
    }
    if (payload.offset == 0 && IsIcmp()) return ReadIcmp(payload.bytes);
    if (payload.bytes != sizeof(uint16_t)) return false;
    if (payload.offset == kNftSourcePortOffset) {
      return ReadPorts(NftEntry::kSourcePorts, match_.source_ports);
    }
    return payload.offset == kNftDestinationPortOffset &&
           ReadPorts(NftEntry::kDestinationPorts, match_.destination_ports);
  }

  bool IsIcmp() const {
    return match_.protocol.has_value() && !match_.protocol->negated &&
           (match_.protocol->value == kProtocolIcmp ||
            match_.protocol->value == kProtocolIcmpv6);
  }

  bool ReadAddress(uint32_t bytes, std::optional<Negatable<IpPrefix>>& field) {
    if (bytes == 0 || bytes > layout_.address_bytes) return false;
    IpPrefix prefix{.family = family_};
    std::fill_n(prefix.mask.begin(), bytes, 0xff);
    if (const auto* bitwise = in_.Take<NftBitwise>()) {
      if (bitwise->mask.size() != bytes) return false;
      std::copy(bitwise->mask.begin(), bitwise->mask.end(),
                prefix.mask.begin());
    }
    const auto is = in_.TakeComparison();
    if (!is.has_value() || is->value.size() != bytes) return false;
    std::copy(is->value.begin(), is->value.end(), prefix.address.begin());
    return Set(field, prefix, is->negated);
  }

  bool ReadDscp() {
    const auto* bitwise = in_.Take<NftBitwise>();
    const auto is = in_.TakeComparison();
    if (bitwise == nullptr || bitwise->mask != layout_.dscp_mask ||
        !is.has_value() || is->value.size() != bitwise->mask.size()) {
      return false;
    }
    uint32_t number = 0;
    for (const uint8_t byte : is->value) number = number << 8 | byte;
    const uint32_t dscp = number >> layout_.dscp_shift;
    return layout_.DscpBytes(static_cast<uint8_t>(dscp)) == is->value &&
           Set(match_.dscp, static_cast<uint8_t>(dscp), is->negated);
  }

  bool ReadTcpFlags() {
    const auto* bitwise = in_.Take<NftBitwise>();
    const auto is = in_.TakeComparison();
    return bitwise != nullptr && bitwise->mask.size() == 1 && is.has_value() &&
           is->value.size() == 1 &&
           Set(match_.tcp_flags,
               TcpFlags{.mask = static_cast<uint8_t>(bitwise->mask[0]),
                        .set = static_cast<uint8_t>(is->value[0])},
               is->negated);
  }

  bool ReadIcmp(uint32_t bytes) {
    const auto is = in_.TakeComparison();
    if (bytes == 0 || bytes > 2 || !is.has_value() ||
        is->value.size() != bytes) {
      return false;
    }
    Icmp icmp{.type = static_cast<uint8_t>(is->value[0])};
    if (bytes == 2) icmp.code = static_cast<uint8_t>(is->value[1]);
    return Set(match_.icmp, icmp, is->negated);
  }

  // The ports of a set, which begin and end where its elements say.
  std::optional<std::vector<PortRange>> PortsOf(const std::string& set) {
    std::optional<std::vector<NftElement>> elements = sets_(set);
    if (!elements.has_value()) return std::nullopt;
    std::sort(
        elements->begin(), elements->end(),
        [](const NftElement& a, const NftElement& b) { return a.key < b.key; });
    const bool intervals = std::any_of(
        elements->begin(), elements->end(),
        [](const NftElement& element) { return element.ends_range; });
    std::vector<PortRange> ports;
    bool open = false;
    for (const NftElement& element : *elements) {
      const auto port = PortOf(element.key);
      if (!port.has_value()) return std::nullopt;
      if (element.ends_range) {
        if (open) ports.back().last = *port - 1;
        open = false;
      } else {
        ports.push_back({*port, *port});
        open = true;
      }
    }
    if (intervals && open) ports.back().last = UINT16_MAX;
    return ports;
  }

  bool ReadPorts(NftEntry entry,
                 std::optional<Negatable<std::vector<PortRange>>>& field) {
    std::vector<PortRange> ports;
    bool negated = false;
    if (const auto* lookup = in_.Take<NftLookup>()) {
      std::optional<std::vector<PortRange>> read = PortsOf(lookup->set);
      if (!read.has_value()) return false;
      ports = *std::move(read);
      negated = lookup->negated;
    } else {
      const auto is = in_.TakeBetween();
      if (!is.has_value()) return false;
      const auto first = PortOf(is->first);
      const auto last = PortOf(is->last);
      if (!first.has_value() || !last.has_value()) return false;
      ports = {{*first, *last}};
      negated = is->negated;
    }
    const std::vector<PortRange> given = PortsGiven(entry);
    if (!given.empty() && NftPortsApart(given) == NftPortsApart(ports)) {
      ports = given;
    }
    return Set(field, std::move(ports), negated);
  }

  std::vector<PortRange> PortsGiven(NftEntry entry) {
    std::vector<PortRange> ports;
    absl::string_view bytes = ReadNftEntry(entry, userdata_).value_or("");
    constexpr size_t kRangeBytes = 2 * sizeof(uint16_t);
    for (; bytes.size() >= kRangeBytes; bytes.remove_prefix(kRangeBytes)) {
      ports.push_back(
          {*PortOf(bytes.substr(0, 2)), *PortOf(bytes.substr(2, 2))});
    }
    return ports;
  }

  bool ReadConntrack(uint32_t key) {
    const auto* bitwise = in_.Take<NftBitwise>();
    const auto is = in_.TakeComparison();
    if (bitwise == nullptr || !is.has_value() ||
        NumberOf<uint32_t>(is->value) != 0u) {
      return false;
    }
    const uint32_t bits = NumberOf<uint32_t>(bitwise->mask).value_or(0);
    const absl::Span<const NftBitPair> table =
        key == NFT_CT_STATE ? absl::Span<const NftBitPair>(kNftConntrackStates)
                            : absl::Span<const NftBitPair>(kNftConntrackStatus);
    const uint32_t states = ConntrackStatesOf(bits, table);
    return (key == NFT_CT_STATE || key == NFT_CT_STATUS) && bits != 0 &&
           NftConntrackBits(states, table) == bits &&
           Set(match_.conntrack_states, states, !is->negated);
  }

  bool ReadSocket(const NftSocket& socket) {
    const auto is = in_.TakeComparison();
    const auto path = ReadNftEntry(NftEntry::kCgroupPath, userdata_);
    return socket.key == NFT_SOCKET_CGROUPV2 && is.has_value() &&
           path.has_value() &&
           Set(match_.cgroup_path, std::string(*path), is->negated);
  }

  bool ReadFib(const NftFib& fib) {
    if (fib.result != NFT_FIB_RESULT_ADDRTYPE) return false;
    uint16_t types = 0;
    bool negated = false;
    std::vector<NftElement> elements;
    if (const auto* lookup = in_.Take<NftLookup>()) {
      std::optional<std::vector<NftElement>> read = sets_(lookup->set);
      if (!read.has_value()) return false;
      elements = *std::move(read);
      negated = lookup->negated;
    } else {
      const auto is = in_.TakeComparison();
      if (!is.has_value()) return false;
      elements.push_back({is->value});
      negated = is->negated;
    }
    for (const NftElement& element : elements) {
      const auto type = NumberOf<uint32_t>(element.key);
      if (!type.has_value() || *type >= 16) return false;
      types |= static_cast<uint16_t>(1 << *type);
    }
    if (fib.flags == NFTA_FIB_F_SADDR) {
      return Set(match_.source_address_types, types, negated);
    }
    return fib.flags == NFTA_FIB_F_DADDR &&
           Set(match_.destination_address_types, types, negated);
  }

  bool ReadObject(const NftObject& object) {
    // A quota stands beside its counter.
    if (object.type == static_cast<uint32_t>(NftObjectType::kQuota)) {
      traits_.asks_quota = true;
      return true;
    }
    std::string scratch;
    std::string name(CounterNameOf(object.name, scratch));
    if (object.type != static_cast<uint32_t>(NftObjectType::kCounter) ||
        name.empty()) {
      return false;
    }
    if (out_.counter.empty()) {
      out_.counter = std::move(name);
    } else {
      out_.other_counters.push_back(std::move(name));
    }
    return true;
  }

  bool ReadVerdict(const NftVerdict& verdict) {
    switch (verdict.code) {
      case kNftAccept:
        out_.verdict = Verdict::kAccept;
        break;
      case kNftDrop:
        out_.verdict = Verdict::kDrop;
        break;
      case NFT_RETURN:
        out_.verdict = Verdict::kReturn;
        break;
      default:
        traits_.goes_to = verdict.code == NFT_GOTO;
        out_.verdict = Verdict::kOther;
        out_.target = verdict.chain.empty() ? "verdict" : verdict.chain;
        return true;
    }
    out_.target = std::string(TargetName(out_.verdict, CountingForm::kMatch));
    return true;
  }

  const Family family_;
  const NftLayout& layout_;
  NftExpressionCursor in_;
  const NftSetLookup sets_;
  const ByteSpan userdata_;
  Rule& out_;
  RuleMatch& match_;
  NftRuleTraits traits_ = {.counts_itself = false};
};

// Ours by its comment, which survives a save and restore.
void ReadWhose(ByteSpan userdata, Rule& rule) {
  const absl::string_view comment = ReadNftComment(userdata).value_or("");
  const auto mark = ParseRuleMark(comment);
  if (!mark.has_value() || rule.counter.empty()) {
    rule.match.comment = std::string(comment);
    return;
  }
  rule.managed = true;
  rule.id = std::string(mark->id);
  rule.match.comment = std::string(
      ReadNftEntry(NftEntry::kWords, userdata).value_or(mark->comment));
}

// A chain of a plan, which the kernel calls by family and table, too.
void NameAsTable(Family family, Table table, std::string& target) {
  absl::string_view name = target;
  if (absl::ConsumePrefix(&name, NftChainName(family, table, ""))) {
    target = std::string(name);
  }
}

}  // namespace

Rule ReadNftRuleOf(Family family, Table table, absl::string_view chain,
                   const NftRuleInfo& info, NftSetLookup sets) {
  Rule rule;
  rule.family = family;
  rule.table = table;
  rule.chain = std::string(chain);
  Reader reader(family, info, sets, rule);
  reader.Run();
  ReadWhose(info.userdata, rule);
  rule.text = NftRuleText(family, rule, reader.traits());
  if (rule.verdict == Verdict::kOther) NameAsTable(family, table, rule.target);
  return rule;
}

}  // namespace nfmeter::kernel
