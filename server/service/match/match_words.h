// SPDX-License-Identifier: GPL-3.0-or-later
// The words of rules: what names and enums of the API stand for.
#ifndef NFMETER_SERVICE_MATCH_MATCH_WORDS_H_
#define NFMETER_SERVICE_MATCH_MATCH_WORDS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::service {

// An enum of the API and the bit of the domain that it stands for.
template <typename Enum>
struct EnumBit {
  Enum value;
  uint32_t bit;
};

absl::Span<const EnumBit<v1::ConntrackState>> ConntrackStateBits();
absl::Span<const EnumBit<v1::AddressType>> AddressTypeBits();
absl::Span<const EnumBit<v1::TcpFlag>> TcpFlagBits();

// The bit of `value`; 0: unspecified or not known.
template <typename Enum>
uint32_t BitOf(absl::Span<const EnumBit<Enum>> bits, int value) {
  for (const EnumBit<Enum>& entry : bits) {
    if (entry.value == value) return entry.bit;
  }
  return 0;
}

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_MATCH_MATCH_WORDS_H_
