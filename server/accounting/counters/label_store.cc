#include "accounting/counters/label_store.h"

#include <atomic>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/error.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

constexpr char kSchema[] = R"sql(
  CREATE TABLE labels (
    counter BLOB NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (counter, key)
  ) WITHOUT ROWID;
)sql";

absl::StatusOr<std::unique_ptr<sqlite::Database>> OpenDatabase(
    const std::string& path) {
  return sqlite::Database::Open({
      .path = path,
      .noun = "the label store",
      .unusable_reason = "LABEL_STORE_UNUSABLE",
      .failed_reason = "LABEL_STORE_FAILED",
      .application_id = 0x4e464d4c,  // "NFML"
      .migrations = {kSchema},
  });
}

class SqliteLabelStore final : public LabelStore {
 public:
  // `db` may be null: memory only.
  explicit SqliteLabelStore(std::unique_ptr<sqlite::Database> db)
      : db_(std::move(db)) {}

  absl::Status Load();

  Labels Get(absl::string_view counter) const override;
  absl::Status Set(
      absl::Span<const std::pair<std::string, Labels>> labels) override;
  std::vector<Labelled> All() const override;
  absl::StatusOr<size_t> RemoveUnchanged(
      absl::Span<const Labelled> counters) override;
  uint64_t version() const override { return version_; }

 private:
  using Changes = absl::Span<const std::pair<std::string, Labels>>;
  struct Entry {
    Labels labels;
    uint64_t since = 0;
  };

  absl::Status Change(Changes changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  absl::Status Write(Changes changes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  bool IsUnchanged(const Labelled& counter) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Held over disk writes, so that readers don't wait for the disk.
  absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  const std::unique_ptr<sqlite::Database> db_ ABSL_PT_GUARDED_BY(write_mutex_);
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> version_{0};
};

absl::Status SqliteLabelStore::Load() {
  absl::MutexLock write_lock(&write_mutex_);
  NFM_ASSIGN_OR_RETURN(sqlite::Statement rows,
                       db_->Prepare("SELECT counter, key, value FROM labels"));
  absl::MutexLock lock(&mutex_);
  while (true) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return absl::OkStatus();
    entries_[rows.Bytes(0)].labels[std::string(rows.Bytes(1))] =
        std::string(rows.Bytes(2));
  }
}

Labels SqliteLabelStore::Get(absl::string_view counter) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(counter);
  return found == entries_.end() ? Labels() : found->second.labels;
}

absl::Status SqliteLabelStore::Set(Changes labels) {
  absl::MutexLock write_lock(&write_mutex_);
  return Change(labels);
}

std::vector<LabelStore::Labelled> SqliteLabelStore::All() const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<Labelled> all;
  all.reserve(entries_.size());
  for (const auto& [counter, entry] : entries_) {
    all.push_back({counter, entry.since});
  }
  return all;
}

bool SqliteLabelStore::IsUnchanged(const Labelled& counter) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = entries_.find(counter.counter);
  return found != entries_.end() && found->second.since <= counter.since;
}

absl::StatusOr<size_t> SqliteLabelStore::RemoveUnchanged(
    absl::Span<const Labelled> counters) {
  // Whoever sets labels waits.
  absl::MutexLock write_lock(&write_mutex_);
  std::vector<std::pair<std::string, Labels>> removals;
  for (const Labelled& counter : counters) {
    if (IsUnchanged(counter)) removals.emplace_back(counter.counter, Labels());
  }
  if (removals.empty()) return 0;
  NFM_RETURN_IF_ERROR(Change(removals));
  return removals.size();
}

absl::Status SqliteLabelStore::Change(Changes changes) {
  if (db_ != nullptr) {
    if (const absl::Status status = Write(changes); !status.ok()) {
      return Annotate(status, "labels can't be stored, nothing was changed");
    }
  }
  absl::MutexLock lock(&mutex_);
  ++version_;
  for (const auto& [counter, of_counter] : changes) {
    if (of_counter.empty()) {
      entries_.erase(counter);
    } else {
      entries_[counter] = {of_counter, version_};
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteLabelStore::Write(Changes changes) {
  using sqlite::Blob;
  NFM_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                       sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement remove,
                       db_->Prepare("DELETE FROM labels WHERE counter = ?1"));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement insert,
                       db_->Prepare("INSERT INTO labels VALUES (?1, ?2, ?3)"));
  for (const auto& [counter, of_counter] : changes) {
    NFM_RETURN_IF_ERROR(remove.Run(Blob{counter}));
    for (const auto& [key, value] : of_counter) {
      NFM_RETURN_IF_ERROR(insert.Run(Blob{counter}, key, value));
    }
  }
  return transaction.Commit();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LabelStore>> LabelStore::Open(
    const std::string& path) {
  if (path.empty()) return std::make_unique<SqliteLabelStore>(nullptr);
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<sqlite::Database> db,
                       OpenDatabase(path));
  auto store = std::make_unique<SqliteLabelStore>(std::move(db));
  NFM_RETURN_IF_ERROR(store->Load());
  return store;
}

}  // namespace nfmeter::accounting
