// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/counter_editor.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "accounting/counters/in_slices.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/rule_edit.h"

namespace nfmeter::accounting {
namespace {

// How often the rules of counters to delete are looked up.
constexpr int kReleaseTries = 3;

std::vector<kernel::AcctObject> ObjectsOf(absl::Span<const Counter> counters) {
  std::vector<kernel::AcctObject> objects;
  objects.reserve(counters.size());
  for (const Counter& counter : counters) objects.push_back(counter.object);
  return objects;
}

bool AnyHeld(absl::Span<const Counter> counters) {
  return std::any_of(
      counters.begin(), counters.end(),
      [](const Counter& counter) { return counter.object.use_count > 0; });
}

absl::Status QuotaOfPlan(const std::string& counter, const std::string& plan) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("counter ", ShownName(counter), " is one of plan ",
                   ShownName(plan),
                   ", which says what its quota is: change the quota of its "
                   "account there, and apply the plan again"),
      ErrorDetails{.reason = "QUOTA_OF_PLAN",
                   .metadata = {{"counter", ShownName(counter)},
                                {"plan", ShownName(plan)}}});
}

absl::Status CounterOfPlan(const std::string& counter,
                           const std::string& plan) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("counter ", ShownNames({counter}), " is one of plan ",
                   ShownName(plan),
                   ", whose rules count into it; nothing was deleted; take it "
                   "out of the plan and apply that again, or delete the plan"),
      ErrorDetails{.reason = "COUNTER_IN_USE",
                   .metadata = {{"counters", ShownName(counter)},
                                {"count", "1"},
                                {"plan", ShownName(plan)}}});
}

// Of our rules those that count into `counter` and decide about the packets
// that they match. With a quota they match only once it is exceeded.
std::vector<std::string> DecidingRules(absl::Span<const kernel::Rule> rules,
                                       const std::string& counter) {
  std::vector<std::string> ids;
  for (const kernel::Rule& rule : rules) {
    if (rule.managed && rule.verdict != kernel::Verdict::kContinue &&
        kernel::CountsInto(rule, counter)) {
      ids.push_back(rule.id);
    }
  }
  return ids;
}

// Labels of `before` with what people want changed.
Labels UpdatedLabels(const Counter& before, const CounterUpdate& update) {
  Labels labels = before.labels;
  if (update.labels.has_value()) {
    std::erase_if(labels,
                  [](const auto& label) { return !IsOwnLabel(label.first); });
    labels.insert(update.labels->begin(), update.labels->end());
  }
  if (update.description.has_value()) {
    if (update.description->empty()) {
      labels.erase(kDescriptionLabel);
    } else {
      labels[kDescriptionLabel] = *update.description;
    }
  }
  return labels;
}

}  // namespace

CounterEditor::CounterEditor(const Parts& parts)
    : kernel_(parts.kernel),
      table_(parts.kernel.acct()),
      lane_(parts.lane),
      counters_(parts.counters),
      labels_(parts.labels),
      rules_(parts.rules),
      observers_(parts.observers),
      clock_(parts.clock),
      stand_ins_({.table = table_, .lane = lane_, .observers = observers_}),
      quota_changes_({.table = table_,
                      .lane = lane_,
                      .rules = parts.rule_editor,
                      .stand_ins = stand_ins_}),
      owned_quota_changes_({.table = table_,
                            .lane = lane_,
                            .rules = parts.rule_editor,
                            .stand_ins = stand_ins_}),
      removal_({.table = table_,
                .lane = lane_,
                .rules = parts.rules,
                .rule_editor = parts.rule_editor,
                .stand_ins = stand_ins_,
                .observers = observers_}),
      creation_({.table = table_,
                 .lane = lane_,
                 .counters = counters_,
                 .snapshots = parts.snapshots,
                 .labels = labels_,
                 .removal = removal_,
                 .observers = observers_,
                 .clock = clock_}) {}

// --- Creation ---------------------------------------------------------------

