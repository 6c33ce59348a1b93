#include "service/rule/rule_words.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "kernel/rule_types.h"

namespace nfmeter::service {
namespace {

struct Protocol {
  absl::string_view name;
  uint8_t number;
};

// Assigned Internet Protocol Numbers (IANA), with the names of /etc/protocols
// that iptables prints; where there are two, the first is shown.
constexpr Protocol kProtocols[] = {
    {"icmp", 1},       {"igmp", 2},        {"ipencap", 4},
    {"ipip", 4},       {"tcp", 6},         {"egp", 8},
    {"igp", 9},        {"udp", 17},        {"dccp", 33},
    {"ipv6", 41},      {"ipv6-route", 43}, {"ipv6-frag", 44},
    {"rsvp", 46},      {"gre", 47},        {"esp", 50},
    {"ipsec-esp", 50}, {"ah", 51},         {"ipsec-ah", 51},
    {"icmpv6", 58},    {"ipv6-icmp", 58},  {"ipv6-nonxt", 59},
    {"ipv6-opts", 60}, {"ospf", 89},       {"pim", 103},
    {"ipcomp", 108},   {"vrrp", 112},      {"l2tp", 115},
    {"isis", 124},     {"sctp", 132},      {"mh", 135},
    {"ipv6-mh", 135},  {"udplite", 136},   {"mpls-in-ip", 137},
};

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

std::optional<uint8_t> ProtocolNumber(absl::string_view text) {
  for (const Protocol& protocol : kProtocols) {
    if (absl::EqualsIgnoreCase(text, protocol.name)) return protocol.number;
  }
  uint32_t number = 0;
  const bool digits =
      text.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!digits || !absl::SimpleAtoi(text, &number) || number < 1 ||
      number > 255) {
    return std::nullopt;
  }
  return static_cast<uint8_t>(number);
}

std::string ProtocolText(uint8_t number) {
  for (const Protocol& protocol : kProtocols) {
    if (protocol.number == number) return std::string(protocol.name);
  }
  return absl::StrCat(number);
}

absl::Span<const EnumBit<v1::ConntrackState>> ConntrackStateBits() {
  return kConntrackStates;
}
absl::Span<const EnumBit<v1::AddressType>> AddressTypeBits() {
  return kAddressTypes;
}
absl::Span<const EnumBit<v1::TcpFlag>> TcpFlagBits() { return kTcpFlags; }

}  // namespace nfmeter::service
