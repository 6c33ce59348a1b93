#include "service/rule/validate_match.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "kernel/ip_prefix.h"
#include "service/gate/request_checks.h"
#include "service/rule/rule_words.h"

namespace nfmeter::service {
namespace {

using kernel::Negatable;

constexpr size_t kMaxInterfaceBytes = 15;    // IFNAMSIZ - 1
constexpr size_t kMaxIpSetNameBytes = 31;    // IPSET_MAXNAMELEN - 1
constexpr int kMaxIpSetDirections = 6;       // IPSET_DIM_MAX
constexpr size_t kMaxCgroupPathBytes = 511;  // xt_cgroup_info_v2.path
constexpr size_t kMaxCommentBytes = 200;
constexpr int kMaxMultiportPlaces = 15;  // XT_MULTI_PORTS
constexpr uint32_t kMaxPort = 65535;
constexpr uint32_t kInvalidId = 0xffffffff;  // (uid_t)-1

bool HasControlOrSpace(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_iscntrl(c) || absl::ascii_isspace(c);
  });
}

// Whether all characters can be printed: no controls, C1 ones included.
bool IsPrintable(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = Utf8CharacterBytes(text);
    if (size == 0 || absl::ascii_iscntrl(text[0])) return false;
    if (text[0] == '\xc2' && static_cast<uint8_t>(text[1]) < 0xa0) return false;
    text.remove_prefix(size);
  }
  return true;
}

// Reads the conditions of one RuleMatch.
class MatchReader {
 public:
  MatchReader(const v1::RuleMatch& match, const std::string& field,
              FieldErrors& errors)
      : in_(match), field_(field), errors_(errors) {}

  kernel::RuleMatch Read() {
    ReadProtocol();
    ReadAddresses();
    ReadInterfaces();
    ReadAllPorts();
    ReadIcmp();
    ReadStates();
    ReadMark();
    ReadOwner();
    ReadCgroup();
    ReadIpSet();
    ReadPacket();
    ReadAddressTypes();
    ReadTcpFlags();
    ReadComment();
    return std::move(out_);
  }

 private:
  void Wrong(absl::string_view name, std::string description) {
    errors_.Add(absl::StrCat(field_, ".", name), std::move(description));
  }

  // not_X without X.
  void CheckNegation(bool is_set, bool negated, absl::string_view name) {
    if (is_set || !negated) return;
    Wrong(absl::StrCat("not_", name),
          absl::StrCat("needs ", name, ", which it turns around"));
  }

  // The protocol that the rule surely has, for conditions that need one.
  std::optional<uint8_t> OnlyProtocol() const {
    if (!out_.protocol.has_value() || out_.protocol->negated) {
      return std::nullopt;
    }
    return out_.protocol->value;
  }

  void ReadProtocol() {
    CheckNegation(!in_.protocol().empty(), in_.not_protocol(), "protocol");
    if (in_.protocol().empty()) return;
    const std::optional<uint8_t> number = ProtocolNumber(in_.protocol());
    if (!number.has_value()) {
      Wrong("protocol",
            absl::StrCat(Quoted(in_.protocol()),
                         " is not a protocol; write a name such as "
                         "tcp, udp, icmp, icmpv6, sctp, esp or gre, "
                         "or a number from 1 to 255"));
      return;
    }
    out_.protocol = {*number, in_.not_protocol()};
  }

  void ReadAddresses() {
    ReadAddress(in_.source(), in_.not_source(), "source", out_.source);
    ReadAddress(in_.destination(), in_.not_destination(), "destination",
                out_.destination);
  }
  void ReadAddress(const std::string& text, bool negated,
                   absl::string_view name,
                   std::optional<Negatable<kernel::IpPrefix>>& out) {
    CheckNegation(!text.empty(), negated, name);
    if (text.empty()) return;
    absl::StatusOr<kernel::IpPrefix> prefix = kernel::ParseIpPrefix(text);
    if (prefix.ok()) {
      out = {*prefix, negated};
    } else {
      Wrong(name, absl::StrCat(Quoted(text), ": ", prefix.status().message()));
    }
  }