absl::StatusOr<std::vector<Counter>> CounterEditor::Create(
    std::vector<Counter> counters, bool validate_only,
    const CounterScope& scope) {
  NFM_RETURN_IF_ERROR(Available());
  return creation_.Create(std::move(counters), validate_only, scope);
}

// --- Update -----------------------------------------------------------------

// While it lives no other update of the counter runs, so that the counter is
// changed as it was when its etag was compared.
class CounterEditor::UpdateTurn {
 public:
  UpdateTurn(CounterEditor& editor, const std::string& name)
      : editor_(editor), name_(name) {
    absl::MutexLock lock(&editor_.updates_mutex_);
    const auto free = [&] {
      editor_.updates_mutex_.AssertHeld();
      return !editor_.updating_.contains(name_);
    };
    editor_.updates_mutex_.Await(absl::Condition(&free));
    editor_.updating_.insert(name_);
  }
  ~UpdateTurn() {
    absl::MutexLock lock(&editor_.updates_mutex_);
    editor_.updating_.erase(name_);
  }
  UpdateTurn(const UpdateTurn&) = delete;
  UpdateTurn& operator=(const UpdateTurn&) = delete;

 private:
  CounterEditor& editor_;
  const std::string name_;
};

absl::StatusOr<Counter> CounterEditor::Update(const CounterUpdate& update) {
  NFM_RETURN_IF_ERROR(Available());
  const std::string& name = update.target.name;
  const UpdateTurn turn(*this, name);
  NFM_ASSIGN_OR_RETURN(const std::vector<Counter> found,
                       counters_.Check({update.target}));
  Counter counter = found.front();
  const Labels labels = UpdatedLabels(counter, update);
  if (labels != counter.labels) {
    const LabelChanges changes = {{name, labels}};
    NFM_RETURN_IF_ERROR(labels_.CheckRoom(changes, update.scope));
  }
  const bool new_quota =
      update.quota.has_value() && *update.quota != counter.object.quota;
  if (new_quota && plan_of_ != nullptr) {
    if (const std::string plan = plan_of_(name); !plan.empty()) {
      return QuotaOfPlan(name, plan);
    }
  }
  if (new_quota && counter.object.use_count > 0) {
    // What the first one lets pass has no caps.
    if (update.counting_only) {
      NFM_RETURN_IF_ERROR(CheckOnlyCounts({name}));
    } else if (!update.quota->has_value()) {
      NFM_RETURN_IF_ERROR(CheckNoCaps({name}));
    }
  }
  if (update.validate_only) {
    if (new_quota) {
      NFM_RETURN_IF_ERROR(quota_changes_.Carry({.counter = name,
                                                .quota = *update.quota,
                                                .dry_run = true,
                                                .patience = update.patience}));
      counter.object.quota = *update.quota;
    }
    counter.labels = labels;
    return counter;
  }
  NFM_RETURN_IF_ERROR(CarryUpdate(update, counter, labels, new_quota));
  NFM_ASSIGN_OR_RETURN(std::vector<Counter> after,
                       counters_.GetMany({name}, absl::ZeroDuration()));
  return std::move(after.front());
}

// Without its quota, say, a counter lets a rule that drops drop all.
absl::Status CounterEditor::CheckOnlyCounts(
    absl::Span<const std::string> names) const {
  NFM_ASSIGN_OR_RETURN(const std::vector<kernel::Rule> holders,
                       rules_.Holders(names));
  for (const kernel::Rule& rule : holders) {
    if (rule.verdict == kernel::Verdict::kContinue ||
        kernel::IsInOwnedChain(rule)) {
      continue;
    }
    return MakeError(
        absl::StatusCode::kPermissionDenied,
        absl::StrCat("a rule decides about packets by the quota of counter '",
                     ShownName(rule.counter),
                     "'; to change it takes the role admin"),
        ErrorDetails{.reason = "VERDICT_NOT_PERMITTED",
                     .metadata = {{"counter", ShownName(rule.counter)}}});
  }
  return absl::OkStatus();
}

