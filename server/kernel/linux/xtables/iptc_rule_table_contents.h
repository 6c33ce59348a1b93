// SPDX-License-Identifier: GPL-3.0-or-later
// A table of libiptc's <-> the domain's values.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_CONTENTS_H_
#define NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_CONTENTS_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "kernel/linux/xtables/iptc_rule_table_handle.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {

// All chains with all rules, numbered. A rule that can't be decoded is shown
// by its size and target, and never keeps the others from being read.
TableContents ReadContents(IptcHandle& handle, Family family, Table table,
                           IpSetIndex& sets);

// One rule, without what only its table knows (position, foreign id).
Rule ReadRule(Family family, Table table, absl::string_view chain,
              const IptcRule& rule, IpSetIndex& sets);

// Carries out a checked edit in the handle, deletions first. `entries` are
// those of NewRules(edit). Returns 0 or an errno.
int ApplyEdit(const TableContents& contents, const EditPlan& plan,
              const TableEdit& edit,
              const std::vector<std::vector<uint8_t>>& entries,
              IptcHandle& handle);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_CONTENTS_H_
