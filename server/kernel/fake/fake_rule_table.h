// SPDX-License-Identifier: GPL-3.0-or-later
// iptables in memory, for tests.
#ifndef NFMETER_KERNEL_FAKE_FAKE_RULE_TABLE_H_
#define NFMETER_KERNEL_FAKE_FAKE_RULE_TABLE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "kernel/errno_status.h"
#include "kernel/fake/fake_rule_counters.h"
#include "kernel/kernel.h"
#include "kernel/rule_table.h"

namespace nfmeter::kernel {

// Both families' five tables with their built-in chains, empty at first, and
// hooks with which a test plays the other users of the host.
//
// Rules hold references on the counters of `acct`, as in the kernel, and a rule
// for a counter that is not there is refused; without `acct` every counter
// exists. Does not own `acct`, which must outlive it.
//
// Thread-safe, so that a test can use the hooks while a lane uses the table.
// Tables that don't exist, chains that don't exist: hooks abort.
class FakeRuleTable : public RuleTable {
 public:
  explicit FakeRuleTable(FakeAcctTable* acct = nullptr);

  absl::StatusOr<TableContents> Read(Family family, Table table) override;
  absl::StatusOr<std::optional<uint64_t>> Fingerprint() override;
  // In one step, as a kernel with transactions does it.
  absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit,
                                      const EditTerms& terms) override;
  absl::StatusOr<OwnedOutcome> ApplyOwned(const OwnedEdit& edit,
                                          const Patience& patience) override;
  absl::StatusOr<size_t> MoveRules(const CounterMove& move,
                                   const Patience& patience) override;
  void StopWaiting() override;

  // --- Hooks: what others do -----------------------------------------------

  void AddUserChain(Family family, Table table, absl::string_view chain);
  // Appends, or inserts before all others, a rule of somebody else's with this
  // text, for example "-A INPUT -s 10.0.0.1/32 -j LOG"; its chain is that of
  // the text. A counter that it names with --nfacct-name gets a reference.
  // Returns its id.
  std::string AddForeignRule(Family family, Table table, absl::string_view text,
                             RulePlacement placement = RulePlacement::kTail);
  // iptables -F CHAIN; all chains of the table without a name.
  void Flush(Family family, Table table, absl::string_view chain = "");
  // iptables -P, with the policy's counters.
  void SetPolicy(Family family, Table table, absl::string_view chain,
                 absl::string_view policy, uint64_t packets = 0,
                 uint64_t bytes = 0);
  // Nobody sees any more whether the table is there: Read() says
  // TABLE_NOT_VISIBLE.
  void HideTable(Family family, Table table);
  // Sets a rule's own counters. The accounting object is not concerned.
  void SetRuleCounters(Family family, Table table, absl::string_view id,
                       uint64_t packets, uint64_t bytes);

  // --- Hooks: what goes wrong ----------------------------------------------

  // The next `times` operations of this kind (kRuleRead, kRuleCommit,
  // kXtablesLock) fail with this errno and change nothing.
  void FailNext(Operation operation, int err, int times = 1);
  // While held, Apply() answers at once as the real one does at its deadline.
  void HoldXtablesLock(bool held);
  // While paused, Apply() waits until it is abandoned; Read() does not.
  void PauseEdits(bool paused);
  // The next commit's outcome has rule_counters_lost, and the table's rule
  // counters are zero.
  void LoseRuleCountersOnNextCommit();
  // So many budgets of others are filled up by each commit of a table from now
  // on.
  void RefillBudgetsOnCommits(size_t budgets);
  // What probes find. Read() and Apply() of a family whose tables are absent
  // say the same, as does Apply() of rules whose form is.
  void SetCapabilities(const RuleCapabilities& capabilities);
  // Whether it takes maps, as nf_tables does. Each element is a rule here.
  void SetCountsByMaps(bool counts) { counts_by_maps_ = counts; }
  bool CountsByMaps() const override { return counts_by_maps_; }
  RuleCapabilities capabilities() const;

  // --- What happened -------------------------------------------------------

  // Commits that changed a table; a dry run is none.
  int commits(Family family, Table table) const;
  int total_commits() const;
  // Of tables, for whatever call.
  int reads() const;

 private:
  using Key = std::pair<Family, Table>;

  std::atomic<bool> counts_by_maps_ = false;

  using Tables = std::map<Key, TableContents>;

  absl::Status ApplyOwnedTable(const OwnedTable& wanted, const OwnedEdit& edit,
                               OwnedOutcome& outcome)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<size_t> MoveRulesOf(Key key, const CounterMove& move)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WaitForTurn(const KernelEdit& edit, const Patience& patience)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakeFailure(Operation operation, Key key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The edited tables as they are afterwards.
  absl::StatusOr<Tables> EditTables(const KernelEdit& edit,
                                    std::vector<TableOutcome>& outcomes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Commit(const KernelEdit& edit,
                      std::vector<TableOutcome>& outcomes,
                      std::vector<TableContents>& before);
  absl::Status CheckForms(const TableEdit& edit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status PutBack(const KernelEdit& edit,
                       std::vector<TableContents>& before,
                       KernelOutcome& outcome);
  Chain& ChainNamed(Key key, absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FakeRuleCounters counters_;
  mutable absl::Mutex mutex_;
  Tables tables_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, int> commits_ ABSL_GUARDED_BY(mutex_);
  int reads_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<Key> hidden_ ABSL_GUARDED_BY(mutex_);
  std::map<Operation, std::pair<int, int>> failures_ ABSL_GUARDED_BY(mutex_);
  RuleCapabilities capabilities_ ABSL_GUARDED_BY(mutex_);
  bool lock_held_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool waits_ ABSL_GUARDED_BY(mutex_) = true;
  bool lose_counters_ ABSL_GUARDED_BY(mutex_) = false;
  size_t budgets_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_RULE_TABLE_H_
