// SPDX-License-Identifier: GPL-3.0-or-later
// The expressions of an nf_tables rule: bytes <-> values. Pure.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernel/linux/netlink/netlink_message.h"

namespace nfmeter::kernel {

// All of ours load into and read from the first 16-byte register, as nft does:
// NFT_REG_1; `second` is behind it, for a lookup of two values of the same
// size, 4 or 16 bytes. A rule that uses others is somebody else's.

// Values are bytes as they lie in the register.

struct NftMeta {  // loads NFT_META_*
  uint32_t key = 0;
  friend bool operator==(const NftMeta&, const NftMeta&) = default;
};

struct NftPayload {   // loads a part of a header
  uint32_t base = 0;  // NFT_PAYLOAD_*
  uint32_t offset = 0;
  uint32_t bytes = 0;
  bool second = false;
  friend bool operator==(const NftPayload&, const NftPayload&) = default;
};

struct NftCt {  // loads NFT_CT_*
  uint32_t key = 0;
  friend bool operator==(const NftCt&, const NftCt&) = default;
};

struct NftSocket {  // loads NFT_SOCKET_*
  uint32_t key = 0;
  uint32_t level = 0;
  friend bool operator==(const NftSocket&, const NftSocket&) = default;
};

struct NftFib {  // loads NFT_FIB_RESULT_*
  uint32_t result = 0;
  uint32_t flags = 0;  // NFTA_FIB_F_*
  friend bool operator==(const NftFib&, const NftFib&) = default;
};

struct NftBitwise {  // register = (register & mask) ^ 0
  std::string mask;
  bool second = false;
  friend bool operator==(const NftBitwise&, const NftBitwise&) = default;
};

struct NftToNetworkOrder {  // of a number of 4 bytes
  friend bool operator==(const NftToNetworkOrder&,
                         const NftToNetworkOrder&) = default;
};

// The rule ends here for packets of which it does not hold.
struct NftCompare {
  uint32_t operation = 0;  // NFT_CMP_*
  std::string value;
  friend bool operator==(const NftCompare&, const NftCompare&) = default;
};

struct NftOutside {  // below `first` or above `last`
  std::string first;
  std::string last;
  friend bool operator==(const NftOutside&, const NftOutside&) = default;
};

struct NftLookup {
  std::string set;
  uint32_t id = 0;  // of a set of the same batch; 0 when read
  bool negated = false;
  friend bool operator==(const NftLookup&, const NftLookup&) = default;
};

struct NftCounter {  // the rule's own
  uint64_t packets = 0;
  uint64_t bytes = 0;
  friend bool operator==(const NftCounter&, const NftCounter&) = default;
};

struct NftObject {  // counts into an object, or asks a quota
  uint32_t type = 0;
  std::string name;
  friend bool operator==(const NftObject&, const NftObject&) = default;
};

struct NftObjectMap {  // the same, of the object that a map has for the key
  std::string map;
  friend bool operator==(const NftObjectMap&, const NftObjectMap&) = default;
};

struct NftFlip {  // register = (register & mask) ^ flip, which is not 0
  std::string mask;
  std::string flip;
  friend bool operator==(const NftFlip&, const NftFlip&) = default;
};

struct NftSetMeta {  // sets NFT_META_* to what is in the register
  uint32_t key = 0;
  friend bool operator==(const NftSetMeta&, const NftSetMeta&) = default;
};

struct NftImmediate {  // loads a value
  std::string value;
  friend bool operator==(const NftImmediate&, const NftImmediate&) = default;
};

struct NftReject {  // NFT_REJECT_*
  uint32_t type = 0;
  uint8_t code = 0;
  friend bool operator==(const NftReject&, const NftReject&) = default;
};

struct NftVerdict {  // NF_* or NFT_*
  int32_t code = 0;
  std::string chain;  // jumps and gotos
  friend bool operator==(const NftVerdict&, const NftVerdict&) = default;
};

struct NftUnknown {  // one that we never make
  std::string name;
  friend bool operator==(const NftUnknown&, const NftUnknown&) = default;
};

using NftExpression =
    std::variant<NftMeta, NftPayload, NftCt, NftSocket, NftFib, NftBitwise,
                 NftToNetworkOrder, NftCompare, NftOutside, NftLookup,
                 NftCounter, NftObject, NftObjectMap, NftFlip, NftSetMeta,
                 NftImmediate, NftReject, NftVerdict, NftUnknown>;

// Appends the attribute NFTA_RULE_EXPRESSIONS. No NftUnknown may be in it.
void AppendNftExpressions(const std::vector<NftExpression>& expressions,
                          AttributeWriter& out);

// The reverse, of that attribute's payload. What is not just as ours would be
// (another register, an option that we do not know) becomes NftUnknown.
std::vector<NftExpression> ReadNftExpressions(ByteSpan payload);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_EXPRESSION_H_
