// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/protocol_words.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

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

}  // namespace nfmeter::service
