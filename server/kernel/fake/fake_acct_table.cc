// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_acct_table.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "kernel/acct_names.h"

namespace nfmeter::kernel {
namespace {

AcctRecord RecordOf(const AcctObject& object) {
  return {.name = object.name,
          .packets = object.packets,
          .bytes = object.bytes,
          .quota = object.quota,
          .quota_exceeded = object.quota_exceeded,
          .use_count = object.use_count};
}

bool QuotaReached(const AcctObject& object) {
  if (!object.quota.has_value()) return false;
  const uint64_t value = object.quota->unit == QuotaLimit::Unit::kPackets
                             ? object.packets
                             : object.bytes;
  return value >= object.quota->limit;
}

}  // namespace

// Its state is guarded by a mutex of its own, taken after the table's.
class FakeAcctTable::Subscription : public QuotaEvents {
 public:
  explicit Subscription(FakeAcctTable& table) : table_(table) {}

  ~Subscription() override {
    absl::MutexLock lock(&table_.mutex_);
    table_.subscriptions_.erase(this);
  }

  absl::StatusOr<AcctObject> Next() override {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Subscription::Ready));
    if (cancelled_) {
      return absl::CancelledError("the subscription was cancelled");
    }
    if (lost_) {
      lost_ = false;
      return ErrnoStatus(Operation::kQuotaEvents, ENOBUFS, "quota events");
    }
    AcctObject event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

  void Cancel() override {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
  }

  void Emit(const AcctObject& object) {
    absl::MutexLock lock(&mutex_);
    events_.push_back(object);
  }

  void Drop() {
    absl::MutexLock lock(&mutex_);
    events_.clear();
    lost_ = true;
  }

 private:
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cancelled_ || lost_ || !events_.empty();
  }

  FakeAcctTable& table_;
  absl::Mutex mutex_;
  std::deque<AcctObject> events_ ABSL_GUARDED_BY(mutex_);
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

FakeAcctTable::FakeAcctTable() : FakeAcctTable(Options{}) {}

FakeAcctTable::FakeAcctTable(const Options& options) : options_(options) {}

FakeAcctTable::~FakeAcctTable() = default;

absl::Status FakeAcctTable::Probe() {
  absl::MutexLock lock(&mutex_);
  return TakeInjected(Operation::kAcctGet, "nfacct objects")
      .value_or(absl::OkStatus());
}

absl::StatusOr<AcctFeatures> FakeAcctTable::Features() {
  absl::MutexLock lock(&mutex_);
  if (auto status = TakeInjected(Operation::kAcctGet, "nfacct objects")) {
    return *status;
  }
  return features_;
}

std::vector<absl::Status> FakeAcctTable::Create(
    absl::Span<const AcctObject> objects) {
  absl::MutexLock lock(&mutex_);
  std::vector<absl::Status> statuses;
  statuses.reserve(objects.size());
  for (const AcctObject& object : objects) {
    statuses.push_back(CreateOne(object));
  }
  return statuses;
}

absl::Status FakeAcctTable::CreateOne(const AcctObject& object) {
  if (!IsAcctName(object.name)) {
    return ErrnoStatus(Operation::kAcctCreate, ENAMETOOLONG, object.name);
  }
  if (auto status = TakeInjected(Operation::kAcctCreate, object.name)) {
    return *status;
  }
  if (!ids_.emplace(object.name, next_id_).second) {
    return ErrnoStatus(Operation::kAcctCreate, EEXIST, object.name);
  }
  AcctObject made = object;
  made.quota_exceeded = false;
  made.use_count = 0;
  objects_.emplace(next_id_++, std::move(made));
  return Answer(Operation::kAcctCreate, object.name);
}

absl::Status FakeAcctTable::Answer(Operation operation,
                                   const std::string& name) {
  if (lost_answer_ != operation) return absl::OkStatus();
  lost_answer_.reset();
  return ErrnoStatus(operation, ENOBUFS, name);
}

absl::StatusOr<AcctObject> FakeAcctTable::Get(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  absl::StatusOr<AcctObject*> object = Find(Operation::kAcctGet, name);
  if (!object.ok()) return object.status();
  return **object;
}

