// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/label_store.h"

#include <filesystem>
#include <system_error>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/schema.h"
#include "base/error.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

sqlite::Options InErrors(sqlite::Options options) {
  options.noun = "the label store";
  options.unusable_reason = "LABEL_STORE_UNUSABLE";
  options.failed_reason = "LABEL_STORE_FAILED";
  return options;
}

// Until version 0.1 labels had a file of their own, beside the ledger's.
sqlite::Options OldFile(const std::string& ledger_path) {
  return InErrors(
      {.path = std::filesystem::path(ledger_path).replace_filename("labels.db"),
       .application_id = 0x4e464d4c,  // "NFML"
       .migrations = {R"sql(
         CREATE TABLE labels (
           counter BLOB NOT NULL,
           key TEXT NOT NULL,
           value TEXT NOT NULL,
           PRIMARY KEY (counter, key)
         ) WITHOUT ROWID)sql"}});
}

// Moves the labels of the old file, and then deletes it.
absl::Status TakeOver(sqlite::Database& db, const sqlite::Options& old) {
  if (!std::filesystem::exists(old.path)) return absl::OkStatus();
  {
    NFM_ASSIGN_OR_RETURN(const auto from, sqlite::Database::Open(old));
    NFM_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                         sqlite::Transaction::Begin(db));
    NFM_ASSIGN_OR_RETURN(
        sqlite::Statement rows,
        from->Prepare("SELECT counter, key, value FROM labels"));
    NFM_ASSIGN_OR_RETURN(
        sqlite::Statement insert,
        db.Prepare("INSERT OR IGNORE INTO labels VALUES (?1, ?2, ?3)"));
    NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&] {
      return insert.Run(sqlite::Blob{rows.Bytes(0)}, rows.Bytes(1),
                        rows.Bytes(2));
    }));
    NFM_RETURN_IF_ERROR(transaction.Commit());
  }
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(old.path + suffix, ignored);
  }
  return absl::OkStatus();
}

// What std::map and std::string, the hash map and the heap take beside bytes.
constexpr size_t kCounterOverhead = 160;
constexpr size_t kLabelOverhead = 112;

// As WeightOf(), in SQL, of the counters after ?1.
constexpr char kWeightAfter[] = R"sql(
  SELECT coalesce(sum(weight), 0) FROM (
    SELECT 160 + length(counter) +
           sum(112 + length(CAST(key AS BLOB)) + length(CAST(value AS BLOB)))
           AS weight
    FROM labels WHERE counter > ?1 GROUP BY counter)
)sql";
static_assert(kCounterOverhead == 160 && kLabelOverhead == 112);

absl::Status TooManyLabels(absl::string_view whose, absl::string_view option,
                           size_t bound) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the labels of ", whose, " would take more than ", bound,
                   " bytes; use fewer or shorter labels, delete counters that "
                   "have some, or raise ",
                   option),
      BoundDetails("TOO_MANY_LABELS", bound, {{"limit", std::string(option)}}));
}

absl::Status NoFile() {
  return MakeError(absl::StatusCode::kUnavailable, "LABEL_STORE_FAILED",
                   "the label store failed: its file was damaged, and another "
                   "could not be made yet; check the disk, and make room "
                   "in the server's state directory");
}

}  // namespace

LabelStore::LabelStore(std::string path, std::unique_ptr<sqlite::Database> db,
                       const Bounds& bounds)
    : path_(std::move(path)),
      bounds_(bounds),
      awaits_new_file_(!path_.empty() && db == nullptr),
      db_(std::move(db)) {}

absl::Status LabelStore::Load() {
  absl::MutexLock write_lock(&write_mutex_);
  {
    absl::MutexLock lock(&mutex_);
    on_disk_ = "";
  }
  NFM_RETURN_IF_ERROR(LoadMore());
  db_->EndReading();
  return absl::OkStatus();
}

// Reads on, in the order of names, from the first counter that is not in
// memory.
absl::Status LabelStore::LoadMore() {
  using sqlite::Blob;
  absl::MutexLock lock(&mutex_);
  const std::string start = *on_disk_;
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db_->Prepare("SELECT counter, key, value FROM labels "
                   "WHERE counter > ?1 ORDER BY counter, key"));
  rows.Bind(1, Blob{start});
  std::string counter;
  Labels labels;
  bool full = false;
  while (!full) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!labels.empty() && (!found || rows.Bytes(0) != counter)) {
      full = use_.memory_bytes + WeightOf(counter, labels) > bounds_.max_bytes;
      if (full) break;
      on_disk_ = counter;
      Replace(counter, std::exchange(labels, {}));
    }
    if (!found) break;
    counter = std::string(rows.Bytes(0));
    labels[std::string(rows.Bytes(1))] = std::string(rows.Bytes(2));
  }
  if (!full) {
    on_disk_.reset();
    use_.disk_bytes = 0;
    return absl::OkStatus();
  }
  NFM_ASSIGN_OR_RETURN(sqlite::Statement weigh, db_->Prepare(kWeightAfter));
  weigh.Bind(1, Blob{*on_disk_});
  NFM_RETURN_IF_ERROR(weigh.Step().status());
  use_.disk_bytes = static_cast<size_t>(weigh.Int64(0));
  return absl::OkStatus();
}