absl::Status CounterEditor::CheckNoCaps(
    absl::Span<const std::string> names) const {
  NFM_ASSIGN_OR_RETURN(const std::vector<kernel::Rule> rules,
                       rules_.Holders(names));
  for (const std::string& name : names) {
    const std::vector<std::string> caps = DecidingRules(rules, name);
    if (!caps.empty()) return QuotaOfCaps(name, caps);
  }
  return absl::OkStatus();
}

absl::Status CounterEditor::CheckHeldByPlansAlone(
    absl::Span<const std::string> names, absl::string_view advice) const {
  if (names.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(std::vector<kernel::Rule> rules, rules_.Holders(names));
  std::erase_if(rules, kernel::IsInOwnedChain);
  if (rules.empty()) return absl::OkStatus();
  absl::flat_hash_set<absl::string_view> counted;
  for (const kernel::Rule& rule : rules) {
    counted.insert(rule.counter);
    counted.insert(rule.other_counters.begin(), rule.other_counters.end());
  }
  std::vector<std::string> held(names.begin(), names.end());
  std::erase_if(
      held, [&](const std::string& name) { return !counted.contains(name); });
  return CountersInUse(held, rules, advice);
}

absl::Status CounterEditor::CarryUpdate(const CounterUpdate& update,
                                        const Counter& before,
                                        const Labels& labels, bool new_quota) {
  const std::string& name = update.target.name;
  const LabelChanges changes = {{name, labels}};
  const bool new_labels = labels != before.labels;
  NFM_RETURN_IF_ERROR(observers_.Admit(1));
  if (new_labels) NFM_RETURN_IF_ERROR(labels_.Set(changes, update.scope));
  if (new_quota) {
    const absl::Status changed = quota_changes_.Carry(
        {.counter = name, .quota = *update.quota, .patience = update.patience});
    if (!changed.ok()) {
      const LabelChanges old = {{name, before.labels}};
      if (new_labels) labels_.Set(old, update.scope).IgnoreError();
      return changed;
    }
  }
  return observers_.Commit();
}

absl::StatusOr<kernel::OwnedOutcome> CounterEditor::ChangeQuotas(
    const OwnedQuotaChanges::Change& change) {
  NFM_RETURN_IF_ERROR(Available());
  if (!change.wanted.dry_run) {
    NFM_RETURN_IF_ERROR(observers_.Admit(change.after.size()));
  }
  NFM_ASSIGN_OR_RETURN(kernel::OwnedOutcome outcome,
                       owned_quota_changes_.Carry(change));
  // The kernel has done it: what can't be written now is written later.
  if (!change.wanted.dry_run) observers_.Commit().IgnoreError();
  return outcome;
}

// --- Reset ------------------------------------------------------------------

absl::StatusOr<CounterBatch> CounterEditor::Reset(
    absl::Span<const CounterTarget> targets, bool validate_only) {
  NFM_RETURN_IF_ERROR(Available());
  CounterBatch batch;
  NFM_ASSIGN_OR_RETURN(batch.counters, counters_.Check(targets));
  if (validate_only) return batch;
  NFM_RETURN_IF_ERROR(observers_.Admit(targets.size()));
  NFM_RETURN_IF_ERROR(observers_.BeforeReset(ObjectsOf(batch.counters)));
  batch.counters.clear();
  const std::vector<std::string> names = NamesOf(targets);
  InSlices<absl::StatusOr<kernel::AcctObject>>(
      lane_, names,
      [&](absl::Span<const std::string> slice) { return ReadAndReset(slice); },
      [&](size_t index, absl::StatusOr<kernel::AcctObject> object) {
        if (object.ok()) {
          batch.counters.push_back(counters_.AfterReset(*std::move(object)));
        } else {
          batch.failures.push_back(
              {index, names[index],
               AboutCounter(object.status(), names[index])});
        }
      });
  NFM_RETURN_IF_ERROR(observers_.Commit());
  return batch;
}

absl::Status CounterEditor::WithPlan(absl::Status in_use,
                                     absl::Span<const Counter> counters) const {
  if (plan_of_ == nullptr) return in_use;
  for (const Counter& counter : counters) {
    if (counter.object.use_count == 0) continue;
    const std::string plan = plan_of_(counter.object.name);
    if (!plan.empty()) return CounterOfPlan(counter.object.name, plan);
  }
  return in_use;
}

std::vector<absl::StatusOr<kernel::AcctObject>> CounterEditor::ReadAndReset(
    absl::Span<const std::string> names) {
  auto objects = table_.GetAndReset(names);
  std::vector<kernel::AcctObject> reset;
  for (const absl::StatusOr<kernel::AcctObject>& object : objects) {
    if (object.ok()) reset.push_back(*object);
  }
  observers_.OnReset(reset);
  return objects;
}

// --- Deletion ---------------------------------------------------------------

absl::StatusOr<CounterBatch> CounterEditor::Delete(
    absl::Span<const CounterTarget> targets, const CounterDeletion& deletion) {
  NFM_RETURN_IF_ERROR(Available());
  CounterBatch batch;
  if (!deletion.validate_only) {
    NFM_RETURN_IF_ERROR(observers_.Admit(targets.size()));
  }
  absl::Status released;
  int tries = 0;
  do {
    NFM_ASSIGN_OR_RETURN(batch.counters, counters_.Check(targets));
    released = removal_.Release(batch.counters, deletion);
    // Somebody else deleted a rule after we had found it.
  } while (GetErrorDetails(released).reason == "RULE_NOT_FOUND" &&
           ++tries < kReleaseTries);
  if (GetErrorDetails(released).reason == "COUNTER_IN_USE") {
    return WithPlan(std::move(released), batch.counters);
  }
  NFM_RETURN_IF_ERROR(released);
  if (deletion.validate_only) return batch;
  const std::vector<std::string> names = NamesOf(targets);
  // Until their rules went they may have gone on counting.
  if (AnyHeld(batch.counters)) {
    NFM_ASSIGN_OR_RETURN(batch.counters,
                         counters_.GetMany(names, absl::ZeroDuration()));
  }
  NFM_RETURN_IF_ERROR(observers_.BeforeDeletion(ObjectsOf(batch.counters)));
  const std::vector<Counter> before = std::exchange(batch.counters, {});
  const uint64_t labels_version = labels_.version();
  removal_.Remove(names, [&](size_t index,
                             absl::StatusOr<kernel::AcctObject> object) {
    if (object.ok()) {
      batch.counters.push_back(Deleted(before[index], *std::move(object)));
    } else {
      batch.failures.push_back(
          {index, names[index], AboutCounter(object.status(), names[index])});
    }
  });
  ForgetLabels(batch.counters, labels_version);
  NFM_RETURN_IF_ERROR(observers_.Commit());
  return batch;
}

// A counter that was just deleted. The ledger does not know it any more, so its
// total comes from `before`, read when its rules were gone already.
Counter CounterEditor::Deleted(const Counter& before,
                               kernel::AcctObject object) {
  Counter counter = before;
  counter.account.total += Amount{object.packets, object.bytes} -
                           Amount{before.object.packets, before.object.bytes};
  counter.object = std::move(object);
  counter.read_time = clock_.WallTime();
  return counter;
}

void CounterEditor::ForgetLabels(absl::Span<const Counter> counters,
                                 uint64_t version) {
  std::vector<LabelStore::Labelled> labelled;
  for (const Counter& counter : counters) {
    if (!counter.labels.empty()) {
      labelled.push_back({counter.object.name, version});
    }
  }
  // The counters are gone whatever the disk says, and Create() replaces labels
  // that stay behind.
  if (!labelled.empty()) (void)labels_.RemoveUnchanged(labelled);
}

std::vector<std::string> CounterEditor::Notices() const {
  const std::vector<std::string> unfinished = stand_ins_.Unfinished();
  if (unfinished.empty()) return {};
  return {absl::StrCat(
      "Changes of quotas could not be ended, and rules of ",
      ShownNames(unfinished),
      " count into other objects, whose values are not shown: change the "
      "quotas once more, or restart this server, to have them merged.")};
}

}  // namespace nfmeter::accounting
