// SPDX-License-Identifier: GPL-3.0-or-later
// Rules that were made one by one, and are to stay.
#ifndef NFMETER_ACCOUNTING_RULES_KEPT_RULES_H_
#define NFMETER_ACCOUNTING_RULES_KEPT_RULES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rule_keeper.h"
#include "base/clock.h"
#include "base/sqlite.h"
#include "kernel/cgroup_tree.h"

namespace nfmeter::accounting {

// The rules outside of plans that were made through the server and not deleted
// through it: whatever others do, they are to be there, see RuleKeeper. Kept
// in a file, so that they are made again after a reboot, too.
//
// Rows are written with the change that they are about. A failing disk fails no
// change: it is tried again with the next.
//
// Thread-safe.
class KeptRules {
 public:
  // Writes and reads a rule in its form in the file, which is not known here.
  struct Codec {
    std::function<std::string(const kernel::Rule& rule)> write;
    std::function<absl::StatusOr<NewRule>(absl::string_view text)> read;
  };

  // Opens or makes the file; an empty path keeps rules in memory only. A row
  // that can't be read is left out. Statuses: sqlite::Database::Open().
  // `cgroups` and `clock` must outlive it.
  static absl::StatusOr<std::unique_ptr<KeptRules>> Open(
      const std::string& path, Codec codec, kernel::CgroupTree& cgroups,
      Clock& clock);

  bool empty() const;
  // In the order in which they were made.
  std::vector<WantedRule> All() const;
  // Changes whenever All() does, but not with the bindings to cgroups.
  uint64_t version() const;
  // Whether the cgroups that rules name are those that they are bound to.
  bool AreBound() const;
  // The rules are as All() had them.
  void NoteBound(absl::Span<const WantedRule> rules);
  // Of those with these ids, each once; the kernel's names.
  std::vector<std::string> CountersOf(absl::Span<const std::string> ids) const;
  // When the first of those with these ids was made, by the wall clock;
  // InfinitePast(): not known of all.
  absl::Time MadeAt(absl::Span<const std::string> ids) const;

  // Of RuleEditor; on the lane of changes, in the job that did it, so that no
  // other change comes between. Does not block.
  void OnRulesCreated(absl::Span<const kernel::Rule> rules,
                      kernel::RulePlacement placement);
  void OnRulesDeleted(absl::Span<const kernel::Rule> rules);
  // After either, on the thread of the call, before it is answered.
  void CommitRules();

 private:
  struct Kept {
    uint64_t sequence = 0;
    std::string text;
    WantedRule wanted;  // `cgroup` is the one that it is bound to
    absl::Time made = absl::InfinitePast();
  };

  KeptRules(std::unique_ptr<sqlite::Database> db, Codec codec,
            kernel::CgroupTree& cgroups, Clock& clock)
      : codec_(std::move(codec)),
        cgroups_(cgroups),
        clock_(clock),
        db_(std::move(db)) {}

  absl::Status Load();
  // Of the cgroup that the rule names; 0: none is there, or it names none.
  uint64_t CgroupOf(const NewRule& rule) const;
  absl::Status Write(const std::set<std::string>& ids)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  const Codec codec_;
  kernel::CgroupTree& cgroups_;
  Clock& clock_;
  // Held over disk writes; before mutex_.
  absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  const std::unique_ptr<sqlite::Database> db_ ABSL_PT_GUARDED_BY(write_mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, Kept> rules_ ABSL_GUARDED_BY(mutex_);  // by id
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  // Ids whose rows in the file are to be written.
  std::set<std::string> unwritten_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_KEPT_RULES_H_
