// SPDX-License-Identifier: GPL-3.0-or-later
// What the matches of ports share. Each protocol's own match says one range a
// direction, which is cheapest; several ranges need multiport.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_PORTS_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_PORTS_H_

#include <linux/types.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "kernel/linux/xtables/xt_match.h"
#include "kernel/linux/xtables/xt_text.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

using Ports = std::vector<PortRange>;

// The range that is no condition.
inline constexpr PortRange kAnyPort = {0, 0xffff};

inline PortRange RangeOf(const __u16 (&bounds)[2]) {
  return {bounds[0], bounds[1]};
}

// " ! --sport 80:90"
inline void PrintPorts(const char* option, PortRange range, bool negated,
                       std::string& text) {
  AppendNegation(negated, text);
  absl::StrAppend(&text, " ", option, " ");
  AppendRange(range.first, range.last, text);
}

// What of a rule goes into the protocol's own match: one range each, or null.
struct NativePorts {
  const Negatable<Ports>* source = nullptr;
  const Negatable<Ports>* destination = nullptr;
};

inline void FillRange(const Negatable<Ports>* ports, __u16 (&bounds)[2]) {
  const PortRange range = ports == nullptr ? kAnyPort : ports->value[0];
  bounds[0] = range.first;
  bounds[1] = range.last;
}

inline bool IsNegated(const Negatable<Ports>* ports) {
  return ports != nullptr && ports->negated;
}

// tcp, udp. `tcp_flags` may be null.
absl::Span<const ExtensionKind> TcpMatchKinds();
void AppendTcp(const NativePorts& ports, const Negatable<TcpFlags>* tcp_flags,
               MatchWriter& out);
void AppendUdp(const NativePorts& ports, MatchWriter& out);

// sctp, dccp.
absl::Span<const ExtensionKind> SctpMatchKinds();
void AppendSctp(const NativePorts& ports, MatchWriter& out);
void AppendDccp(const NativePorts& ports, MatchWriter& out);

// multiport: several ranges, in one direction. They take up to 15 places.
absl::Span<const ExtensionKind> MultiportMatchKinds();
enum class PortSide { kSource, kDestination };
void AppendMultiport(PortSide side, const Negatable<Ports>& ports,
                     MatchWriter& out);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_PORTS_H_
