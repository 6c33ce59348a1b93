// SPDX-License-Identifier: GPL-3.0-or-later
// What has become of an edit, seen in its table when that is read back after
// the commit: libiptc's answer alone does not say it.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_EDIT_OUTCOME_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_EDIT_OUTCOME_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel/kernel_edit.h"
#include "kernel/linux/xtables/xt_codec.h"

namespace nfmeter::kernel {

// A rule as it will be read back; `entry` is `spec`, encoded.
Rule Foreseen(const TableEdit& edit, const RuleSpec& spec,
              const std::vector<uint8_t>& entry, IpSetIndex& sets);

struct XtCommit {
  const TableEdit& edit;
  // The edit's new rules, in the order of NewRules().
  const std::vector<std::vector<uint8_t>>& entries;
  const TableContents& before;
  int err = 0;  // what it said
};

// Whether the rules of ours in `after` are what the edit wants. A rule that is
// replaced under its old id is told by its chain and text.
bool IsApplied(const XtCommit& commit, const TableContents& after,
               IpSetIndex& sets);

// How many rules use up a budget (`-m quota`, `-m limit`, `--mode nth`), which
// a commit of their table fills up again.
size_t BudgetsIn(const TableContents& contents);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_EDIT_OUTCOME_H_
