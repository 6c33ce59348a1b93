// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_table.h"

#include "base/error.h"

namespace nfmeter::kernel {

absl::StatusOr<OwnedOutcome> RuleTable::ApplyOwned(const OwnedEdit& edit,
                                                   const Patience&) {
  if (edit.wanted.empty()) return OwnedOutcome();
  return MakeError(absl::StatusCode::kUnimplemented, "PLANS_UNSUPPORTED",
                   "plans are laid out for legacy iptables, which this server "
                   "does not use; start it with --backend iptables where the "
                   "kernel has that, or make rules one by one");
}

}  // namespace nfmeter::kernel
