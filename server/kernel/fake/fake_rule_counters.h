// SPDX-License-Identifier: GPL-3.0-or-later
// The counters of a FakeAcctTable, as the rules of a FakeRuleTable hold them.
#ifndef NFMETER_KERNEL_FAKE_FAKE_RULE_COUNTERS_H_
#define NFMETER_KERNEL_FAKE_FAKE_RULE_COUNTERS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"
#include "kernel/kernel_edit.h"

namespace nfmeter::kernel {

class FakeAcctTable;

// Without a table every counter exists, and nothing is held. Thread-safe, as
// that is, which it does not own.
class FakeRuleCounters {
 public:
  explicit FakeRuleCounters(FakeAcctTable* acct) : acct_(acct) {}

  // NOT_FOUND: a new rule counts into a counter that is neither there nor among
  // those that are to be made.
  absl::Status CheckRules(const TableEdit& edit,
                          absl::Span<const AcctObject> new_counters) const;
  // Whether the counters of `edit` can be made and deleted once its tables are
  // as `outcome` has them. Of a dry run, `outcome` gets those deleted.
  absl::Status CheckEdit(const KernelEdit& edit, KernelOutcome& outcome) const;

  // Makes all, or none.
  absl::Status Create(absl::Span<const AcctObject> counters,
                      const EditTerms& terms);
  // Deletes those that Create() made, as the rest of the edit failed.
  absl::Status TakeBack(absl::Span<const AcctObject> made,
                        const EditTerms& terms);
  // Deletes those of `edit`, all or none; `outcome` gets their last values.
  absl::Status Delete(const KernelEdit& edit, const EditTerms& terms,
                      KernelOutcome& outcome);

  // Rules that come hold their counters, and those that go release them. All or
  // nothing, as the kernel resolves the names of a whole table before it
  // puts it in place.
  absl::Status MoveReferences(const std::vector<TableOutcome>& outcomes);
  absl::Status Hold(const Rule& rule);
  void Release(const Rule& rule);

 private:
  FakeAcctTable* const acct_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_RULE_COUNTERS_H_