Labels LabelStore::ReadFromDisk(absl::string_view counter) const {
  Labels labels;
  if (db_ == nullptr) return labels;
  absl::StatusOr<sqlite::Statement> rows =
      db_->Prepare("SELECT key, value FROM labels WHERE counter = ?1");
  if (!rows.ok()) return labels;
  rows->Bind(1, sqlite::Blob{counter});
  while (rows->Step().value_or(false)) {
    labels[std::string(rows->Bytes(0))] = std::string(rows->Bytes(1));
  }
  return labels;
}

Labels LabelStore::Get(absl::string_view counter) const {
  Labels labels;
  Visit({counter}, [&](size_t, const Labels& found) { labels = found; });
  return labels;
}

void LabelStore::Visit(
    absl::Span<const absl::string_view> counters,
    absl::FunctionRef<void(size_t index, const Labels& labels)> visit) const {
  std::vector<size_t> on_disk;
  {
    absl::ReaderMutexLock lock(&mutex_);
    for (size_t i = 0; i < counters.size(); ++i) {
      const auto found = entries_.find(counters[i]);
      if (found != entries_.end()) {
        visit(i, found->second.labels);
      } else if (IsInMemory(counters[i])) {
        visit(i, Labels());
      } else {
        on_disk.push_back(i);
      }
    }
  }
  for (const size_t i : on_disk) {
    absl::MutexLock write_lock(&write_mutex_);
    visit(i, ReadFromDisk(counters[i]));
  }
}

LabelStore::Use LabelStore::use() const {
  absl::ReaderMutexLock lock(&mutex_);
  return use_;
}

absl::Status LabelStore::Set(Changes labels, const CounterScope& scope,
                             Kind kind) {
  {
    absl::MutexLock write_lock(&write_mutex_);
    NFM_RETURN_IF_ERROR(CheckGrowth(labels, scope));
    NFM_RETURN_IF_ERROR(Change(labels, kind));
  }
  if (changed_ == nullptr) return absl::OkStatus();
  for (const auto& [counter, its] : labels) changed_(counter);
  return absl::OkStatus();
}

absl::Status LabelStore::Sync() {
  absl::MutexLock write_lock(&write_mutex_);
  if (path_.empty()) return absl::OkStatus();
  return db_ == nullptr ? NoFile() : db_->Sync();
}

absl::Status LabelStore::CheckRoom(Changes labels,
                                   const CounterScope& scope) const {
  absl::MutexLock write_lock(&write_mutex_);
  return CheckGrowth(labels, scope);
}

absl::Status LabelStore::CheckGrowth(Changes changes,
                                     const CounterScope& scope) const {
  absl::MutexLock lock(&mutex_);
  size_t before = 0;
  size_t after = 0;
  for (const auto& [counter, labels] : changes) {
    const auto found = entries_.find(counter);
    if (found != entries_.end()) {
      before += WeightOf(counter, found->second.labels);
    } else if (!IsInMemory(counter)) {
      before += WeightOf(counter, ReadFromDisk(counter));
    }
    after += WeightOf(counter, labels);
  }
  if (after <= before) return absl::OkStatus();
  const size_t growth = after - before;
  if (use_.memory_bytes + use_.disk_bytes + growth > bounds_.max_bytes) {
    return TooManyLabels("all counters", "limits.max_label_bytes",
                         bounds_.max_bytes);
  }
  if (!scope.has_all() &&
      WeightOfScope(scope) + growth > bounds_.max_bytes_per_scope) {
    return TooManyLabels("the counters of this caller",
                         "limits.max_label_bytes_per_scope",
                         bounds_.max_bytes_per_scope);
  }
  return absl::OkStatus();
}

size_t LabelStore::WeightOfScope(const CounterScope& scope) const {
  const auto known = scopes_.find(scope);
  if (known != scopes_.end()) return known->second;
  size_t weight = 0;
  for (const auto& [counter, entry] : entries_) {
    if (scope.Contains(ShownName(counter))) {
      weight += WeightOf(counter, entry.labels);
    }
  }
  if (scopes_.size() >= kMaxScopes) scopes_.clear();
  scopes_[scope] = weight;
  return weight;
}

void LabelStore::Replace(const std::string& counter, Labels labels) {
  const auto found = entries_.find(counter);
  const size_t before =
      found == entries_.end() ? 0 : WeightOf(counter, found->second.labels);
  const size_t after = WeightOf(counter, labels);
  use_.memory_bytes += after - before;
  if (!scopes_.empty()) {
    const std::string shown = ShownName(counter);
    for (auto& [scope, weight] : scopes_) {
      if (scope.Contains(shown)) weight += after - before;
    }
  }
  if (labels.empty()) {
    entries_.erase(counter);
  } else {
    entries_[counter] = {std::move(labels), version_};
  }
}

