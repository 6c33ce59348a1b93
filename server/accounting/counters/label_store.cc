#include "accounting/counters/label_store.h"

#include <sqlite3.h>

#include <atomic>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// "NFML", so that other programs' databases are told apart.
constexpr int kApplicationId = 0x4e464d4c;
constexpr int kSchemaVersion = 1;

constexpr char kSchema[] = R"sql(
  BEGIN IMMEDIATE;
  CREATE TABLE labels (
    counter BLOB NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (counter, key)
  ) WITHOUT ROWID;
  PRAGMA application_id = 1313230156;
  PRAGMA user_version = 1;
  COMMIT;
)sql";
static_assert(kApplicationId == 1313230156);

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;

struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
  }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

absl::Status CannotOpen(absl::string_view path, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("the label store ", path, " can't be opened: ", why,
                   "; give the server another state directory, "
                   "or move the file away"),
      ErrorDetails{.reason = "LABEL_STORE_UNUSABLE",
                   .metadata = {{"path", std::string(path)}}});
}

absl::Status CannotWrite(sqlite3* db) {
  return MakeError(absl::StatusCode::kUnavailable, "LABEL_STORE_FAILED",
                   absl::StrCat("labels can't be stored: ", sqlite3_errmsg(db),
                                "; nothing was changed; see to the disk of "
                                "the server's state directory"));
}

Statement Prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  sqlite3_prepare_v2(db, sql, -1, &statement, nullptr);
  return Statement(statement);
}

bool Execute(sqlite3* db, const char* sql) {
  return sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

// The one number that a query answers, or -1.
int Number(sqlite3* db, const char* sql) {
  const Statement statement = Prepare(db, sql);
  if (statement == nullptr || sqlite3_step(statement.get()) != SQLITE_ROW) {
    return -1;
  }
  return sqlite3_column_int(statement.get(), 0);
}

std::string Column(sqlite3_stmt* statement, int index) {
  const void* bytes = sqlite3_column_blob(statement, index);
  return std::string(static_cast<const char*>(bytes),
                     sqlite3_column_bytes(statement, index));
}

// SQLITE_STATIC: the string outlives the step.
void BindText(sqlite3_stmt* statement, int index, const std::string& text) {
  sqlite3_bind_text(statement, index, text.data(),
                    static_cast<int>(text.size()), SQLITE_STATIC);
}
void BindBlob(sqlite3_stmt* statement, int index, const std::string& bytes) {
  sqlite3_bind_blob(statement, index, bytes.data(),
                    static_cast<int>(bytes.size()), SQLITE_STATIC);
}

// Makes the schema in a new database, or sees that it is the one we know.
absl::Status EnsureSchema(sqlite3* db, const std::string& path) {
  const int tables = Number(db, "SELECT count(*) FROM sqlite_master");
  const int application = Number(db, "PRAGMA application_id");
  if (tables < 0 || application < 0) {
    return CannotOpen(path, sqlite3_errmsg(db));
  }
  const bool is_new = tables == 0 && application == 0;
  // Before anything is written: the journal's mode stays in the file.
  if (!is_new && application != kApplicationId) {
    return CannotOpen(path, "it belongs to another program");
  }
  if (!Execute(db, "PRAGMA journal_mode = WAL") ||
      !Execute(db, "PRAGMA synchronous = FULL") ||
      (is_new && !Execute(db, kSchema))) {
    return CannotOpen(path, sqlite3_errmsg(db));
  }
  const int version = Number(db, "PRAGMA user_version");
  if (version != kSchemaVersion) {
    return CannotOpen(path,
                      absl::StrCat("its format is of version ", version,
                                   ", this server knows ", kSchemaVersion));
  }
  return absl::OkStatus();
}

absl::StatusOr<Database> OpenDatabase(const std::string& path) {
  sqlite3* opened = nullptr;
  const int result = sqlite3_open_v2(
      path.c_str(), &opened,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  Database db(opened);
  if (result != SQLITE_OK) return CannotOpen(path, sqlite3_errstr(result));
  sqlite3_busy_timeout(db.get(), 2000);  // milliseconds
  NFM_RETURN_IF_ERROR(EnsureSchema(db.get(), path));
  return db;
}

class SqliteLabelStore final : public LabelStore {
 public:
  // `db` may be null: memory only.
  explicit SqliteLabelStore(Database db) : db_(std::move(db)) {}

  absl::Status Load(const std::string& path);

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
  bool Write(Changes changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);
  bool IsUnchanged(const Labelled& counter) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Held over disk writes, so that readers don't wait for the disk.
  absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  const Database db_ ABSL_PT_GUARDED_BY(write_mutex_);
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> version_{0};
};

absl::Status SqliteLabelStore::Load(const std::string& path) {
  absl::MutexLock write_lock(&write_mutex_);
  const Statement rows =
      Prepare(db_.get(), "SELECT counter, key, value FROM labels");
  if (rows == nullptr) return CannotOpen(path, sqlite3_errmsg(db_.get()));
  absl::MutexLock lock(&mutex_);
  int result;
  while ((result = sqlite3_step(rows.get())) == SQLITE_ROW) {
    entries_[Column(rows.get(), 0)].labels[Column(rows.get(), 1)] =
        Column(rows.get(), 2);
  }
  if (result != SQLITE_DONE) {
    return CannotOpen(path, sqlite3_errmsg(db_.get()));
  }
  return absl::OkStatus();
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
  if (db_ != nullptr && !Write(changes)) {
    const absl::Status failed = CannotWrite(db_.get());
    Execute(db_.get(), "ROLLBACK");
    return failed;
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

bool SqliteLabelStore::Write(Changes changes) {
  sqlite3* const db = db_.get();
  if (!Execute(db, "BEGIN IMMEDIATE")) return false;
  const Statement remove = Prepare(db, "DELETE FROM labels WHERE counter = ?1");
  const Statement insert =
      Prepare(db, "INSERT INTO labels VALUES (?1, ?2, ?3)");
  if (remove == nullptr || insert == nullptr) return false;
  for (const auto& [counter, of_counter] : changes) {
    BindBlob(remove.get(), 1, counter);
    if (sqlite3_step(remove.get()) != SQLITE_DONE) return false;
    sqlite3_reset(remove.get());
    for (const auto& [key, value] : of_counter) {
      BindBlob(insert.get(), 1, counter);
      BindText(insert.get(), 2, key);
      BindText(insert.get(), 3, value);
      if (sqlite3_step(insert.get()) != SQLITE_DONE) return false;
      sqlite3_reset(insert.get());
    }
  }
  return Execute(db, "COMMIT");
}

}  // namespace

absl::StatusOr<std::unique_ptr<LabelStore>> LabelStore::Open(
    const std::string& path) {
  if (path.empty()) return std::make_unique<SqliteLabelStore>(nullptr);
  NFM_ASSIGN_OR_RETURN(Database db, OpenDatabase(path));
  auto store = std::make_unique<SqliteLabelStore>(std::move(db));
  NFM_RETURN_IF_ERROR(store->Load(path));
  return store;
}

}  // namespace nfmeter::accounting