  void ReadInterfaces() {
    ReadInterface(in_.in_interface(), in_.not_in_interface(), "in_interface",
                  out_.in_interface);
    ReadInterface(in_.out_interface(), in_.not_out_interface(), "out_interface",
                  out_.out_interface);
  }
  void ReadInterface(const std::string& text, bool negated,
                     absl::string_view name,
                     std::optional<Negatable<std::string>>& out) {
    CheckNegation(!text.empty(), negated, name);
    if (text.empty()) return;
    if (text.size() > kMaxInterfaceBytes) {
      Wrong(name, absl::StrCat("is ", text.size(), " bytes long; at most ",
                               kMaxInterfaceBytes));
    } else if (HasControlOrSpace(text) || text.find('/') != std::string::npos) {
      Wrong(name, absl::StrCat(Quoted(text),
                               " has a character that names of interfaces "
                               "can't have"));
    }
    out = {text, negated};
  }

  void ReadAllPorts() {
    ReadPorts(in_.source_ports(), in_.not_source_ports(), "source_ports",
              out_.source_ports);
    ReadPorts(in_.destination_ports(), in_.not_destination_ports(),
              "destination_ports", out_.destination_ports);
  }
  void ReadPorts(
      const google::protobuf::RepeatedPtrField<v1::PortRange>& ranges,
      bool negated, absl::string_view name,
      std::optional<Negatable<std::vector<kernel::PortRange>>>& out) {
    CheckNegation(!ranges.empty(), negated, name);
    if (ranges.empty()) return;
    out.emplace().negated = negated;
    int places = 0;
    for (int i = 0; i < ranges.size(); ++i) {
      out->value.push_back(ReadPortRange(ranges[i], Indexed(name, i)));
      places += out->value.back().first == out->value.back().last ? 1 : 2;
    }
    if (ranges.size() > 1 && places > kMaxMultiportPlaces) {
      Wrong(name, absl::StrCat("takes ", places, " places; a rule has ",
                               kMaxMultiportPlaces,
                               " (a range takes two); use several rules"));
    }
    const std::optional<uint8_t> protocol = OnlyProtocol();
    if (!protocol.has_value() || !HasPorts(*protocol)) {
      Wrong(name, "needs protocol tcp, udp, udplite, sctp or dccp");
    }
  }
  kernel::PortRange ReadPortRange(const v1::PortRange& range,
                                  const std::string& name) {
    const uint32_t last = range.has_last() ? range.last() : range.first();
    if (range.first() > kMaxPort || last > kMaxPort) {
      Wrong(name, absl::StrCat("port ", std::max(range.first(), last),
                               " is out of range; 0 to ", kMaxPort));
    } else if (last < range.first()) {
      Wrong(name, absl::StrCat("last (", last, ") is below first (",
                               range.first(), ")"));
    }
    return {static_cast<uint16_t>(range.first()), static_cast<uint16_t>(last)};
  }

  void ReadIcmp() {
    CheckNegation(in_.has_icmp(), in_.not_icmp(), "icmp");
    if (!in_.has_icmp()) return;
    if (in_.icmp().type() > 255) {
      Wrong("icmp.type",
            absl::StrCat(in_.icmp().type(), " is out of range; 0 to 255"));
    }
    if (in_.icmp().code() > 255) {
      Wrong("icmp.code",
            absl::StrCat(in_.icmp().code(), " is out of range; 0 to 255"));
    }
    const std::optional<uint8_t> protocol = OnlyProtocol();
    if (protocol != kProtocolIcmp && protocol != kProtocolIcmpv6) {
      Wrong("icmp", "needs protocol icmp (IPv4) or icmpv6 (IPv6)");
    }
    kernel::Icmp icmp = {.type = static_cast<uint8_t>(in_.icmp().type())};
    if (in_.icmp().has_code()) {
      icmp.code = static_cast<uint8_t>(in_.icmp().code());
    }
    out_.icmp = {icmp, in_.not_icmp()};
  }

