// SPDX-License-Identifier: GPL-3.0-or-later
// What tells whether anybody has changed a table, at a small cost.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_FINGERPRINT_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_FINGERPRINT_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// Of a table that is there (see TablePresence), in the network namespace of the
// calling thread. Taken from the kernel's own form, without libiptc, which
// would take it apart rule by rule. nullopt: a rule of the table names an
// ipset, by a number whose name others may change without touching the rule;
// or the table kept changing. Statuses of Operation::kRuleRead.
absl::StatusOr<std::optional<uint64_t>> FingerprintOf(Family family,
                                                      Table table);

// The same of entries as IPT_SO_GET_ENTRIES and IP6T_SO_GET_ENTRIES give them.
// nullopt also where they make no sense.
std::optional<uint64_t> FingerprintOfEntries(Family family,
                                             absl::Span<const uint8_t> entries);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_FINGERPRINT_H_
