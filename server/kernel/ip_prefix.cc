// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/ip_prefix.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace nfmeter::kernel {
namespace {

using Bytes = std::array<uint8_t, 16>;

size_t AddressBytes(Family family) { return family == Family::kIpv4 ? 4 : 16; }

std::optional<Bytes> ParseAddress(Family family, absl::string_view text) {
  if (absl::StrContains(text, '\0')) return std::nullopt;
  Bytes bytes{};
  const int domain = family == Family::kIpv4 ? AF_INET : AF_INET6;
  if (inet_pton(domain, std::string(text).c_str(), bytes.data()) != 1) {
    return std::nullopt;
  }
  return bytes;
}

Bytes MaskOfLength(size_t length) {
  Bytes mask{};
  for (size_t bit = 0; bit < length; ++bit) {
    mask[bit / 8] |= static_cast<uint8_t>(0x80 >> (bit % 8));
  }
  return mask;
}

// What programs with one socket for both families call an IPv4 address: no
// packet has it. ::ffff:0:0/96 itself stays what it is.
IpPrefix WithoutMapping(const IpPrefix& prefix) {
  constexpr size_t kBefore = 12;  // bytes
  constexpr std::array<uint8_t, kBefore> kMapped = {0, 0, 0, 0, 0,    0,
                                                    0, 0, 0, 0, 0xff, 0xff};
  if (prefix.family != Family::kIpv6 ||
      PrefixLength(prefix).value_or(0) <= kBefore * 8 ||
      !std::equal(kMapped.begin(), kMapped.end(), prefix.address.begin())) {
    return prefix;
  }
  IpPrefix ipv4;
  ipv4.family = Family::kIpv4;
  std::copy(prefix.address.begin() + kBefore, prefix.address.end(),
            ipv4.address.begin());
  std::copy(prefix.mask.begin() + kBefore, prefix.mask.end(),
            ipv4.mask.begin());
  return ipv4;
}

}  // namespace

absl::StatusOr<IpPrefix> ParseIpPrefix(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  const bool has_mask = parts.first.size() != text.size();
  IpPrefix prefix;
  prefix.family =
      absl::StrContains(parts.first, ':') ? Family::kIpv6 : Family::kIpv4;
  const size_t size = AddressBytes(prefix.family);
  const std::optional<Bytes> address = ParseAddress(prefix.family, parts.first);
  if (!address.has_value()) {
    return absl::InvalidArgumentError(
        "not an IP address; write 10.0.0.0/8 or 2001:db8::/32");
  }
  prefix.address = *address;
  if (!has_mask) {
    prefix.mask = MaskOfLength(size * 8);
  } else if (const std::optional<Bytes> mask =
                 ParseAddress(prefix.family, parts.second)) {
    prefix.mask = *mask;
  } else {
    size_t length = 0;
    const bool digits =
        !parts.second.empty() && parts.second.size() <= 3 &&
        std::all_of(parts.second.begin(), parts.second.end(),
                    [](char c) { return c >= '0' && c <= '9'; });
    if (!digits || !absl::SimpleAtoi(parts.second, &length) ||
        length > size * 8) {
      return absl::InvalidArgumentError(
          absl::StrCat("the prefix length must be 0 to ", size * 8, " for ",
                       FamilyName(prefix.family)));
    }
    prefix.mask = MaskOfLength(length);
  }
  IpPrefix network = prefix;
  for (size_t i = 0; i < size; ++i) network.address[i] &= prefix.mask[i];
  if (network.address != prefix.address) {
    return absl::InvalidArgumentError(
        absl::StrCat("the address has bits outside its mask; did you mean ",
                     FormatIpPrefix(network), "?"));
  }
  return WithoutMapping(prefix);
}

std::string FormatIpPrefix(const IpPrefix& prefix) {
  const std::optional<size_t> length = PrefixLength(prefix);
  return absl::StrCat(FormatAddress(prefix.family, prefix.address.data()), "/",
                      length.has_value()
                          ? absl::StrCat(*length)
                          : FormatAddress(prefix.family, prefix.mask.data()));
}

std::optional<size_t> PrefixLength(const IpPrefix& prefix) {
  const Bytes& mask = prefix.mask;
  size_t length = 0;
  while (length < AddressBytes(prefix.family) * 8 &&
         (mask[length / 8] & (0x80 >> (length % 8))) != 0) {
    ++length;
  }
  if (mask != MaskOfLength(length)) return std::nullopt;
  return length;
}

std::string FormatAddress(Family family, const void* bytes) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family == Family::kIpv4 ? AF_INET : AF_INET6, bytes, text,
            sizeof(text));
  return text;
}

}  // namespace nfmeter::kernel
