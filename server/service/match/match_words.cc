// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/match/match_words.h"

#include "kernel/rule_types.h"

namespace nfmeter::service {
namespace {

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

absl::Span<const EnumBit<v1::ConntrackState>> ConntrackStateBits() {
  return kConntrackStates;
}
absl::Span<const EnumBit<v1::AddressType>> AddressTypeBits() {
  return kAddressTypes;
}
absl::Span<const EnumBit<v1::TcpFlag>> TcpFlagBits() { return kTcpFlags; }

}  // namespace nfmeter::service
