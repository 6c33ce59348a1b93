// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/counter_creation.h"

#include <iterator>
#include <memory>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "accounting/common/counter_errors.h"
#include "accounting/counters/in_slices.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {
namespace {

// How many counters' labels are written in one transaction, and accounts of the
// ledger, while the kernel makes more.
constexpr size_t kPart = 8 * kSlice;

// The kernel's answer was lost, and the counter does not exist.
absl::Status CreationUnanswered(const std::string& name) {
  return MakeError(absl::StatusCode::kUnavailable, "KERNEL_OUT_OF_BUFFERS",
                   absl::StrCat("the kernel could not say whether it made "
                                "counter ",
                                ShownNames({name}), "; try again"));
}

}  // namespace

// Writes labels of counters part by part, as these are made.
class CounterCreation::LabelWriter {
 public:
  // `labels` are of all counters or of some, in the counters' order.
  // `required`: without their labels the counters are not to be made.
  LabelWriter(LabelStore& store, LabelStore::Changes labels, bool required,
              const CounterScope& scope)
      : store_(store), labels_(labels), required_(required), scope_(scope) {
    for (size_t i = 0; i < labels.size(); ++i) {
      Labels before = store.Get(labels[i].first);
      if (!before.empty()) before_[i] = std::move(before);
    }
  }

  // The first `made` of `counters` counters have been made.
  absl::Status OnMade(size_t made, size_t counters) {
    const bool all = made == counters;
    const size_t until = all                          ? labels_.size()
                         : labels_.size() == counters ? made
                                                      : written_;
    const size_t part = until - written_;
    const bool due = part > 0 && (all || part >= kPart);
    if (due && status_.ok()) {
      status_ = store_.SetSoon(labels_.subspan(written_, part), scope_);
      if (status_.ok()) written_ = until;
    }
    return Report();
  }
  absl::Status Sync() {
    if (status_.ok() && written_ > 0) {
      status_ = Annotate(store_.Sync(),
                         "labels can't be stored, nothing was changed");
    }
    return Report();
  }
  // False: they are not all in the store.
  bool stored() const { return status_.ok() && written_ == labels_.size(); }

  // Restores what was there before: the counters are not made after all.
  void TakeBack() {
    if (written_ == 0) return;
    LabelChanges changes;
    for (size_t i = 0; i < written_; ++i) {
      const auto before = before_.find(i);
      changes.emplace_back(labels_[i].first,
                           before == before_.end() ? Labels() : before->second);
    }
    store_.Set(changes).IgnoreError();
  }

 private:
  absl::Status Report() const { return required_ ? status_ : absl::OkStatus(); }

  LabelStore& store_;
  const LabelStore::Changes labels_;
  // By index in `labels_`: the labels that the store had for that name.
  absl::flat_hash_map<size_t, Labels> before_;
  const bool required_;
  const CounterScope& scope_;
  size_t written_ = 0;
  absl::Status status_;
};

absl::StatusOr<std::vector<Counter>> CounterCreation::Create(
    std::vector<Counter> counters, bool validate_only,
    const CounterScope& scope) {
  std::vector<kernel::AcctObject> objects;
  objects.reserve(counters.size());
  for (Counter& counter : counters) {
    objects.push_back(std::move(counter.object));
  }
  const bool labelled = absl::c_any_of(
      counters, [](const Counter& c) { return !c.labels.empty(); });
  for (Counter& counter : counters) counter.labels[kManagedLabel] = "";
  LabelChanges labels = LabelsOf(counters, objects);
  // Checked before anything is made. If there is no room even for the mark that
  // a counter is ours, it is made without.
  if (absl::Status room = parts_.labels.CheckRoom(labels, scope); !room.ok()) {
    if (labelled) return room;
    for (Counter& counter : counters) counter.labels.clear();
    labels = LabelsOf(counters, objects);
  }
  // The kernel itself tells whether a single one exists.
  if (validate_only || objects.size() > 1) {
    NFM_RETURN_IF_ERROR(CheckNew(objects));
  }
  if (!validate_only) {
    NFM_RETURN_IF_ERROR(parts_.observers.Admit(objects.size()));
    LabelWriter writer(parts_.labels, labels, labelled, scope);
    NFM_RETURN_IF_ERROR(Make(objects, writer));
    if (!writer.stored()) {
      for (Counter& counter : counters) counter.labels.clear();
    }
  }
  const absl::Time now = parts_.clock.WallTime();
  for (size_t i = 0; i < counters.size(); ++i) {
    counters[i].object = std::move(objects[i]);
    counters[i].read_time = now;
    counters[i].object.use_count = 0;
    counters[i].object.quota_exceeded = false;
    parts_.counters.DescribeCreated(counters[i]);
  }
  return counters;
}

CounterCreation::LabelChanges CounterCreation::LabelsOf(
    absl::Span<const Counter> counters, Objects objects) const {
  LabelChanges labels;
  labels.reserve(counters.size());
  for (size_t i = 0; i < counters.size(); ++i) {
    // Empty ones too, where an object of that name had labels and was deleted
    // by another program.
    if (!counters[i].labels.empty() ||
        !parts_.labels.Get(objects[i].name).empty()) {
      labels.emplace_back(objects[i].name, counters[i].labels);
    }
  }
  return labels;
}

absl::Status CounterCreation::CheckNew(Objects objects) {
  std::shared_ptr<const Snapshot> snapshot;  // null: not worth it
  if (objects.size() >= kDumpFromNames) {
    NFM_ASSIGN_OR_RETURN(snapshot, parts_.snapshots.Take(absl::ZeroDuration()));
  }
  const bool certain = snapshot != nullptr && snapshot->complete;
  std::vector<std::string> existing;
  for (const kernel::AcctObject& object : objects) {
    bool exists =
        snapshot != nullptr && snapshot->Find(object.name).has_value();
    if (!exists && !certain) {
      NFM_ASSIGN_OR_RETURN(const std::optional<Counter> found,
                           parts_.counters.FindNow(object.name));
      exists = found.has_value();
    }
    if (exists) existing.push_back(object.name);
  }
  return existing.empty() ? absl::OkStatus() : CountersExist(existing);
}

