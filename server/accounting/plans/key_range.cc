// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/key_range.h"

namespace nfmeter::accounting {
namespace {

using kernel::Family;
using kernel::IpPrefix;
using kernel::RuleMatch;

constexpr KeyNumber kAllBits = ~KeyNumber{0};

KeyNumber NumberOf(const std::array<uint8_t, 16>& bytes) {
  KeyNumber number = 0;
  for (const uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

std::array<uint8_t, 16> BytesOf(KeyNumber number) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = bytes.size(); i-- > 0; number >>= 8) {
    bytes[i] = static_cast<uint8_t>(number);
  }
  return bytes;
}

// Bits of an address that are not there: the lower 96 of IPv4.
KeyNumber UnusedBits(Family family) {
  return family == Family::kIpv4 ? kAllBits >> 32 : 0;
}

std::optional<KeyRange> RangeOf(
    const std::optional<kernel::Negatable<IpPrefix>>& prefix) {
  if (!prefix.has_value() || prefix->negated) return std::nullopt;
  const KeyNumber mask = NumberOf(prefix->value.mask);
  const KeyNumber free = ~mask;
  if ((free & (free + 1)) != 0) return std::nullopt;  // not contiguous
  const KeyNumber first = NumberOf(prefix->value.address);
  return KeyRange{first, first | free};
}

std::optional<KeyRange> RangeOf(
    const std::optional<kernel::Negatable<std::vector<kernel::PortRange>>>&
        ports) {
  if (!ports.has_value() || ports->negated || ports->value.size() != 1) {
    return std::nullopt;
  }
  return KeyRange{ports->value[0].first, ports->value[0].last};
}

std::optional<KeyRange> RangeOf(
    const std::optional<kernel::Negatable<kernel::IdRange>>& ids) {
  if (!ids.has_value() || ids->negated) return std::nullopt;
  return KeyRange{ids->value.first, ids->value.last};
}

void Accept(Family family, const KeyRange& range,
            std::optional<kernel::Negatable<IpPrefix>>& prefix) {
  const KeyNumber mask = ~(range.first ^ range.last) & ~UnusedBits(family);
  prefix = {.value = {.family = family,
                      .address = BytesOf(range.first & mask),
                      .mask = BytesOf(mask)}};
}

void Accept(
    Family, const KeyRange& range,
    std::optional<kernel::Negatable<std::vector<kernel::PortRange>>>& ports) {
  ports = {.value = {{static_cast<uint16_t>(range.first),
                      static_cast<uint16_t>(range.last)}}};
}

void Accept(Family, const KeyRange& range,
            std::optional<kernel::Negatable<kernel::IdRange>>& ids) {
  ids = {.value = {static_cast<uint32_t>(range.first),
                   static_cast<uint32_t>(range.last)}};
}

}  // namespace

std::optional<KeyRange> KeyOf(const RuleMatch& match, KeyField field) {
  return VisitField(match, field,
                    [](const auto& condition) { return RangeOf(condition); });
}

KeyRange WholeKey(KeyField field, Family) {
  if (IsAddress(field)) return {0, kAllBits};
  return {0, field == KeyField::kUid ? KeyNumber{UINT32_MAX}
                                     : KeyNumber{UINT16_MAX}};
}

void SetKey(RuleMatch& match, KeyField field, Family family,
            const KeyRange& range) {
  VisitField(match, field,
             [&](auto& condition) { Accept(family, range, condition); });
}

KeyRange CommonPrefix(const KeyRange& range) {
  KeyNumber free = range.first ^ range.last;
  for (size_t shift = 1; shift < 128; shift *= 2) free |= free >> shift;
  return {range.first & ~free, range.first | free};
}

}  // namespace nfmeter::accounting