  // The bits of a repeated enum.
  template <typename Enum>
  uint32_t ReadBits(const google::protobuf::RepeatedField<int>& values,
                    absl::Span<const EnumBit<Enum>> known,
                    absl::string_view name) {
    uint32_t bits = 0;
    for (int i = 0; i < values.size(); ++i) {
      const uint32_t bit = BitOf(known, values[i]);
      if (bit == 0) {
        Wrong(Indexed(name, i),
              absl::StrCat(values[i], values[i] == 0
                                          ? " is UNSPECIFIED; choose a value"
                                          : " is not a known value"));
      }
      bits |= bit;
    }
    return bits;
  }

  void ReadStates() {
    CheckNegation(!in_.conntrack_states().empty(), in_.not_conntrack_states(),
                  "conntrack_states");
    if (in_.conntrack_states().empty()) return;
    out_.conntrack_states = {ReadBits(in_.conntrack_states(),
                                      ConntrackStateBits(), "conntrack_states"),
                             in_.not_conntrack_states()};
  }

  void ReadMark() {
    CheckNegation(in_.has_mark(), in_.not_mark(), "mark");
    if (!in_.has_mark()) return;
    kernel::Mark mark = {.value = in_.mark().value()};
    if (in_.mark().has_mask()) mark.mask = in_.mark().mask();
    if ((mark.value & ~mark.mask) != 0) {
      Wrong("mark.value",
            absl::StrCat("0x", absl::Hex(mark.value),
                         " has bits outside of mask 0x", absl::Hex(mark.mask),
                         "; no packet could match"));
    }
    out_.mark = {mark, in_.not_mark()};
  }

  void ReadOwner() {
    ReadIds(in_.has_owner_uid(), in_.owner_uid(), in_.not_owner_uid(),
            "owner_uid", out_.owner_uid);
    ReadIds(in_.has_owner_gid(), in_.owner_gid(), in_.not_owner_gid(),
            "owner_gid", out_.owner_gid);
  }
  void ReadIds(bool is_set, const v1::IdRange& range, bool negated,
               absl::string_view name,
               std::optional<Negatable<kernel::IdRange>>& out) {
    CheckNegation(is_set, negated, name);
    if (!is_set) return;
    const uint32_t last = range.has_last() ? range.last() : range.first();
    if (last < range.first()) {
      Wrong(name, absl::StrCat("last (", last, ") is below first (",
                               range.first(), ")"));
    } else if (last == kInvalidId) {
      Wrong(name, absl::StrCat(kInvalidId, " is nobody's id"));
    }
    out = {{range.first(), last}, negated};
  }

  void ReadCgroup() {
    const std::string& path = in_.cgroup_path();
    CheckNegation(!path.empty(), in_.not_cgroup_path(), "cgroup_path");
    if (path.empty()) return;
    if (path.size() > kMaxCgroupPathBytes) {
      Wrong("cgroup_path",
            absl::StrCat("is ", path.size(), " bytes long; at most ",
                         kMaxCgroupPathBytes));
    } else if (!IsPrintable(path)) {
      Wrong("cgroup_path", "has control characters");
    }
    out_.cgroup_path = {path, in_.not_cgroup_path()};
  }

  void ReadIpSet() {
    CheckNegation(in_.has_ip_set(), in_.not_ip_set(), "ip_set");
    if (!in_.has_ip_set()) return;
    const v1::IpSetMatch& set = in_.ip_set();
    if (set.name().empty() || set.name().size() > kMaxIpSetNameBytes ||
        HasControlOrSpace(set.name())) {
      Wrong("ip_set.name",
            absl::StrCat(Quoted(set.name()), " is not the name of a set; 1 to ",
                         kMaxIpSetNameBytes, " bytes"));
    }
    if (set.directions().empty() ||
        set.directions_size() > kMaxIpSetDirections) {
      Wrong("ip_set.directions",
            absl::StrCat("has ", set.directions_size(),
                         " directions; one for each dimension of the set, 1 "
                         "to ",
                         kMaxIpSetDirections));
    }
    kernel::IpSet read = {.name = set.name()};
    for (int i = 0; i < set.directions_size(); ++i) {
      const v1::IpSetDirection direction = set.directions(i);
      if (direction != v1::IP_SET_DIRECTION_SOURCE &&
          direction != v1::IP_SET_DIRECTION_DESTINATION) {
        Wrong(Indexed("ip_set.directions", i), "must be SOURCE or DESTINATION");
      }
      read.directions.push_back(direction == v1::IP_SET_DIRECTION_SOURCE
                                    ? kernel::IpSetDirection::kSource
                                    : kernel::IpSetDirection::kDestination);
    }
    out_.ip_set = {std::move(read), in_.not_ip_set()};
  }