absl::Status CounterCreation::Make(Objects objects, LabelWriter& labels) {
  size_t told = 0;
  absl::Status status = MakeObjects(objects, [&](size_t made) {
    if (made < objects.size() && made - told >= kPart) {
      told = made;
      parts_.observers.CommitSoon();
    }
    return labels.OnMade(made, objects.size());
  });
  if (status.ok()) {
    NFM_RETURN_IF_ERROR(parts_.observers.Commit());
    // Usually the observers' commit has just made the labels durable, too.
    status = labels.Sync();
    if (!status.ok())
      status = Undo(kernel::NamesOf(objects), std::move(status));
  }
  if (!status.ok()) labels.TakeBack();
  return status;
}

// What has become of a batch so far.
struct CounterCreation::Progress {
  absl::Mutex mutex;
  std::vector<absl::Status> results ABSL_GUARDED_BY(mutex);
  size_t made ABSL_GUARDED_BY(mutex) = 0;      // the first ones
  absl::Status queued ABSL_GUARDED_BY(mutex);  // why no more could be
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  bool over ABSL_GUARDED_BY(mutex) = false;  // nothing more comes
};

// The lane makes slice after slice, without waiting for the caller.
void CounterCreation::PostSlice(Objects objects, Progress& progress,
                                size_t begin) {
  const Objects slice = objects.subspan(begin, kSlice);
  const auto make = [this, objects, slice, &progress] {
    std::vector<absl::Status> results = parts_.table.Create(slice);
    std::vector<kernel::AcctObject> made;
    for (size_t i = 0; i < slice.size(); ++i) {
      if (results[i].ok()) made.push_back(slice[i]);
    }
    parts_.observers.OnCreated(made);
    size_t end;
    {
      absl::MutexLock lock(&progress.mutex);
      absl::c_move(results, std::back_inserter(progress.results));
      end = progress.results.size();
      const bool all = made.size() == slice.size();
      if (all) progress.made = end;
      progress.over = !all || progress.stopping || end == objects.size();
      if (progress.over) return;
    }
    PostSlice(objects, progress, end);
  };
  absl::Status queued = parts_.lane.Post(Lane::Priority::kNormal, make);
  if (queued.ok()) return;
  absl::MutexLock lock(&progress.mutex);
  progress.queued = std::move(queued);
  progress.over = true;
}

absl::Status CounterCreation::MakeObjects(
    Objects objects, absl::FunctionRef<absl::Status(size_t)> on_made) {
  Progress progress;
  PostSlice(objects, progress, 0);
  absl::Status failed;
  size_t told = 0;
  for (bool over = false; !over;) {
    size_t made;
    {
      absl::MutexLock lock(&progress.mutex);
      progress.stopping = !failed.ok();
      const auto news = [&] {
        progress.mutex.AssertReaderHeld();
        return progress.over || (progress.made > told && failed.ok());
      };
      progress.mutex.Await(absl::Condition(&news));
      made = progress.made;
      over = progress.over;
    }
    if (failed.ok() && made > told) failed = on_made(made);
    told = made;
  }
  std::vector<absl::Status> results;
  {
    absl::MutexLock lock(&progress.mutex);
    failed.Update(progress.queued);
    results = std::move(progress.results);
  }
  std::vector<std::string> created;  // or perhaps created
  for (size_t i = 0; i < results.size(); ++i) {
    const absl::Status& result = results[i];
    const std::string& name = objects[i].name;
    const bool lost = absl::IsDataLoss(result);
    if (lost && objects.size() == 1) return LookForCreated(objects[0], result);
    // CheckNew() has just said that it was not there: if it is, it is ours.
    if (result.ok() || lost) created.push_back(name);
    if (!result.ok() && failed.ok()) {
      failed = lost ? CreationUnanswered(name) : AboutCounter(result, name);
    }
  }
  return failed.ok() ? failed : Undo(created, std::move(failed));
}

absl::Status CounterCreation::LookForCreated(const kernel::AcctObject& object,
                                             absl::Status lost) {
  const absl::StatusOr<std::optional<Counter>> found =
      parts_.counters.FindNow(object.name);
  if (!found.ok()) return lost;
  if (!found->has_value()) return CreationUnanswered(object.name);
  const kernel::AcctObject& there = (*found)->object;
  const bool may_be_ours = there.packets == object.packets &&
                           there.bytes == object.bytes &&
                           there.quota == object.quota;
  return may_be_ours ? lost : CountersExist({object.name});
}

absl::Status CounterCreation::Undo(absl::Span<const std::string> names,
                                   absl::Status why) {
  std::vector<std::string> left;
  parts_.removal.Remove(
      names, [&](size_t index, absl::StatusOr<kernel::AcctObject> deleted) {
        if (!deleted.ok() && !absl::IsNotFound(deleted.status())) {
          left.push_back(names[index]);
        }
      });
  // The observers hear of creation and deletion, which cancel out. The caller
  // is told `why`.
  parts_.observers.Commit().IgnoreError();
  if (left.empty()) return why;
  ErrorDetails details = GetErrorDetails(why);
  details.metadata["left"] = ShownNames(left);
  return MakeError(
      why.code(),
      absl::StrCat(why.message(), "; created before that and not removable: ",
                   ShownNames(left)),
      std::move(details));
}

}  // namespace nfmeter::accounting
