// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/match/read_match.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernel/ip_prefix.h"
#include "service/gate/protocol_words.h"
#include "service/gate/request_checks.h"
#include "service/match/match_message.h"

namespace nfmeter::service {
namespace {

using kernel::Negatable;

constexpr uint32_t kMaxPort = 65535;

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
    out_.comment = in_.comment();
    return std::move(out_);
  }

 private:
  void Wrong(absl::string_view name, std::string description) {
    errors_.Add(absl::StrCat(field_, ".", name), std::move(description));
  }

  // An empty name is refused later, by kernel/rule_law.h.
  std::string ReadNameAt(absl::string_view name, const std::string& shown) {
    return ReadName(shown, absl::StrCat(field_, ".", name), errors_);
  }

  // Refuses not_X without X.
  void CheckNegation(bool is_set, bool negated, absl::string_view name) {
    if (is_set || !negated) return;
    Wrong(absl::StrCat("not_", name),
          absl::StrCat("needs ", name, ", which it turns around"));
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
    out = {ReadNameAt(name, text), negated};
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
    bool readable = true;
    for (int i = 0; i < ranges.size(); ++i) {
      const v1::PortRange& range = ranges[i];
      const uint32_t last = range.has_last() ? range.last() : range.first();
      const uint32_t highest = std::max(range.first(), last);
      if (highest > kMaxPort) {
        Wrong(Indexed(name, i),
              absl::StrCat("port ", highest, " is out of range; 0 to ",
                           kMaxPort));
        readable = false;
      }
      out->value.push_back(
          {static_cast<uint16_t>(range.first()), static_cast<uint16_t>(last)});
    }
    if (!readable) out.reset();
  }

  void ReadIcmp() {
    CheckNegation(in_.has_icmp(), in_.not_icmp(), "icmp");
    if (!in_.has_icmp()) return;
    const bool type_fits = CheckByte(in_.icmp().type(), "icmp.type");
    const bool code_fits = CheckByte(in_.icmp().code(), "icmp.code");
    if (!type_fits || !code_fits) return;
    kernel::Icmp icmp = {.type = static_cast<uint8_t>(in_.icmp().type())};
    if (in_.icmp().has_code()) {
      icmp.code = static_cast<uint8_t>(in_.icmp().code());
    }
    out_.icmp = {icmp, in_.not_icmp()};
  }
  bool CheckByte(uint32_t value, absl::string_view name) {
    if (value <= 255) return true;
    Wrong(name, absl::StrCat(value, " is out of range; 0 to 255"));
    return false;
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
    const uint32_t states = ReadBits(in_.conntrack_states(),
                                     ConntrackStateBits(), "conntrack_states");
    if (states == 0) return;  // refused above
    out_.conntrack_states = {states, in_.not_conntrack_states()};
  }

  void ReadMark() {
    CheckNegation(in_.has_mark(), in_.not_mark(), "mark");
    if (!in_.has_mark()) return;
    kernel::Mark mark = {.value = in_.mark().value()};
    if (in_.mark().has_mask()) mark.mask = in_.mark().mask();
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
    out = {{range.first(), last}, negated};
  }

  void ReadCgroup() {
    const std::string& path = in_.cgroup_path();
    CheckNegation(!path.empty(), in_.not_cgroup_path(), "cgroup_path");
    if (path.empty()) return;
    out_.cgroup_path = {ReadNameAt("cgroup_path", path), in_.not_cgroup_path()};
  }

  void ReadIpSet() {
    CheckNegation(in_.has_ip_set(), in_.not_ip_set(), "ip_set");
    if (!in_.has_ip_set()) return;
    const v1::IpSetMatch& set = in_.ip_set();
    kernel::IpSet read = {.name = ReadNameAt("ip_set.name", set.name())};
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
      // kernel/rule_law.h has the bound, which is below 255.
      out_.dscp = {static_cast<uint8_t>(std::min(in_.dscp(), 255u)),
                   in_.not_dscp()};
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
    ReadTypes(in_.source_address_types(), in_.not_source_address_types(),
              "source_address_types", out_.source_address_types);
    ReadTypes(in_.destination_address_types(),
              in_.not_destination_address_types(), "destination_address_types",
              out_.destination_address_types);
  }
  void ReadTypes(const google::protobuf::RepeatedField<int>& types,
                 bool negated, absl::string_view name,
                 std::optional<Negatable<uint16_t>>& out) {
    CheckNegation(!types.empty(), negated, name);
    const uint32_t bits = ReadBits(types, AddressTypeBits(), name);
    if (bits != 0) out = {static_cast<uint16_t>(bits), negated};
  }

  void ReadTcpFlags() {
    CheckNegation(in_.has_tcp_flags(), in_.not_tcp_flags(), "tcp_flags");
    if (!in_.has_tcp_flags()) return;
    const auto mask = static_cast<uint8_t>(
        ReadBits(in_.tcp_flags().mask(), TcpFlagBits(), "tcp_flags.mask"));
    const auto set = static_cast<uint8_t>(
        ReadBits(in_.tcp_flags().set(), TcpFlagBits(), "tcp_flags.set"));
    out_.tcp_flags = {{mask, set}, in_.not_tcp_flags()};
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

std::optional<kernel::Family> ReadFamily(v1::Family family,
                                         const std::string& field,
                                         FieldErrors& errors) {
  switch (family) {
    case v1::FAMILY_UNSPECIFIED:
      return std::nullopt;
    case v1::FAMILY_IPV4:
      return kernel::Family::kIpv4;
    case v1::FAMILY_IPV6:
      return kernel::Family::kIpv6;
    default:
      errors.Add(field, absl::StrCat(family, " is neither IPV4 nor IPV6"));
      return std::nullopt;
  }
}

std::optional<kernel::Table> ReadTable(const std::string& table,
                                       const std::string& field,
                                       FieldErrors& errors) {
  if (table.empty()) return std::nullopt;
  const std::optional<kernel::Table> read = kernel::TableFromName(table);
  if (!read.has_value()) {
    errors.Add(field, absl::StrCat(Quoted(table),
                                   " is not a table; the tables are filter, "
                                   "mangle, raw, nat and security"));
  }
  return read;
}

kernel::RulePlacement ReadPlacement(v1::RulePlacement placement,
                                    const std::string& field,
                                    FieldErrors& errors) {
  switch (placement) {
    case v1::RULE_PLACEMENT_UNSPECIFIED:
    case v1::RULE_PLACEMENT_HEAD:
      return kernel::RulePlacement::kHead;
    case v1::RULE_PLACEMENT_TAIL:
      return kernel::RulePlacement::kTail;
    default:
      errors.Add(field, absl::StrCat(placement,
                                     " is neither HEAD nor "
                                     "TAIL"));
      return kernel::RulePlacement::kHead;
  }
}

}  // namespace nfmeter::service
