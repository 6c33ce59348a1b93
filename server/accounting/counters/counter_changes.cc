// SPDX-License-Identifier: GPL-3.0-or-later
// Creation, reset and deletion: see counters.h.
#include <functional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "accounting/counters/counters.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// Objects that one job of the lane changes, so that snapshots can go between:
// some 10 ms at 10,000 objects.
constexpr size_t kSlice = 256;
// Looks at the rules of counters that are to be deleted.
constexpr int kReleaseTries = 3;

bool AnyManaged(absl::Span<const kernel::Rule> rules) {
  return std::any_of(rules.begin(), rules.end(),
                     [](const kernel::Rule& rule) { return rule.managed; });
}

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

std::vector<std::string> NamesOf(absl::Span<const CounterTarget> targets) {
  std::vector<std::string> names;
  names.reserve(targets.size());
  for (const CounterTarget& target : targets) names.push_back(target.name);
  return names;
}

// Carries out `change` on the lane, slice by slice, and hands out the results
// in order; those of slices for which the lane has no room are its status.
template <typename Result>
void InSlices(
    Lane& lane, absl::Span<const std::string> names,
    const std::function<std::vector<Result>(absl::Span<const std::string>)>&
        change,
    const std::function<void(size_t index, Result result)>& on_result) {
  for (size_t begin = 0; begin < names.size(); begin += kSlice) {
    const auto slice = names.subspan(begin, kSlice);
    std::vector<Result> results;
    const absl::Status queued = lane.Run(Lane::Priority::kNormal, [&] {
      results = change(slice);
      return absl::OkStatus();
    });
    for (size_t i = 0; i < slice.size(); ++i) {
      on_result(begin + i, queued.ok() ? std::move(results[i]) : queued);
    }
  }
}

// The answer was lost, but the counter is not there, or not any more.
absl::Status CreationUnanswered(const std::string& name) {
  return MakeError(absl::StatusCode::kUnavailable, "KERNEL_OUT_OF_BUFFERS",
                   absl::StrCat("the kernel could not say whether it made "
                                "counter ",
                                ShownNames({name}), "; try again"));
}

}  // namespace

// --- Creation ---------------------------------------------------------------

absl::StatusOr<std::vector<Counter>> Counters::Create(
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

absl::Status Counters::CheckNew(absl::Span<const kernel::AcctObject> objects) {
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
                           FindNow(object.name));
      exists = found.has_value();
    }
    if (exists) existing.push_back(object.name);
  }
  return existing.empty() ? absl::OkStatus() : CountersExist(existing);
}

