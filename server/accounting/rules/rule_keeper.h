// SPDX-License-Identifier: GPL-3.0-or-later
// Rules that are to stay as they were made.
#ifndef NFMETER_ACCOUNTING_RULES_RULE_KEEPER_H_
#define NFMETER_ACCOUNTING_RULES_RULE_KEEPER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "accounting/common/lane.h"
#include "accounting/rules/rule_editor.h"
#include "kernel/kernel.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// A rule that is to be there; with its id.
struct WantedRule {
  NewRule rule;
  kernel::RulePlacement placement = kernel::RulePlacement::kHead;
  // The cgroup that it names, see kernel::CgroupTree; 0: none, or unknown.
  uint64_t cgroup = 0;
  // It is bound to another cgroup than that, and has to be made anew.
  bool rebind = false;
  // Its cgroup is not there: a rule of it would make each change of the table
  // fail, and has to go until the cgroup is there again.
  bool away = false;
};

// What a RuleKeeper found.
struct KeptOutcome {
  std::vector<std::string> missing;  // ids of those that were not there
  std::vector<std::string> changed;  // that were there, and otherwise
  std::vector<std::string> rebound;  // whose cgroups have come, gone or changed
  // Of those, what could not be made as wanted, and why.
  std::vector<std::pair<std::string, absl::Status>> failed;

  bool same() const {
    return missing.empty() && changed.empty() && rebound.empty();
  }
};

// Makes rules again that others have deleted or changed. Thread-safe: works on
// the lane of changes. Does not own what it is given.
class RuleKeeper {
 public:
  RuleKeeper(kernel::Kernel& kernel, Lane& lane)
      : kernel_(kernel), lane_(lane) {}

  // In one change a table, or one by one where that fails. `wanted` is called
  // on the lane, so that no change of ours comes between, and returns rules in
  // the order in which they were made. Counters exist. Statuses of reads.
  absl::StatusOr<KeptOutcome> Keep(
      absl::FunctionRef<std::vector<WantedRule>()> wanted, bool dry_run);

 private:
  // On the lane:
  absl::Status KeepTable(kernel::Family family, kernel::Table table,
                         absl::Span<const WantedRule* const> rules,
                         bool dry_run, KeptOutcome& outcome);

  kernel::Kernel& kernel_;
  Lane& lane_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_RULE_KEEPER_H_