std::vector<absl::StatusOr<AcctObject>> FakeAcctTable::GetAndReset(
    absl::Span<const std::string> names) {
  absl::MutexLock lock(&mutex_);
  std::vector<absl::StatusOr<AcctObject>> results;
  results.reserve(names.size());
  for (const std::string& name : names) {
    absl::StatusOr<AcctObject*> object = Find(Operation::kAcctReset, name);
    if (!object.ok()) {
      results.push_back(object.status());
      continue;
    }
    results.push_back(**object);
    (*object)->packets = 0;
    (*object)->bytes = 0;
    (*object)->quota_exceeded = false;
  }
  return results;
}

std::vector<absl::Status> FakeAcctTable::Delete(
    absl::Span<const std::string> names) {
  absl::MutexLock lock(&mutex_);
  std::vector<absl::Status> statuses;
  statuses.reserve(names.size());
  for (const std::string& name : names) statuses.push_back(DeleteOne(name));
  return statuses;
}

absl::Status FakeAcctTable::DeleteOne(const std::string& name) {
  absl::StatusOr<AcctObject*> object = Find(Operation::kAcctDelete, name);
  if (!object.ok()) return object.status();
  if ((*object)->use_count > 0) {
    return ErrnoStatus(Operation::kAcctDelete, EBUSY, name);
  }
  const auto id = ids_.find(name);
  objects_.erase(id->second);
  ids_.erase(id);
  return Answer(Operation::kAcctDelete, name);
}

absl::StatusOr<QuotaChange> FakeAcctTable::SetQuota(
    absl::string_view name, const std::optional<QuotaLimit>& quota,
    bool dry_run) {
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(AcctObject * object,
                       Find(Operation::kAcctReplace, name));
  if (!features_.replace) return QuotaChange::kNeedsRenewal;
  if (dry_run) return QuotaChange::kDone;
  object->quota = quota;
  object->quota_exceeded = false;
  return QuotaChange::kDone;
}

absl::Status FakeAcctTable::Renew(const AcctObject& object) {
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(AcctObject * old,
                       Find(Operation::kAcctReplace, object.name));
  if (old->use_count > 0) {
    return ErrnoStatus(Operation::kAcctReplace, EBUSY, object.name);
  }
  // At the tail of the list, where new objects are.
  const auto id = ids_.find(object.name);
  objects_.erase(id->second);
  id->second = next_id_;
  AcctObject made = object;
  made.quota_exceeded = false;
  made.use_count = 0;
  objects_.emplace(next_id_++, std::move(made));
  return absl::OkStatus();
}

absl::StatusOr<AcctDumpOutcome> FakeAcctTable::Dump(
    AcctDumpFilter filter,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records) {
  AcctDumpOutcome outcome;
  std::optional<size_t> cut;
  uint64_t cursor = 0;  // the first object that has not been looked at
  for (bool first = true;; first = false) {
    std::vector<AcctObject> group;
    std::function<void(size_t)> hook;
    bool ended = false;
    {
      absl::MutexLock lock(&mutex_);
      if (first) {
        ++dumps_;
        if (auto status =
                TakeInjected(Operation::kAcctDump, "all nfacct objects")) {
          return *status;
        }
        outcome.guaranteed = features_.stable_dump;
        if (!outcome.guaranteed && !cuts_.empty()) {
          cut = cuts_.front();
          cuts_.pop_front();
        }
      }
      auto at = first                ? objects_.begin()
                : outcome.guaranteed ? objects_.lower_bound(cursor)
                                     : objects_.find(cursor);
      if (!first && at == objects_.end()) {
        outcome.complete = outcome.guaranteed;
        return outcome;
      }
      while (at != objects_.end() && group.size() < options_.dump_group_size &&
             outcome.records + group.size() < cut.value_or(SIZE_MAX)) {
        if (PassesFilter(filter, RecordOf(at->second))) {
          group.push_back(at->second);
        }
        ++at;
      }
      ended = at == objects_.end();
      if (!ended) cursor = at->first;
      hook = dump_hook_;
    }
    if (!group.empty()) {
      std::vector<AcctRecord> records;
      records.reserve(group.size());
      for (const AcctObject& object : group) {
        records.push_back(RecordOf(object));
      }
      on_records(records);
      outcome.records += records.size();
    }
    if (cut.has_value() && (ended || outcome.records >= *cut)) return outcome;
    if (ended) break;
    if (hook) hook(outcome.records);
  }
  outcome.complete = true;
  return outcome;
}