absl::Status Counters::CreateObjects(
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

absl::Status Counters::LookForCreated(const kernel::AcctObject& object,
                                      absl::Status lost) {
  const absl::StatusOr<std::optional<Counter>> found = FindNow(object.name);
  if (!found.ok()) return lost;
  if (!found->has_value()) return CreationUnanswered(object.name);
  const kernel::AcctObject& there = (*found)->object;
  const bool may_be_ours = there.packets == object.packets &&
                           there.bytes == object.bytes &&
                           there.quota == object.quota;
  return may_be_ours ? lost : CountersExist({object.name});
}

Counters::LabelChanges Counters::LabelsOf(
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

absl::Status Counters::Undo(absl::Span<const std::string> names,
                            absl::Status why) {
  std::vector<std::string> left;
  InSlices<absl::StatusOr<kernel::AcctObject>>(
      lane_, names,
      [&](absl::Span<const std::string> slice) { return ReadAndDelete(slice); },
      [&](size_t index, absl::StatusOr<kernel::AcctObject> deleted) {
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

// --- Reset ------------------------------------------------------------------

absl::StatusOr<CounterBatch> Counters::Reset(
    absl::Span<const CounterTarget> targets, bool validate_only) {
  NFM_RETURN_IF_ERROR(Available());
  CounterBatch batch;
  NFM_ASSIGN_OR_RETURN(batch.counters, Check(targets));
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
          batch.counters.push_back(Described(*std::move(object), AfterReset()));
        } else {
          batch.failures.push_back(
              {index, names[index],
               AboutCounter(object.status(), names[index])});
        }
      });
  NFM_RETURN_IF_ERROR(observers_.Commit());
  return batch;
}

std::vector<absl::StatusOr<kernel::AcctObject>> Counters::ReadAndReset(
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

absl::StatusOr<CounterBatch> Counters::Delete(
    absl::Span<const CounterTarget> targets, const CounterDeletion& deletion) {
  NFM_RETURN_IF_ERROR(Available());
  CounterBatch batch;
  if (!deletion.validate_only) {
    NFM_RETURN_IF_ERROR(observers_.Admit(targets.size()));
  }
  absl::Status released;
  int tries = 0;
  do {
    NFM_ASSIGN_OR_RETURN(batch.counters, Check(targets));
    released = Release(batch.counters, deletion);
    // Somebody else deleted a rule after we had found it.
  } while (GetErrorDetails(released).reason == "RULE_NOT_FOUND" &&
           ++tries < kReleaseTries);
  NFM_RETURN_IF_ERROR(released);
  if (deletion.validate_only) return batch;
  const std::vector<std::string> names = NamesOf(targets);
  // Until their rules went they may have gone on counting.
  if (AnyHeld(batch.counters)) {
    NFM_ASSIGN_OR_RETURN(batch.counters, GetMany(names, absl::ZeroDuration()));
  }
  NFM_RETURN_IF_ERROR(observers_.BeforeDeletion(ObjectsOf(batch.counters)));
  const std::vector<Counter> before = std::exchange(batch.counters, {});
  const uint64_t labels_version = labels_.version();
  InSlices<absl::StatusOr<kernel::AcctObject>>(
      lane_, names,
      [&](absl::Span<const std::string> slice) { return ReadAndDelete(slice); },
      [&](size_t index, absl::StatusOr<kernel::AcctObject> object) {
        if (object.ok()) {
          batch.counters.push_back(Deleted(before[index], *std::move(object)));
        } else {
          batch.failures.push_back(
              {index, names[index],
               AboutCounter(object.status(), names[index])});
        }
      });
  ForgetLabels(batch.counters, labels_version);
  NFM_RETURN_IF_ERROR(observers_.Commit());
  return batch;
}

// One that is no more, and so not in the ledger's memory; `before` is what was
// known of it when nothing counted into it any more.
Counter Counters::Deleted(const Counter& before, kernel::AcctObject object) {
  Counter counter = before;
  counter.account.total += Amount{object.packets, object.bytes} -
                           Amount{before.object.packets, before.object.bytes};
  counter.object = std::move(object);
  counter.read_time = clock_.WallTime();
  return counter;
}

absl::Status Counters::Release(absl::Span<const Counter> counters,
                               const CounterDeletion& deletion) {
  absl::flat_hash_map<std::string, uint32_t> unexplained;
  std::vector<std::string> held;
  for (const Counter& counter : counters) {
    if (counter.object.use_count == 0) continue;
    held.push_back(counter.object.name);
    unexplained[counter.object.name] = counter.object.use_count;
  }
  if (held.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<kernel::Rule>> holders = rules_.Holders(held);
  if (!holders.ok()) {
    return CountersInUse(
        held, {},
        absl::StrCat("the rules can't be read: ", holders.status().message()));
  }
  if (!deletion.delete_managed_rules && AnyManaged(*holders)) {
    return CountersInUse(held, *holders,
                         "delete the rules first, or set "
                         "delete_managed_rules for those of nfmeter");
  }
  std::vector<std::string> ids;
  std::vector<kernel::Rule> foreign;
  for (kernel::Rule& rule : *holders) {
    uint32_t& count = unexplained[rule.counter];
    if (count > 0) --count;
    if (rule.managed) {
      ids.push_back(rule.id);
    } else {
      foreign.push_back(std::move(rule));
    }
  }
  absl::erase_if(unexplained, [](const auto& use) { return use.second == 0; });
  if (!foreign.empty() || !unexplained.empty()) {
    return CountersInUse(held, foreign,
                         "nfmeter deletes only rules of its own: whoever made "
                         "this must delete it");
  }
  return DeleteRules(std::move(ids), held, deletion);
}

absl::Status Counters::DeleteRules(std::vector<std::string> ids,
                                   const std::vector<std::string>& counters,
                                   const CounterDeletion& deletion) {
  while (!ids.empty()) {
    std::vector<std::string> deleted;
    // Somebody's copies of rules in other tables have the same ids, perhaps
    // with other counters.
    std::vector<std::string> copies;
    absl::flat_hash_set<std::string> seen;
    for (std::string& id : ids) {
      (seen.insert(id).second ? deleted : copies).push_back(std::move(id));
    }
    NFM_RETURN_IF_ERROR(
        rule_editor_
            .Delete(deleted, {.validate_only = deletion.validate_only,
                              .patience = deletion.patience,
                              .counters = counters,
                              .counting_only = deletion.counting_rules_only})
            .status());
    if (deletion.validate_only) break;
    ids = std::move(copies);
  }
  return absl::OkStatus();
}

std::vector<absl::StatusOr<kernel::AcctObject>> Counters::ReadAndDelete(
    absl::Span<const std::string> names) {
  absl::flat_hash_map<std::string, kernel::AcctObject> last;
  if (names.size() >= kDumpFromNames) {
    for (const std::string& name : names) last[name];
    // An error or an incomplete dump leaves names over for the loop below.
    (void)table_.Dump(kernel::AcctDumpFilter::kAll,
                      [&](absl::Span<const kernel::AcctRecord> records) {
                        for (const kernel::AcctRecord& record : records) {
                          const auto found = last.find(record.name);
                          if (found == last.end()) continue;
                          found->second = {std::string(record.name),
                                           record.packets,
                                           record.bytes,
                                           record.quota,
                                           record.quota_exceeded,
                                           record.use_count};
                        }
                      });
  }
  std::vector<absl::StatusOr<kernel::AcctObject>> results;
  results.reserve(names.size());
  for (const std::string& name : names) {
    const auto found = last.find(name);
    if (quota_changes_.IsUnderWay(name)) {
      results.push_back(CountersInUse({name}, {},
                                      "its quota is just being changed; try "
                                      "again"));
    } else if (found != last.end() && !found->second.name.empty()) {
      results.push_back(std::move(found->second));
    } else {
      results.push_back(table_.Get(name));
    }
  }
  // What could not be read stays, and so do its counts.
  std::vector<size_t> read;
  std::vector<kernel::AcctObject> objects;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!results[i].ok()) continue;
    read.push_back(i);
    objects.push_back(*results[i]);
  }
  const std::vector<absl::Status> deleted = DeleteNow(objects);
  for (size_t i = 0; i < read.size(); ++i) {
    if (!deleted[i].ok()) results[read[i]] = deleted[i];
  }
  return results;
}

std::vector<absl::Status> Counters::DeleteNow(
    absl::Span<const kernel::AcctObject> objects) {
  std::vector<std::string> names;
  names.reserve(objects.size());
  for (const kernel::AcctObject& object : objects) names.push_back(object.name);
  std::vector<absl::Status> results = table_.Delete(names);
  std::vector<kernel::AcctObject> deleted;
  for (size_t i = 0; i < names.size(); ++i) {
    if (absl::IsDataLoss(results[i])) {  // the answer is, and maybe the object
      results[i] = table_.Delete({names[i]}).front();
      if (absl::IsNotFound(results[i])) results[i] = absl::OkStatus();
    }
    if (results[i].ok()) deleted.push_back(objects[i]);
  }
  observers_.OnDeleted(deleted);
  return results;
}

void Counters::ForgetLabels(absl::Span<const Counter> counters,
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

}  // namespace nfmeter::accounting
