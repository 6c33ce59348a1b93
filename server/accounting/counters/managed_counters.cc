// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/managed_counters.h"

#include <utility>

#include "absl/memory/memory.h"
#include "accounting/snapshots/snapshot.h"
#include "base/sqlite.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

constexpr char kSchema[] = R"sql(
  CREATE TABLE quotas (
    counter BLOB NOT NULL PRIMARY KEY,  -- the kernel's bytes
    unit INTEGER NOT NULL,              -- 0: packets, 1: bytes
    amount INTEGER NOT NULL             -- the bits of an unsigned number
  ) WITHOUT ROWID;
)sql";

using Unit = kernel::QuotaLimit::Unit;

uint64_t HashOfQuotas(const Snapshot& snapshot) {
  StableHash hash;
  for (const auto& chunk : snapshot.chunks()) {
    for (const SnapshotChunk::QuotaRow& each : chunk->quotas) {
      hash.Add(uint64_t{chunk->ids()[each.row]})
          .Add(static_cast<uint64_t>(each.limit.unit))
          .Add(each.limit.limit);
    }
  }
  return hash.value();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ManagedCounters>> ManagedCounters::Open(
    const std::string& path, const LabelStore& labels) {
  NFM_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open({
                                    .path = path.empty() ? ":memory:" : path,
                                    .noun = "the record of quotas",
                                    .unusable_reason = "QUOTA_RECORD_UNUSABLE",
                                    .failed_reason = "QUOTA_RECORD_FAILED",
                                    .application_id = 0x4e464d51,  // "NFMQ"
                                    .migrations = {kSchema},
                                    .patient = true,
                                }));
  auto managed = absl::WrapUnique(new ManagedCounters(std::move(db), labels));
  NFM_RETURN_IF_ERROR(managed->Load());
  return managed;
}

absl::Status ManagedCounters::Load() {
  absl::MutexLock write_lock(&write_mutex_);
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db_->Prepare("SELECT counter, unit, amount FROM quotas"));
  return sqlite::ForEachRow(rows, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    quotas_[std::string(rows.Bytes(0))] = {
        .unit = rows.Int64(1) == 0 ? Unit::kPackets : Unit::kBytes,
        .limit = rows.Uint64(2)};
  });
}

std::shared_ptr<const std::vector<std::string>> ManagedCounters::Names() const {
  // Before they are read: what changes meanwhile is read again.
  const uint64_t version = labels_.version();
  {
    absl::MutexLock lock(&mutex_);
    if (names_ != nullptr && names_version_ == version) return names_;
  }
  auto names = std::make_shared<std::vector<std::string>>();
  for (LabelStore::Labelled& each : labels_.All()) {
    if (labels_.Get(each.counter).contains(kManagedLabel)) {
      names->push_back(std::move(each.counter));
    }
  }
  absl::MutexLock lock(&mutex_);
  names_version_ = version;
  names_ = std::move(names);
  return names_;
}

std::optional<kernel::AcctObject> ManagedCounters::Wanted(
    const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  if (deleted_.contains(name)) return std::nullopt;
  kernel::AcctObject object = {.name = name};
  const auto quota = quotas_.find(name);
  if (quota != quotas_.end()) object.quota = quota->second;
  return object;
}

void ManagedCounters::Note(const std::string& name,
                           const std::optional<kernel::QuotaLimit>& quota) {
  const auto known = quotas_.find(name);
  if (!quota.has_value()) {
    if (known == quotas_.end()) return;
    quotas_.erase(known);
  } else if (known == quotas_.end() || known->second != *quota) {
    quotas_[name] = *quota;
  } else {
    return;
  }
  unwritten_.insert(name);
}

void ManagedCounters::OnCreated(absl::Span<const kernel::AcctObject> counters) {
  absl::MutexLock lock(&mutex_);
  for (const kernel::AcctObject& each : counters) {
    Note(each.name, each.quota);
    deleted_.erase(each.name);
  }
}

void ManagedCounters::OnDeleted(absl::Span<const kernel::AcctObject> counters) {
  absl::MutexLock lock(&mutex_);
  for (const kernel::AcctObject& each : counters) {
    Note(each.name, std::nullopt);
    // Its labels, which say that it is wanted, go a little later.
    deleted_.insert(each.name);
  }
}

// A counter that is missing may come back, and its row stays.
void ManagedCounters::OnSnapshot(
    const std::shared_ptr<const Snapshot>& snapshot) {
  const uint64_t hash = HashOfQuotas(*snapshot);
  absl::MutexLock lock(&mutex_);
  if (std::exchange(seen_, hash) == hash) return;
  // Quotas of counters that have none any more.
  std::vector<std::string> gone;
  for (const auto& [name, quota] : quotas_) {
    const auto object = snapshot->Find(name);
    if (object.has_value() && !object->quota.has_value()) gone.push_back(name);
  }
  for (const std::string& name : gone) Note(name, std::nullopt);
  for (const auto& chunk : snapshot->chunks()) {
    for (const SnapshotChunk::QuotaRow& each : chunk->quotas) {
      Note(std::string(snapshot->names().KernelName(chunk->ids()[each.row])),
           each.limit);
    }
  }
}

absl::Status ManagedCounters::Commit() {
  absl::MutexLock write_lock(&write_mutex_);
  std::set<std::string> changed;
  std::map<std::string, kernel::QuotaLimit> quotas;
  {
    absl::MutexLock lock(&mutex_);
    changed.swap(unwritten_);
    for (const std::string& name : changed) {
      const auto quota = quotas_.find(name);
      if (quota != quotas_.end()) quotas.insert(*quota);
    }
  }
  if (changed.empty() || Write(quotas, changed).ok()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  unwritten_.merge(changed);
  return absl::OkStatus();
}

absl::Status ManagedCounters::Write(
    const std::map<std::string, kernel::QuotaLimit>& quotas,
    const std::set<std::string>& changed) {
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db_->Prepare("INSERT OR REPLACE INTO quotas VALUES (?, ?, ?)"));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement remove,
                       db_->Prepare("DELETE FROM quotas WHERE counter = ?"));
  for (const std::string& name : changed) {
    const auto quota = quotas.find(name);
    if (quota == quotas.end()) {
      NFM_RETURN_IF_ERROR(remove.Run(sqlite::Blob{name}));
    } else {
      NFM_RETURN_IF_ERROR(
          put.Run(sqlite::Blob{name},
                  int64_t{quota->second.unit == Unit::kBytes ? 1 : 0},
                  static_cast<int64_t>(quota->second.limit)));
    }
  }
  return transaction.Commit();
}

}  // namespace nfmeter::accounting
