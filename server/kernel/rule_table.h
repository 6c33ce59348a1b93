// The kernel's packet-filter rules that feed accounting objects, in the
// domain's words.
#ifndef NFMETER_KERNEL_RULE_TABLE_H_
#define NFMETER_KERNEL_RULE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernel/patience.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

enum class RulePlacement { kHead, kTail };

// A rule that was deleted, to be put back where it was.
struct RestoredRule {
  RuleSpec spec;
  uint32_t position = 1;  // in its chain, from 1; beyond its end: at the end
  uint64_t packets = 0;   // of the rule's own counter
  uint64_t bytes = 0;
};

// One change of one table: deletions first, then restorations, then insertions,
// in one commit.
struct TableEdit {
  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  // Ids of managed rules. All must be there.
  std::vector<std::string> deletions;
  // Those of one chain by rising position: with all that were deleted the chain
  // is then as it was. Ids must be new to the table.
  std::vector<RestoredRule> restorations;
  // Of one chain in this order, at its head or tail. Ids must be new to the
  // table.
  std::vector<RuleSpec> insertions;
  RulePlacement placement = RulePlacement::kHead;
  // Check all, commit nothing. `inserted` is then what would have been read
  // back, with position 0.
  bool dry_run = false;
};

struct EditOutcome {
  // Restored and inserted ones as read back, in the order of the edit.
  std::vector<Rule> inserted;
  std::vector<Rule> deleted;  // with their last counters, in that order
  // The rules are as wanted, but the kernel refused to take the rule counters
  // over (EINVAL from IPT_SO_SET_ADD_COUNTERS): rule counters of this table may
  // have restarted. Accounting objects are not concerned.
  bool rule_counters_lost = false;
};

// The tables of one network namespace: that of the thread that made this.
//
// Not thread-safe, StopWaiting() apart: each one belongs to one lane.
//
// Statuses: NOT_FOUND (chain, counter, ipset, rule id), ALREADY_EXISTS (id),
// FAILED_PRECONDITION (a rule of somebody else's), INVALID_ARGUMENT (the kernel
// refused the rule in this place), UNAVAILABLE (xtables lock held until the
// deadline, or the table kept changing), UNIMPLEMENTED (no such table or match
// in this kernel), PERMISSION_DENIED.
class RuleTable {
 public:
  virtual ~RuleTable() = default;

  // OK: tables of this family can be read.
  virtual absl::Status ProbeTables(Family family) = 0;

  // OK: the kernel has the nfacct match for this family.
  virtual absl::Status ProbeMatch(Family family) = 0;

  // OK: the kernel has the NFACCT target for this family.
  virtual absl::Status ProbeTarget(Family family) = 0;

  // Which implementation, for people: "legacy iptables (libiptc)".
  virtual absl::string_view BackendName() const = 0;

  // What people should know about this host: rules in nf_tables that count
  // beside ours, say. Sentences; usually none.
  virtual std::vector<std::string> Notices() = 0;

  // Reads a whole table.
  virtual absl::StatusOr<TableContents> Read(Family family, Table table) = 0;

  // One read-modify-commit under the xtables lock, all or nothing. Everything
  // that the edit does not name is the same afterwards, rule counters included.
  // Gives up waiting for the lock at the deadline; whoever was abandoned by
  // then changes nothing when it gets it, CANCELLED.
  virtual absl::StatusOr<EditOutcome> Edit(const TableEdit& edit,
                                           const Patience& patience) = 0;

  // From now on nobody waits for the xtables lock: an Edit() that does ends as
  // at its deadline. For the end of the process. Thread-safe, unlike the rest.
  virtual void StopWaiting() = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_RULE_TABLE_H_
