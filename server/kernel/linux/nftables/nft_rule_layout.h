// SPDX-License-Identifier: GPL-3.0-or-later
// Where things lie in packets, and how nf_tables numbers them: what compiling
// and reading rules share.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_LAYOUT_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_LAYOUT_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// nft's numbers of types of keys (enum datatypes), for its listing of sets.
inline constexpr uint32_t kNftTypeIpv4Address = 7;
inline constexpr uint32_t kNftTypeIpv6Address = 8;
inline constexpr uint32_t kNftTypeService = 13;
inline constexpr uint32_t kNftTypeUid = 24;
inline constexpr uint32_t kNftTypeAddressType = 38;

inline constexpr uint32_t kNftSourcePortOffset = 0;
inline constexpr uint32_t kNftDestinationPortOffset = 2;
inline constexpr uint32_t kNftTcpFlagsOffset = 13;

// NF_DROP and NF_ACCEPT.
inline constexpr int32_t kNftDrop = 0;
inline constexpr int32_t kNftAccept = 1;

// A family's header.
struct NftLayout {
  uint8_t nfproto = 0;
  size_t address_bytes = 0;
  uint32_t source_offset = 0;
  uint32_t destination_offset = 0;
  uint32_t dscp_offset = 0;
  absl::string_view dscp_mask;
  int dscp_shift = 0;  // in a number of as many bytes as the mask

  std::string DscpBytes(uint8_t dscp) const;
};
const NftLayout& NftLayoutOf(Family family);

// Bits of the API's conntrack states and those of NFT_CT_STATE and
// NFT_CT_STATUS.
using NftBitPair = std::pair<uint32_t, uint32_t>;
inline constexpr std::array<NftBitPair, 5> kNftConntrackStates = {
    {{kCtInvalid, 1},
     {kCtEstablished, 2},
     {kCtRelated, 4},
     {kCtNew, 8},
     {kCtUntracked, 64}}};
inline constexpr std::array<NftBitPair, 2> kNftConntrackStatus = {
    {{kCtSnat, 16}, {kCtDnat, 32}}};

// Those of the API's `states` that the table has, in the kernel's bits.
uint32_t NftConntrackBits(uint32_t states, absl::Span<const NftBitPair> table);
// The reverse.
uint32_t ConntrackStatesOf(uint32_t bits, absl::Span<const NftBitPair> table);

// The same ports as ranges that neither touch nor overlap, rising: what a set
// can have.
std::vector<PortRange> NftPortsApart(std::vector<PortRange> ports);

// Whether the rule asks for ICMP and nothing else of the packet's headers. nft
// then prints nothing of the family where it stands in front, and would not ask
// for it again when it reads that back.
bool IsBareIcmp(const RuleMatch& match);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_LAYOUT_H_
