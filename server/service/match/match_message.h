// SPDX-License-Identifier: GPL-3.0-or-later
// The domain's matches -> RuleMatch messages.
#ifndef NFMETER_SERVICE_MATCH_MATCH_MESSAGE_H_
#define NFMETER_SERVICE_MATCH_MATCH_MESSAGE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernel/rule_types.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::service {

void ToProto(const kernel::RuleMatch& match, v1::RuleMatch* proto);

v1::Family ToProto(kernel::Family family);

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

#endif  // NFMETER_SERVICE_MATCH_MATCH_MESSAGE_H_