std::vector<LabelStore::Labelled> LabelStore::All() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<Labelled> all;
  all.reserve(entries_.size());
  for (const auto& [counter, entry] : entries_) {
    all.push_back({counter, entry.since});
  }
  return all;
}

bool LabelStore::IsUnchanged(const Labelled& counter) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(counter.counter);
  return found != entries_.end() && found->second.since <= counter.since;
}

absl::StatusOr<size_t> LabelStore::RemoveUnchanged(
    absl::Span<const Labelled> counters) {
  // Nobody sets labels until this is done.
  absl::MutexLock write_lock(&write_mutex_);
  std::vector<std::pair<std::string, Labels>> removals;
  for (const Labelled& counter : counters) {
    if (IsUnchanged(counter)) removals.emplace_back(counter.counter, Labels());
  }
  if (removals.empty()) return 0;
  NFM_RETURN_IF_ERROR(Change(removals, Kind::kWrite));
  return removals.size();
}

// What was only on the disk is lost with it.
absl::Status LabelStore::BeginAnew() {
  absl::MutexLock write_lock(&write_mutex_);
  if (path_.empty()) return absl::OkStatus();
  awaits_new_file_ = false;
  db_.reset();
  return OpenNewFile();
}

// If it fails, the next change tries again.
absl::Status LabelStore::OpenNewFile() {
  absl::StatusOr<std::unique_ptr<sqlite::Database>> db = NoFile();
  if (!awaits_new_file_) {
    db = sqlite::Database::Open(InErrors(LedgerFile(path_)));
  }
  if (!db.ok()) return NoFile();
  db_ = *std::move(db);
  std::vector<std::pair<std::string, Labels>> all;
  {
    absl::MutexLock lock(&mutex_);
    on_disk_.reset();
    use_.disk_bytes = 0;
    for (const auto& [counter, entry] : entries_) {
      all.emplace_back(counter, entry.labels);
    }
  }
  if (all.empty()) return absl::OkStatus();
  const absl::Status status = Write(all, Kind::kWrite);
  if (!status.ok()) db_.reset();
  return status;
}

absl::Status LabelStore::Change(Changes changes, Kind kind) {
  if (!path_.empty()) {
    absl::Status status = db_ == nullptr ? OpenNewFile() : absl::OkStatus();
    if (status.ok()) status = Write(changes, kind);
    if (!status.ok()) {
      return Annotate(status, "labels can't be stored, nothing was changed");
    }
  }
  bool has_room = false;
  {
    absl::MutexLock lock(&mutex_);
    ++version_;
    for (const auto& [counter, labels] : changes) {
      if (IsInMemory(counter)) Replace(counter, labels);
    }
    has_room =
        on_disk_.has_value() && use_.memory_bytes < bounds_.max_bytes / 8 * 7;
  }
  // If this fails, labels that are only on the disk are read from there.
  if (has_room) LoadMore().IgnoreError();
  return absl::OkStatus();
}

absl::Status LabelStore::Write(Changes changes, Kind kind) {
  using sqlite::Blob;
  std::vector<bool> has_rows(changes.size());
  {
    absl::ReaderMutexLock lock(&mutex_);
    for (size_t i = 0; i < changes.size(); ++i) {
      has_rows[i] = MayHaveRows(changes[i].first);
    }
  }
  NFM_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                       sqlite::Transaction::Begin(*db_, kind));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement remove,
                       db_->Prepare("DELETE FROM labels WHERE counter = ?1"));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement insert,
                       db_->Prepare("INSERT OR REPLACE INTO labels "
                                    "VALUES (?1, ?2, ?3)"));
  for (size_t i = 0; i < changes.size(); ++i) {
    const auto& [counter, of_counter] = changes[i];
    if (has_rows[i]) NFM_RETURN_IF_ERROR(remove.Run(Blob{counter}));
    for (const auto& [key, value] : of_counter) {
      NFM_RETURN_IF_ERROR(insert.Run(Blob{counter}, key, value));
    }
  }
  return transaction.Commit();
}

size_t LabelStore::WeightOf(absl::string_view counter, const Labels& labels) {
  if (labels.empty()) return 0;
  size_t weight = kCounterOverhead + counter.size();
  for (const auto& [key, value] : labels) {
    weight += kLabelOverhead + key.size() + value.size();
  }
  return weight;
}

absl::StatusOr<std::unique_ptr<LabelStore>> LabelStore::Open(
    const std::string& path, const Bounds& bounds, bool awaits_new_file) {
  if (path.empty() || awaits_new_file) {
    return absl::WrapUnique(new LabelStore(path, nullptr, bounds));
  }
  sqlite::Options file = InErrors(LedgerFile(path));
  file.patient = true;
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Database> db,
                       sqlite::Database::Open(std::move(file)));
  const sqlite::Options old = OldFile(path);
  if (old.path != path) NFM_RETURN_IF_ERROR(TakeOver(*db, old));
  auto store = absl::WrapUnique(new LabelStore(path, std::move(db), bounds));
  NFM_RETURN_IF_ERROR(store->Load());
  return store;
}

}  // namespace nfmeter::accounting
