// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_table_by_table.h"

#include <errno.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"
#include "kernel/errno_status.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// How long undoing may take, whatever is left of the caller's time.
constexpr absl::Duration kUndoTime = absl::Seconds(10);

// How many counters are made or deleted in one turn; readings of all counters
// get in between.
constexpr size_t kSlice = 256;

// `why`, and what could not be undone. Never UNAVAILABLE: to try again blindly
// would do that part twice.
absl::Status WithLeftovers(absl::Status why, const absl::Status& undone) {
  if (undone.ok()) return why;
  ErrorDetails details = GetErrorDetails(why);
  details.metadata["cause"] = details.reason;
  details.reason = "CHANGE_HALF_DONE";
  return MakeError(
      absl::StatusCode::kAborted,
      absl::StrCat("a part of the change stands, as it could not be undone: ",
                   undone.message(), "; the other part failed: ", why.message(),
                   "; list the rules before trying again"),
      std::move(details));
}

// One edit under way.
class Application {
 public:
  Application(const KernelEdit& edit, const EditTerms& terms, AcctTable& acct,
              const TableSteps& steps)
      : edit_(edit), terms_(terms), acct_(acct), steps_(steps) {}

  absl::StatusOr<KernelOutcome> Run() {
    const size_t parts = edit_.tables.size() + !edit_.new_counters.empty() +
                         !edit_.deleted_counters.empty();
    if (edit_.dry_run || parts > 1) NFM_RETURN_IF_ERROR(Rehearse());
    if (edit_.dry_run) return std::move(outcome_);
    outcome_ = {};
    absl::Status status = CreateCounters();
    if (status.ok()) status = EditTables();
    if (status.ok()) status = DeleteCounters();
    if (!status.ok()) return WithLeftovers(std::move(status), Undo());
    return std::move(outcome_);
  }

 private:
  absl::Status Rehearse() {
    for (const AcctObject& counter : edit_.new_counters) {
      const absl::Status found = acct_.Get(counter.name).status();
      if (absl::IsNotFound(found)) continue;
      return found.ok()
                 ? ErrnoStatus(Operation::kAcctCreate, EEXIST, counter.name)
                 : found;
    }
    for (const TableEdit& table : edit_.tables) {
      NFM_ASSIGN_OR_RETURN(outcome_.tables.emplace_back(),
                           steps_.rehearse(table, edit_.new_counters));
    }
    return RehearseDeletions();
  }

  // Counters that are to go must be there, and held by no more than the rules
  // that go before them.
  absl::Status RehearseDeletions() {
    absl::flat_hash_map<std::string, int64_t> uses;  // that the tables add
    for (const TableOutcome& table : outcome_.tables) {
      for (const Rule& rule : table.inserted) ++uses[rule.counter];
      for (const Rule& rule : table.deleted) --uses[rule.counter];
    }
    for (const std::string& name : edit_.deleted_counters) {
      NFM_ASSIGN_OR_RETURN(AcctObject counter, acct_.Get(name));
      if (counter.use_count + uses[name] > 0) {
        return ErrnoStatus(Operation::kAcctDelete, EBUSY, name);
      }
      outcome_.deleted_counters.push_back(std::move(counter));
    }
    return absl::OkStatus();
  }

  absl::Status CreateCounters() { return Create(edit_.new_counters, created_); }

  // What was made is added to `created`.
  absl::Status Create(absl::Span<const AcctObject> counters,
                      std::vector<AcctObject>& created) {
    for (size_t begin = 0; begin < counters.size(); begin += kSlice) {
      const auto slice = counters.subspan(begin, kSlice);
      absl::Status failed;
      NFM_RETURN_IF_ERROR(terms_.counter_turn([&] {
        CounterChanges changes;
        const std::vector<absl::Status> results = acct_.Create(slice);
        for (size_t i = 0; i < slice.size(); ++i) {
          if (results[i].ok()) changes.created.push_back(slice[i]);
          failed.Update(results[i]);
        }
        created.insert(created.end(), changes.created.begin(),
                       changes.created.end());
        return changes;
      }));
      NFM_RETURN_IF_ERROR(failed);
    }
    return absl::OkStatus();
  }

  absl::Status EditTables() {
    for (const TableEdit& table : edit_.tables) {
      // What has begun is finished, even if the caller has gone.
      const bool begun = !outcome_.tables.empty() || !created_.empty();
      NFM_ASSIGN_OR_RETURN(
          outcome_.tables.emplace_back(),
          steps_.edit(table, begun ? Patience(terms_.patience.deadline())
                                   : terms_.patience));
    }
    return absl::OkStatus();
  }

  absl::Status DeleteCounters() {
    std::vector<AcctObject>& deleted = outcome_.deleted_counters;
    return Delete(edit_.deleted_counters, deleted);
  }

  absl::Status Delete(absl::Span<const std::string> names,
                      std::vector<AcctObject>& deleted) {
    for (size_t begin = 0; begin < names.size(); begin += kSlice) {
      const auto slice = names.subspan(begin, kSlice);
      absl::Status failed;
      NFM_RETURN_IF_ERROR(terms_.counter_turn([&] {
        CounterChanges changes;
        for (const std::string& name : slice) {
          absl::StatusOr<AcctObject> last = acct_.Get(name);
          absl::Status gone = last.status();
          if (gone.ok()) gone = acct_.Delete({name}).front();
          if (gone.ok()) changes.deleted.push_back(*std::move(last));
          failed.Update(gone);
        }
        deleted.insert(deleted.end(), changes.deleted.begin(),
                       changes.deleted.end());
        return changes;
      }));
      NFM_RETURN_IF_ERROR(failed);
    }
    return absl::OkStatus();
  }

  // The other way round: a rule needs its counter, and a counter can't go
  // before its rules.
  absl::Status Undo() {
    std::vector<AcctObject> again;
    absl::Status failed = Create(outcome_.deleted_counters, again);
    for (size_t i = 0; i < outcome_.tables.size(); ++i) {
      failed.Update(UndoTable(edit_.tables[i], outcome_.tables[i]));
    }
    failed.Update(Delete(NamesOf(created_), again));
    return failed;
  }

  absl::Status UndoTable(const TableEdit& edit, const TableOutcome& done) {
    TableEdit undo;
    undo.family = edit.family;
    undo.table = edit.table;
    for (const Rule& rule : done.inserted) undo.deletions.push_back(rule.id);
    for (const Rule& rule : done.deleted) {
      undo.restorations.push_back(AsItWas(rule));
    }
    std::sort(
        undo.restorations.begin(), undo.restorations.end(),
        [](const auto& a, const auto& b) { return a.position < b.position; });
    const auto undone = steps_.edit(
        undo, Patience::ToTheEnd(SystemClock().BootTime() + kUndoTime));
    return Annotate(undone.status(), TableName(edit.table));
  }

  const KernelEdit& edit_;
  const EditTerms& terms_;
  AcctTable& acct_;
  const TableSteps& steps_;
  std::vector<AcctObject> created_;
  KernelOutcome outcome_;
};

}  // namespace

absl::StatusOr<KernelOutcome> ApplyTableByTable(const KernelEdit& edit,
                                                const EditTerms& terms,
                                                AcctTable& acct,
                                                const TableSteps& steps) {
  return Application(edit, terms, acct, steps).Run();
}

}  // namespace nfmeter::kernel
