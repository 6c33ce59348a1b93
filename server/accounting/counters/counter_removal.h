// SPDX-License-Identifier: GPL-3.0-or-later
// Takes counters out of the kernel, and what holds them there.
#ifndef NFMETER_ACCOUNTING_COUNTERS_COUNTER_REMOVAL_H_
#define NFMETER_ACCOUNTING_COUNTERS_COUNTER_REMOVAL_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/stand_ins.h"
#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rules.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

struct CounterDeletion {
  bool validate_only = false;
  // Delete the managed rules that count into the counters first.
  bool delete_managed_rules = false;
  // But none of those with a verdict, see RuleChange.
  bool counting_rules_only = false;
  // For the rules, see RuleChange.
  kernel::Patience patience;
};

// Releases counters from rules and deletes them, with their last values.
//
// Thread-safe. Does not own what it is given.
class CounterRemoval {
 public:
  struct Parts {
    kernel::AcctTable& table;
    Lane& lane;  // of counters
    Rules& rules;
    RuleEditor& rule_editor;
    const StandIns& stand_ins;
    const CounterObservers& observers;
  };
  explicit CounterRemoval(const Parts& parts) : parts_(parts) {}

  // Sees to it that no rule holds the counters. FAILED_PRECONDITION: rules do,
  // which it names. Else see RuleEditor::Delete().
  absl::Status Release(absl::Span<const Counter> counters,
                       const CounterDeletion& deletion);

  // Deletes each, and hands out its last values or why it is still there, in
  // order.
  void Remove(absl::Span<const std::string> names,
              absl::FunctionRef<void(
                  size_t index, absl::StatusOr<kernel::AcctObject> deleted)>
                  on_result);

 private:
  // Those that count into one of `counters`.
  absl::Status DeleteRules(std::vector<std::string> ids,
                           const std::vector<std::string>& counters,
                           const CounterDeletion& deletion);
  // On the lane:
  std::vector<absl::StatusOr<kernel::AcctObject>> ReadAndDelete(
      absl::Span<const std::string> names);
  // Objects as they were read last.
  std::vector<absl::Status> DeleteNow(
      absl::Span<const kernel::AcctObject> objects);

  const Parts parts_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_COUNTER_REMOVAL_H_
