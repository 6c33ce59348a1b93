// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of rules: what RuleService creates and deletes, without gRPC.
#ifndef NFMETER_ACCOUNTING_RULES_RULE_EDITOR_H_
#define NFMETER_ACCOUNTING_RULES_RULE_EDITOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/lane.h"
#include "accounting/rules/rule_tables.h"
#include "kernel/kernel.h"
#include "kernel/rule_table.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

class KeptRules;

// A rule to make, validated. An empty id is chosen by Rules.
struct NewRule {
  kernel::Family family = kernel::Family::kIpv4;
  kernel::Table table = kernel::Table::kFilter;
  kernel::RuleSpec spec;  // its form is chosen by Rules, see `form`
  // nullopt: the match where the kernel has it, else the target.
  std::optional<kernel::CountingForm> form;
  // What errors about it say: its place in the request, "rules[3]".
  std::string field;
};

// How a change of rules is carried out.
struct RuleChange {
  kernel::RulePlacement placement = kernel::RulePlacement::kHead;
  bool validate_only = false;
  // For earlier changes and for the xtables lock.
  kernel::Patience patience;
  // The caller sees no rules but those that count into these.
  CounterScope scope;
  // Of deletions: rules that count into other counters stay, whatever their
  // ids. The kernel's names; empty: any.
  std::vector<std::string> counters;
  // Rules with another verdict than kContinue may not be deleted.
  bool counting_only = false;
};

// What a change of rules has done.
struct ChangedRules {
  std::vector<kernel::Rule> rules;  // in the order of the request
  // The tables in which budgets of others were filled up, see
  // kernel::TableOutcome.
  std::vector<std::pair<kernel::Family, kernel::Table>> refilled;
};

// PERMISSION_DENIED, VERDICT_NOT_PERMITTED: the caller may only count.
absl::Status VerdictNotPermitted();

// Creates and deletes rules, whole batches at once over all tables.
//
// Thread-safe: tables are changed on one lane only. Does not own what it is
// given.
class RuleEditor {
 public:
  RuleEditor(kernel::Kernel& kernel, Lane& lane)
      : kernel_(kernel), lane_(lane) {}

  // Is told of each rule made and deleted. Before the first change; must
  // outlive this.
  void SetKeptRules(KeptRules* kept) { kept_ = kept; }

  // Creates all or none and returns them as read back, in order. NOT_FOUND
  // (COUNTER_NOT_FOUND, or chain or ipset), ALREADY_EXISTS (id), UNAVAILABLE
  // (lock), UNIMPLEMENTED (no such match or target). What concerns some of the
  // rules names their fields.
  absl::StatusOr<ChangedRules> Create(std::vector<NewRule> rules,
                                      const RuleChange& change);

  // Deletes all or none and returns them with their last counters, in order.
  // NOT_FOUND names the ids that are missing; FAILED_PRECONDITION: a rule of
  // somebody else's; PERMISSION_DENIED: see RuleChange.counting_only.
  absl::StatusOr<ChangedRules> Delete(absl::Span<const std::string> ids,
                                      const RuleChange& change);

  // Calls `job` with the tables when it is its turn among changes of rules.
  // Statuses: `job`, and as of Create() for the wait.
  absl::Status InTurnOfChanges(
      const kernel::Patience& patience,
      absl::FunctionRef<absl::Status(kernel::RuleTable& table)> job);

  // The server ends: changes that wait for others give up.
  void StopWaiting() { kernel_.rules().StopWaiting(); }

  // What our changes have done to others since the start, for people; see
  // kernel::TableOutcome. Sentences; usually none.
  std::vector<std::string> Notices() const;

  // What the answer says of it: of each table once since the start.
  std::vector<std::string> FirstNotices(const ChangedRules& changed);

 private:
  // The changes of one table and family, with their places in the request.
  struct Group {
    kernel::TableEdit edit;
    std::vector<size_t> indexes;
  };

  // Sets spec.form. UNIMPLEMENTED: the kernel can't count so.
  absl::Status ChooseForm(NewRule& rule) const;
  absl::Status CheckCounters(absl::Span<const NewRule> rules);
  // Takes the specs out of `rules`.
  static std::vector<Group> GroupInsertions(std::vector<NewRule>& rules,
                                            const RuleChange& change);

  // On the lane:
  absl::StatusOr<TablesRead> ReadAllTables(
      absl::FunctionRef<bool(const kernel::TableContents&)> on_table) {
    return ReadTables(kernel_, kernel_.rules(), std::nullopt, std::nullopt,
                      on_table);
  }
  // Those of `ids` that rules have.
  absl::StatusOr<std::vector<std::string>> ExistingIds(
      const absl::flat_hash_set<std::string>& ids);
  absl::StatusOr<std::vector<Group>> GroupDeletions(
      absl::Span<const std::string> ids, const RuleChange& change);
  absl::StatusOr<ChangedRules> EditAll(std::vector<Group> groups,
                                       const RuleChange& change);

  kernel::RuleCapabilities capabilities() const {
    return kernel_.capabilities()->rules;
  }

  kernel::Kernel& kernel_;
  Lane& lane_;
  KeptRules* kept_ = nullptr;
  // Changes of tables.
  std::atomic<uint64_t> rule_counter_losses_{0};
  std::atomic<uint64_t> refills_{0};
  absl::Mutex told_mutex_;
  // Tables of which FirstNotices() has spoken.
  absl::flat_hash_set<std::pair<kernel::Family, kernel::Table>> told_
      ABSL_GUARDED_BY(told_mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_RULE_EDITOR_H_
