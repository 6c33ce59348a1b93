// SPDX-License-Identifier: GPL-3.0-or-later
// What a rule may be. Said here once: requests are checked by it, and so is
// every edit before it goes to the kernel.
//
// Three kinds of laws:
// - A rule can be said, and some packet can match it: ports need a protocol
//   that has ports, a range is not upside down, an address is of the rule's
//   family.
// - A rule can be where it is: no output interface where packets come in.
// - Nothing reads differently after the system's own tools have saved and
//   restored it. iptables-save prints the names of chains, sets and interfaces
//   bare, so a quote or a space in one becomes options of the restored rule, a
//   verdict even. What it prints in quotes (comments, cgroup paths, counters)
//   may not have control characters, as a line break ends the rule.
#ifndef NFMETER_KERNEL_RULE_LAW_H_
#define NFMETER_KERNEL_RULE_LAW_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// Protocols by number (IPPROTO_*), as far as rules care.
inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolIcmpv6 = 58;

inline constexpr size_t kRuleIdMaxBytes = 40;
inline constexpr size_t kMultiportPlaces = 15;  // XT_MULTI_PORTS

// One thing that is wrong with a rule.
struct RuleFault {
  // Its path within the rule: "match.source_ports[1]".
  std::string field;
  // Goes on where the field's name ends: "is 16 bytes long; at most 15".
  std::string description;
};

// Whether this can be the id of a rule of ours: 1 to 40 of a-z, 0-9 and '-'.
bool IsRuleId(absl::string_view id);

// tcp, udp, udplite, sctp, dccp.
bool HasPorts(uint8_t protocol);

// The chains that the kernel itself has in a table.
absl::Span<const absl::string_view> BuiltinChains(Table table);

// Everything that is wrong with the rule whatever its table holds. An empty id
// is none of that: the server chooses one.
std::vector<RuleFault> FaultsOfRule(const RuleSpec& rule, Family family,
                                    Table table);

// What is wrong with conditions on the sending socket in a rule that packets
// come to from the built-in chain `from`, by jumps or because the rule is in
// it. The kernel refuses them (`hooks` in owner_mt_reg and cgroup_mt_reg).
std::vector<RuleFault> FaultsOfSocket(const RuleMatch& match,
                                      absl::string_view from);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_RULE_LAW_H_
