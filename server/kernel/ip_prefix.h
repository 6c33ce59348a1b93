// SPDX-License-Identifier: GPL-3.0-or-later
// Text <-> IpPrefix.
#ifndef NFMETER_KERNEL_IP_PREFIX_H_
#define NFMETER_KERNEL_IP_PREFIX_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// Reads "10.0.0.0/8", "10.1.2.3", "10.0.0.0/255.0.0.0", "2001:db8::/32"; and
// "::ffff:10.1.2.3", which is IPv4 (RFC 4291, 2.5.5.2).
// INVALID_ARGUMENT, with a sentence for people: not an address, a length out of
// range, or bits set outside the mask (which the kernel would ignore).
absl::StatusOr<IpPrefix> ParseIpPrefix(absl::string_view text);

// As iptables-save prints it: always with the length, with a mask where the
// mask is not contiguous.
std::string FormatIpPrefix(const IpPrefix& prefix);

// How many bits from the front the mask covers; nullopt: it is not contiguous.
std::optional<size_t> PrefixLength(const IpPrefix& prefix);

// "10.0.0.1"; `bytes` are 4 or 16, in network order.
std::string FormatAddress(Family family, const void* bytes);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_IP_PREFIX_H_
