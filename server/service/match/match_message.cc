// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/match/match_message.h"

#include "base/name_escape.h"
#include "base/utf8.h"
#include "kernel/ip_prefix.h"
#include "service/gate/protocol_words.h"

namespace nfmeter::service {
namespace {

v1::PacketType ToProto(kernel::PacketType type) {
  switch (type) {
    case kernel::PacketType::kUnicast:
      return v1::PACKET_TYPE_UNICAST;
    case kernel::PacketType::kBroadcast:
      return v1::PACKET_TYPE_BROADCAST;
    case kernel::PacketType::kMulticast:
      break;
  }
  return v1::PACKET_TYPE_MULTICAST;
}

// A range of one port or id has no `last`.
template <typename Range, typename Proto>
void RangeToProto(const Range& range, Proto* proto) {
  proto->set_first(range.first);
  if (range.last != range.first) proto->set_last(range.last);
}

template <typename Enum, typename Add>
void BitsToProto(uint32_t bits, absl::Span<const EnumBit<Enum>> known,
                 Add add) {
  for (const EnumBit<Enum>& entry : known) {
    if ((bits & entry.bit) != 0) add(entry.value);
  }
}

void PacketToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto) {
  if (match.protocol) {
    proto->set_protocol(ProtocolText(match.protocol->value));
    proto->set_not_protocol(match.protocol->negated);
  }
  if (match.source) {
    proto->set_source(kernel::FormatIpPrefix(match.source->value));
    proto->set_not_source(match.source->negated);
  }
  if (match.destination) {
    proto->set_destination(kernel::FormatIpPrefix(match.destination->value));
    proto->set_not_destination(match.destination->negated);
  }
  if (match.in_interface) {
    proto->set_in_interface(EscapeName(match.in_interface->value));
    proto->set_not_in_interface(match.in_interface->negated);
  }
  if (match.out_interface) {
    proto->set_out_interface(EscapeName(match.out_interface->value));
    proto->set_not_out_interface(match.out_interface->negated);
  }
  if (match.dscp) {
    proto->set_dscp(match.dscp->value);
    proto->set_not_dscp(match.dscp->negated);
  }
  if (match.packet_type) {
    proto->set_packet_type(ToProto(match.packet_type->value));
    proto->set_not_packet_type(match.packet_type->negated);
  }
}

void TransportToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto) {
  if (match.source_ports) {
    for (const kernel::PortRange& range : match.source_ports->value) {
      RangeToProto(range, proto->add_source_ports());
    }
    proto->set_not_source_ports(match.source_ports->negated);
  }
  if (match.destination_ports) {
    for (const kernel::PortRange& range : match.destination_ports->value) {
      RangeToProto(range, proto->add_destination_ports());
    }
    proto->set_not_destination_ports(match.destination_ports->negated);
  }
  if (match.icmp) {
    proto->mutable_icmp()->set_type(match.icmp->value.type);
    if (match.icmp->value.code) {
      proto->mutable_icmp()->set_code(*match.icmp->value.code);
    }
    proto->set_not_icmp(match.icmp->negated);
  }
  if (match.tcp_flags) {
    v1::TcpFlagsMatch* const flags = proto->mutable_tcp_flags();
    BitsToProto(match.tcp_flags->value.mask, TcpFlagBits(),
                [&](v1::TcpFlag flag) { flags->add_mask(flag); });
    BitsToProto(match.tcp_flags->value.set, TcpFlagBits(),
                [&](v1::TcpFlag flag) { flags->add_set(flag); });
    proto->set_not_tcp_flags(match.tcp_flags->negated);
  }
}

void ContextToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto) {
  if (match.conntrack_states) {
    BitsToProto(
        match.conntrack_states->value, ConntrackStateBits(),
        [&](v1::ConntrackState state) { proto->add_conntrack_states(state); });
    proto->set_not_conntrack_states(match.conntrack_states->negated);
  }
  if (match.mark) {
    proto->mutable_mark()->set_value(match.mark->value.value);
    if (match.mark->value.mask != 0xffffffff) {
      proto->mutable_mark()->set_mask(match.mark->value.mask);
    }
    proto->set_not_mark(match.mark->negated);
  }
  if (match.owner_uid) {
    RangeToProto(match.owner_uid->value, proto->mutable_owner_uid());
    proto->set_not_owner_uid(match.owner_uid->negated);
  }
  if (match.owner_gid) {
    RangeToProto(match.owner_gid->value, proto->mutable_owner_gid());
    proto->set_not_owner_gid(match.owner_gid->negated);
  }
  if (match.cgroup_path) {
    proto->set_cgroup_path(EscapeName(match.cgroup_path->value));
    proto->set_not_cgroup_path(match.cgroup_path->negated);
  }
}

void SetsToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto) {
  if (match.ip_set) {
    v1::IpSetMatch* const set = proto->mutable_ip_set();
    set->set_name(EscapeName(match.ip_set->value.name));
    for (const kernel::IpSetDirection direction :
         match.ip_set->value.directions) {
      set->add_directions(direction == kernel::IpSetDirection::kSource
                              ? v1::IP_SET_DIRECTION_SOURCE
                              : v1::IP_SET_DIRECTION_DESTINATION);
    }
    proto->set_not_ip_set(match.ip_set->negated);
  }
  if (match.source_address_types) {
    BitsToProto(
        match.source_address_types->value, AddressTypeBits(),
        [&](v1::AddressType type) { proto->add_source_address_types(type); });
    proto->set_not_source_address_types(match.source_address_types->negated);
  }
  if (match.destination_address_types) {
    BitsToProto(match.destination_address_types->value, AddressTypeBits(),
                [&](v1::AddressType type) {
                  proto->add_destination_address_types(type);
                });
    proto->set_not_destination_address_types(
        match.destination_address_types->negated);
  }
}

constexpr EnumBit<v1::ConntrackState> kConntrackStates[] = {
    {v1::CONNTRACK_STATE_INVALID, kernel::kCtInvalid},
    {v1::CONNTRACK_STATE_NEW, kernel::kCtNew},
    {v1::CONNTRACK_STATE_ESTABLISHED, kernel::kCtEstablished},
    {v1::CONNTRACK_STATE_RELATED, kernel::kCtRelated},
    {v1::CONNTRACK_STATE_UNTRACKED, kernel::kCtUntracked},
    {v1::CONNTRACK_STATE_SNAT, kernel::kCtSnat},
    {v1::CONNTRACK_STATE_DNAT, kernel::kCtDnat},
};

constexpr EnumBit<v1::AddressType> kAddressTypes[] = {
    {v1::ADDRESS_TYPE_UNSPEC, kernel::kAddrUnspec},
    {v1::ADDRESS_TYPE_UNICAST, kernel::kAddrUnicast},
    {v1::ADDRESS_TYPE_LOCAL, kernel::kAddrLocal},
    {v1::ADDRESS_TYPE_BROADCAST, kernel::kAddrBroadcast},
    {v1::ADDRESS_TYPE_ANYCAST, kernel::kAddrAnycast},
    {v1::ADDRESS_TYPE_MULTICAST, kernel::kAddrMulticast},
    {v1::ADDRESS_TYPE_BLACKHOLE, kernel::kAddrBlackhole},
    {v1::ADDRESS_TYPE_UNREACHABLE, kernel::kAddrUnreachable},
    {v1::ADDRESS_TYPE_PROHIBIT, kernel::kAddrProhibit},
};

constexpr EnumBit<v1::TcpFlag> kTcpFlags[] = {
    {v1::TCP_FLAG_FIN, 1}, {v1::TCP_FLAG_SYN, 2},  {v1::TCP_FLAG_RST, 4},
    {v1::TCP_FLAG_PSH, 8}, {v1::TCP_FLAG_ACK, 16}, {v1::TCP_FLAG_URG, 32},
};

}  // namespace

v1::Family ToProto(kernel::Family family) {
  return family == kernel::Family::kIpv4 ? v1::FAMILY_IPV4 : v1::FAMILY_IPV6;
}

void ToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto) {
  PacketToProto(match, proto);
  TransportToProto(match, proto);
  ContextToProto(match, proto);
  SetsToProto(match, proto);
  proto->set_comment(ValidUtf8(match.comment));
}

absl::Span<const EnumBit<v1::ConntrackState>> ConntrackStateBits() {
  return kConntrackStates;
}
absl::Span<const EnumBit<v1::AddressType>> AddressTypeBits() {
  return kAddressTypes;
}
absl::Span<const EnumBit<v1::TcpFlag>> TcpFlagBits() { return kTcpFlags; }

}  // namespace nfmeter::service
