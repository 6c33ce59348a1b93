// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_rule_layout.h"

#include <algorithm>

#include "kernel/rule_law.h"

namespace nfmeter::kernel {
namespace {

constexpr NftLayout kIpv4Layout = {.nfproto = 2,
                                   .address_bytes = 4,
                                   .source_offset = 12,
                                   .destination_offset = 16,
                                   .dscp_offset = 1,
                                   .dscp_mask = "\xfc",
                                   .dscp_shift = 2};
constexpr NftLayout kIpv6Layout = {.nfproto = 10,
                                   .address_bytes = 16,
                                   .source_offset = 8,
                                   .destination_offset = 24,
                                   .dscp_offset = 0,
                                   .dscp_mask = "\x0f\xc0",
                                   .dscp_shift = 6};

}  // namespace

std::string NftLayout::DscpBytes(uint8_t dscp) const {
  const uint32_t number = uint32_t{dscp} << dscp_shift;
  std::string bytes;
  for (size_t i = dscp_mask.size(); i > 0; --i) {
    bytes.push_back(static_cast<char>(number >> (8 * (i - 1)) & 0xff));
  }
  return bytes;
}

const NftLayout& NftLayoutOf(Family family) {
  return family == Family::kIpv4 ? kIpv4Layout : kIpv6Layout;
}

uint32_t NftConntrackBits(uint32_t states, absl::Span<const NftBitPair> table) {
  uint32_t bits = 0;
  for (const auto& [state, bit] : table) {
    if ((states & state) != 0) bits |= bit;
  }
  return bits;
}

uint32_t ConntrackStatesOf(uint32_t bits, absl::Span<const NftBitPair> table) {
  uint32_t states = 0;
  for (const auto& [state, bit] : table) {
    if ((bits & bit) != 0) states |= state;
  }
  return states;
}

bool IsBareIcmp(const RuleMatch& match) {
  return match.protocol.has_value() && !match.protocol->negated &&
         (match.protocol->value == kProtocolIcmp ||
          match.protocol->value == kProtocolIcmpv6) &&
         !match.source.has_value() && !match.destination.has_value() &&
         !match.dscp.has_value() && !match.icmp.has_value();
}

std::vector<PortRange> NftPortsApart(std::vector<PortRange> ports) {
  std::sort(
      ports.begin(), ports.end(),
      [](const PortRange& a, const PortRange& b) { return a.first < b.first; });
  std::vector<PortRange> apart;
  for (const PortRange& range : ports) {
    if (!apart.empty() && range.first <= uint32_t{apart.back().last} + 1) {
      apart.back().last = std::max(apart.back().last, range.last);
    } else {
      apart.push_back(range);
    }
  }
  return apart;
}

}  // namespace nfmeter::kernel