  void ReadPacket() {
    CheckNegation(in_.has_dscp(), in_.not_dscp(), "dscp");
    if (in_.has_dscp()) {
      if (in_.dscp() > 63) {
        Wrong("dscp", absl::StrCat(in_.dscp(), " is out of range; 0 to 63"));
      }
      out_.dscp = {static_cast<uint8_t>(in_.dscp()), in_.not_dscp()};
    }
    const bool has_type = in_.packet_type() != v1::PACKET_TYPE_UNSPECIFIED;
    CheckNegation(has_type, in_.not_packet_type(), "packet_type");
    if (!has_type) return;
    switch (in_.packet_type()) {
      case v1::PACKET_TYPE_UNICAST:
        out_.packet_type = {kernel::PacketType::kUnicast};
        break;
      case v1::PACKET_TYPE_BROADCAST:
        out_.packet_type = {kernel::PacketType::kBroadcast};
        break;
      case v1::PACKET_TYPE_MULTICAST:
        out_.packet_type = {kernel::PacketType::kMulticast};
        break;
      default:
        Wrong("packet_type",
              absl::StrCat(in_.packet_type(), " is not a known value"));
        return;
    }
    out_.packet_type->negated = in_.not_packet_type();
  }

  void ReadAddressTypes() {
    CheckNegation(!in_.source_address_types().empty(),
                  in_.not_source_address_types(), "source_address_types");
    CheckNegation(!in_.destination_address_types().empty(),
                  in_.not_destination_address_types(),
                  "destination_address_types");
    if (!in_.source_address_types().empty()) {
      out_.source_address_types = {
          static_cast<uint16_t>(ReadBits(in_.source_address_types(),
                                         AddressTypeBits(),
                                         "source_address_types")),
          in_.not_source_address_types()};
    }
    if (!in_.destination_address_types().empty()) {
      out_.destination_address_types = {
          static_cast<uint16_t>(ReadBits(in_.destination_address_types(),
                                         AddressTypeBits(),
                                         "destination_address_types")),
          in_.not_destination_address_types()};
    }
  }

  void ReadTcpFlags() {
    CheckNegation(in_.has_tcp_flags(), in_.not_tcp_flags(), "tcp_flags");
    if (!in_.has_tcp_flags()) return;
    const auto mask = static_cast<uint8_t>(
        ReadBits(in_.tcp_flags().mask(), TcpFlagBits(), "tcp_flags.mask"));
    const auto set = static_cast<uint8_t>(
        ReadBits(in_.tcp_flags().set(), TcpFlagBits(), "tcp_flags.set"));
    if (in_.tcp_flags().mask().empty()) {
      Wrong("tcp_flags.mask", "is empty; name the flags to look at");
    } else if ((set & ~mask) != 0) {
      Wrong("tcp_flags.set",
            "has flags that are not in mask; no packet could match");
    }
    if (OnlyProtocol() != kProtocolTcp) {
      Wrong("tcp_flags", "needs protocol tcp");
    }
    out_.tcp_flags = {{mask, set}, in_.not_tcp_flags()};
  }

  void ReadComment() {
    if (in_.comment().size() > kMaxCommentBytes) {
      Wrong("comment", absl::StrCat("is ", in_.comment().size(),
                                    " bytes long; at most ", kMaxCommentBytes));
    } else if (!IsPrintable(in_.comment())) {
      Wrong("comment", "has control characters");
    }
    out_.comment = in_.comment();
  }

  const v1::RuleMatch& in_;
  const std::string& field_;
  FieldErrors& errors_;
  kernel::RuleMatch out_;
};

}  // namespace

kernel::RuleMatch ReadMatch(const v1::RuleMatch& match,
                            const std::string& field, FieldErrors& errors) {
  return MatchReader(match, field, errors).Read();
}

}  // namespace nfmeter::service