absl::StatusOr<std::unique_ptr<QuotaEvents>> FakeAcctTable::WatchQuotas() {
  absl::MutexLock lock(&mutex_);
  if (auto status = TakeInjected(Operation::kQuotaEvents, "quota events")) {
    return *status;
  }
  auto subscription = std::make_unique<Subscription>(*this);
  subscriptions_.insert(subscription.get());
  return subscription;
}

absl::Status FakeAcctTable::Count(absl::string_view name, uint64_t packets,
                                  uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(AcctObject * object, Lookup(Operation::kAcctGet, name));
  object->packets += packets;
  object->bytes += bytes;
  if (QuotaReached(*object) && !object->quota_exceeded) {
    object->quota_exceeded = true;
    if (std::exchange(events_to_drop_, std::max(events_to_drop_ - 1, 0)) > 0) {
      return absl::OkStatus();
    }
    if (IsStandInName(name)) return absl::OkStatus();
    for (Subscription* subscription : subscriptions_) {
      subscription->Emit(*object);
    }
  }
  return absl::OkStatus();
}

bool FakeAcctTable::Exists(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  return ids_.contains(name);
}

absl::Status FakeAcctTable::AddReference(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(AcctObject * object, Lookup(Operation::kAcctGet, name));
  ++object->use_count;
  return absl::OkStatus();
}

void FakeAcctTable::RemoveReference(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const absl::StatusOr<AcctObject*> object = Lookup(Operation::kAcctGet, name);
  if (object.ok() && (*object)->use_count > 0) --(*object)->use_count;
}

void FakeAcctTable::LoseNextAnswer(Operation operation) {
  absl::MutexLock lock(&mutex_);
  lost_answer_ = operation;
}

void FakeAcctTable::InjectErrno(Operation operation, int err, int count) {
  absl::MutexLock lock(&mutex_);
  std::deque<int>& queue = injected_[operation];
  queue.insert(queue.end(), static_cast<size_t>(std::max(count, 0)), err);
}

void FakeAcctTable::SetDumpHook(std::function<void(size_t records)> hook) {
  absl::MutexLock lock(&mutex_);
  dump_hook_ = std::move(hook);
}

void FakeAcctTable::SetFeatures(const AcctFeatures& features) {
  absl::MutexLock lock(&mutex_);
  features_ = features;
}

void FakeAcctTable::CutDumps(size_t records, int count) {
  absl::MutexLock lock(&mutex_);
  cuts_.insert(cuts_.end(), static_cast<size_t>(std::max(count, 0)), records);
}

void FakeAcctTable::DropQuotaEvents(int next) {
  absl::MutexLock lock(&mutex_);
  events_to_drop_ = next;
  for (Subscription* subscription : subscriptions_) subscription->Drop();
}

int FakeAcctTable::dumps() const {
  absl::MutexLock lock(&mutex_);
  return dumps_;
}

std::optional<absl::Status> FakeAcctTable::TakeInjected(
    Operation operation, absl::string_view subject) {
  const auto queue = injected_.find(operation);
  if (queue == injected_.end() || queue->second.empty()) return std::nullopt;
  const int err = queue->second.front();
  queue->second.pop_front();
  return ErrnoStatus(operation, err, subject);
}

absl::StatusOr<AcctObject*> FakeAcctTable::Find(Operation operation,
                                                absl::string_view name) {
  if (!IsAcctName(name)) return ErrnoStatus(operation, ENAMETOOLONG, name);
  if (auto status = TakeInjected(operation, name)) return *status;
  return Lookup(operation, name);
}

absl::StatusOr<AcctObject*> FakeAcctTable::Lookup(Operation operation,
                                                  absl::string_view name) {
  const auto id = ids_.find(name);
  if (id == ids_.end()) return ErrnoStatus(operation, ENOENT, name);
  return &objects_.at(id->second);
}

}  // namespace nfmeter::kernel
