// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/counter_editor.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "accounting/counters/in_slices.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// Looks at the rules of counters that are to be deleted.
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

std::vector<std::string> NamesOf(absl::Span<const Counter> counters) {
  std::vector<std::string> names;
  names.reserve(counters.size());
  for (const Counter& counter : counters) names.push_back(counter.object.name);
  return names;
}

// The answer was lost, but the counter is not there, or not any more.
absl::Status CreationUnanswered(const std::string& name) {
  return MakeError(absl::StatusCode::kUnavailable, "KERNEL_OUT_OF_BUFFERS",
                   absl::StrCat("the kernel could not say whether it made "
                                "counter ",
                                ShownNames({name}), "; try again"));
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
      hub_(parts.snapshots),
      labels_(parts.labels),
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
                .observers = observers_}) {}

// --- Creation ---------------------------------------------------------------

absl::StatusOr<std::vector<Counter>> CounterEditor::Create(
    std::vector<Counter> counters, bool validate_only,
    const CounterScope& scope) {
  NFM_RETURN_IF_ERROR(Available());
  std::vector<kernel::AcctObject> objects;
  objects.reserve(counters.size());
  for (Counter& counter : counters) {
    objects.push_back(std::move(counter.object));
  }
  const bool labelled = absl::c_any_of(
      counters, [](const Counter& c) { return !c.labels.empty(); });
  for (Counter& counter : counters) counter.labels[kManagedLabel] = "";
  LabelChanges labels = LabelsOf(counters, objects);
  // Before anything is made. That counters are ours is worth less than that
  // they count.
  if (absl::Status room = labels_.CheckRoom(labels, scope); !room.ok()) {
    if (labelled) return room;
    for (Counter& counter : counters) counter.labels.clear();
    labels = LabelsOf(counters, objects);
  }
  // The kernel itself tells whether a single one exists.
  if (validate_only || objects.size() > 1) {
    NFM_RETURN_IF_ERROR(CheckNew(objects));
  }
  if (!validate_only) {
    NFM_RETURN_IF_ERROR(observers_.Admit(objects.size()));
    NFM_RETURN_IF_ERROR(CreateObjects(objects));
  }
  for (size_t i = 0; i < counters.size(); ++i) {
    counters[i].object = std::move(objects[i]);
  }
  if (!validate_only) {
    absl::Status stored =
        labels.empty() ? absl::OkStatus() : labels_.Set(labels, scope);
    if (!stored.ok()) {
      if (labelled) return Undo(NamesOf(counters), std::move(stored));
      for (Counter& counter : counters) counter.labels.clear();
    }
    NFM_RETURN_IF_ERROR(observers_.Commit());
  }
  const absl::Time now = clock_.WallTime();
  for (Counter& counter : counters) {
    counter.read_time = now;
    counter.object.use_count = 0;
    counter.object.quota_exceeded = false;
  }
  return counters;
}

absl::Status CounterEditor::CheckNew(
    absl::Span<const kernel::AcctObject> objects) {
  std::shared_ptr<const Snapshot> snapshot;  // null: not worth it
  if (objects.size() >= kDumpFromNames) {
    NFM_ASSIGN_OR_RETURN(snapshot, hub_.Take(absl::ZeroDuration()));
  }
  const bool certain = snapshot != nullptr && snapshot->complete;
  std::vector<std::string> existing;
  for (const kernel::AcctObject& object : objects) {
    bool exists =
        snapshot != nullptr && snapshot->Find(object.name).has_value();
    if (!exists && !certain) {
      NFM_ASSIGN_OR_RETURN(const std::optional<Counter> found,
                           counters_.FindNow(object.name));
      exists = found.has_value();
    }
    if (exists) existing.push_back(object.name);
  }
  return existing.empty() ? absl::OkStatus() : CountersExist(existing);
}

absl::Status CounterEditor::CreateObjects(
    absl::Span<const kernel::AcctObject> objects) {
  std::vector<size_t> created;  // or perhaps created
  for (size_t begin = 0; begin < objects.size(); begin += kSlice) {
    const auto slice = objects.subspan(begin, kSlice);
    std::vector<absl::Status> results;
    absl::Status failed = lane_.Run(Lane::Priority::kNormal, [&] {
      results = table_.Create(slice);
      std::vector<kernel::AcctObject> made;
      for (size_t i = 0; i < slice.size(); ++i) {
        if (results[i].ok()) made.push_back(slice[i]);
      }
      observers_.OnCreated(made);
      return absl::OkStatus();
    });
    for (size_t i = 0; i < results.size(); ++i) {
      const bool lost = absl::IsDataLoss(results[i]);
      if (lost && objects.size() == 1) {
        return LookForCreated(slice[i], std::move(results[i]));
      }
      // CheckNew() has just said that it was not there: if it is, it is ours.
      if (results[i].ok() || lost) created.push_back(begin + i);
      if (!results[i].ok() && failed.ok()) {
        failed = lost ? CreationUnanswered(slice[i].name)
                      : AboutCounter(results[i], slice[i].name);
      }
    }
    if (!failed.ok()) {
      std::vector<std::string> names;
      for (const size_t i : created) names.push_back(objects[i].name);
      return Undo(names, std::move(failed));
    }
  }
  return absl::OkStatus();
}

absl::Status CounterEditor::LookForCreated(const kernel::AcctObject& object,
                                           absl::Status lost) {
  const absl::StatusOr<std::optional<Counter>> found =
      counters_.FindNow(object.name);
  if (!found.ok()) return lost;
  if (!found->has_value()) return CreationUnanswered(object.name);
  const kernel::AcctObject& there = (*found)->object;
  const bool may_be_ours = there.packets == object.packets &&
                           there.bytes == object.bytes &&
                           there.quota == object.quota;
  return may_be_ours ? lost : CountersExist({object.name});
}

CounterEditor::LabelChanges CounterEditor::LabelsOf(
    absl::Span<const Counter> counters,
    absl::Span<const kernel::AcctObject> objects) const {
  LabelChanges labels;
  for (size_t i = 0; i < counters.size(); ++i) {
    // Empty ones too, where an object of that name had labels and was deleted
    // by another program.
    if (!counters[i].labels.empty() || !labels_.Get(objects[i].name).empty()) {
      labels.emplace_back(objects[i].name, counters[i].labels);
    }
  }
  return labels;
}

absl::Status CounterEditor::Undo(absl::Span<const std::string> names,
                                 absl::Status why) {
  std::vector<std::string> left;
  removal_.Remove(
      names, [&](size_t index, absl::StatusOr<kernel::AcctObject> deleted) {
        if (!deleted.ok() && !absl::IsNotFound(deleted.status())) {
          left.push_back(names[index]);
        }
      });
  // What is told of them cancels out; `why` is what the caller must know.
  observers_.Commit().IgnoreError();
  if (left.empty()) return why;
  ErrorDetails details = GetErrorDetails(why);
  details.metadata["left"] = ShownNames(left);
  return MakeError(
      why.code(),
      absl::StrCat(why.message(), "; created before that and not removable: ",
                   ShownNames(left)),
      std::move(details));
}

// --- Update -----------------------------------------------------------------

// The only update of a counter for as long as it lives: what it has read is
// what it changes, which is what an etag asks for.
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

// One that is no more, and so not in the ledger's memory; `before` is what was
// known of it when nothing counted into it any more.
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
