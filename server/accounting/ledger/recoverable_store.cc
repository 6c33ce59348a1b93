// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/recoverable_store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/record.h"
#include "accounting/ledger/schema.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// A checkpoint is due when the records since the last one have grown beyond
// this, or beyond a few times its size.
constexpr uint64_t kCheckpointAfterBytes = 256 << 10;
constexpr uint64_t kCheckpointAfterTimes = 4;

absl::Status NoFile() {
  return MakeError(absl::StatusCode::kDataLoss, "LEDGER_FAILED",
                   "the ledger's file was damaged, and another could not be "
                   "made in its place; check the disk of the state directory");
}

sqlite::Options FileOf(const RecoverableStore::Options& options) {
  sqlite::Options file = LedgerFile(options.path);
  file.vfs = options.vfs;
  return file;
}

}  // namespace

// --- Opening -----------------------------------------------------------------

absl::StatusOr<RecoverableStore::Opened> RecoverableStore::Open(Options options,
                                                                Clock& clock) {
  auto store =
      absl::WrapUnique(new RecoverableStore(std::move(options), clock));
  NFM_ASSIGN_OR_RETURN(LedgerPast past, store->OpenFile());
  return Opened{std::move(store), std::move(past)};
}

absl::StatusOr<LedgerPast> RecoverableStore::OpenFile() {
  sqlite::Options file = FileOf(options_);
  file.patient = true;
  absl::MutexLock lock(&mutex_);
  bool lost = false;
  while (true) {
    absl::StatusOr<LedgerPast> past;
    auto opened = LedgerStore::Open(file, options_.host, state_.node_id);
    if (opened.ok()) {
      store_ = *std::move(opened);
      past = LoadPast();
    } else {
      past = opened.status();
    }
    if (past.ok()) {
      if (lost) {
        past->gaps.push_back(
            {0, GapCause::kStoreLost, absl::InfinitePast(), clock_.WallTime()});
      }
      TakeState();
      store_->EndLoading();
      return past;
    }
    // Damaged twice in a row: give up.
    if (!absl::IsDataLoss(past.status()) || lost) return past.status();
    store_.reset();
    state_.node_id = LedgerStore::NodeIdOf(FileOf(options_));
    lost = PutAside();
    if (lost) continue;
    damaged_ = true;
    state_.problem = NoFile();
    if (state_.node_id.empty()) state_.node_id = LedgerStore::NewNodeId();
    return LedgerPast();
  }
}

absl::StatusOr<LedgerPast> RecoverableStore::LoadPast() {
  LedgerPast past;
  if (!store_->is_new()) {
    NFM_ASSIGN_OR_RETURN(past.book, store_->LoadPast());
  }
  NFM_ASSIGN_OR_RETURN(past.consumers, store_->LoadConsumers());
  NFM_RETURN_IF_ERROR(store_->ForEachRecordAfter(
      store_->bucketed(), [&](absl::Time time, const Record& record) {
        AddToBuckets(record, time, past.buckets);
        past.last_bucket = BucketOf(time);
      }));
  past.record_time = store_->record_time();
  if (const auto from = store_->restored_from()) {
    past.gaps.push_back(
        {0, GapCause::kStoreRestored, *from, clock_.WallTime()});
  }
  return past;
}

// Renames the file and its log. False: it stays where it is, as the disk is
// read-only.
bool RecoverableStore::PutAside() {
  const std::string& path = options_.path;
  const std::string aside =
      absl::StrCat(path, ".damaged-", absl::ToUnixSeconds(clock_.WallTime()));
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  if (error && error != std::errc::no_such_file_or_directory) return false;
  // If there is no such file, an earlier attempt has put it aside.
  if (!error) state_.damaged_file = aside;
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::rename(path + suffix, aside + suffix, error);
  }
  return true;
}

absl::Status RecoverableStore::BeginAnew() {
  absl::MutexLock lock(&mutex_);
  store_.reset();
  state_.opened = false;
  if (!PutAside()) return NoFile();
  NFM_ASSIGN_OR_RETURN(
      store_,
      LedgerStore::Open(FileOf(options_), options_.host, state_.node_id));
  damaged_ = false;
  TakeState();
  return absl::OkStatus();
}

// --- What is known -----------------------------------------------------------

void RecoverableStore::TakeState() {
  state_ = {.opened = store_->opened(),
            .problem = store_->problem(),
            .node_id = store_->node_id(),
            .epoch = store_->epoch(),
            .sequence = store_->sequence(),
            .bucketed = store_->bucketed(),
            .record_bytes = store_->record_bytes(),
            .damaged_file = std::move(state_.damaged_file)};
}

RecoverableStore::State RecoverableStore::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

bool RecoverableStore::awaits_new_file() const {
  absl::MutexLock lock(&mutex_);
  return store_ == nullptr;
}

bool RecoverableStore::damaged() const {
  absl::MutexLock lock(&mutex_);
  return damaged_;
}

bool RecoverableStore::checkpoint_due() const {
  absl::MutexLock lock(&mutex_);
  return store_ == nullptr || store_->sequence() == 0 ||
         store_->bytes_since_checkpoint() >
             std::max(kCheckpointAfterBytes,
                      kCheckpointAfterTimes * store_->checkpoint_bytes());
}

// --- Writing -----------------------------------------------------------------

absl::Status RecoverableStore::Append(const LedgerCommit& commit,
                                      const Consumers::Changes& consumers) {
  absl::MutexLock lock(&mutex_);
  if (store_ == nullptr) return NoFile();
  return Written(store_->Append(commit, consumers).status());
}

absl::Status RecoverableStore::StoreConsumers(
    const Consumers::Changes& consumers) {
  absl::MutexLock lock(&mutex_);
  if (store_ == nullptr) return NoFile();
  return Written(store_->StoreConsumers(consumers));
}

// Notes how a write ended.
absl::Status RecoverableStore::Written(absl::Status status) {
  if (status.ok()) TakeState();
  damaged_ = damaged_ || absl::IsDataLoss(status);
  return status;
}

absl::Status RecoverableStore::Announce(
    absl::Span<const Book::Past::Intent> intents) {
  absl::MutexLock lock(&mutex_);
  return store_ == nullptr ? NoFile() : store_->Announce(intents);
}

absl::StatusOr<Forgotten> RecoverableStore::Forget(
    const Retention& retention, absl::Time now,
    std::optional<uint64_t> acknowledged) {
  absl::MutexLock lock(&mutex_);
  if (store_ == nullptr) return NoFile();
  auto forgotten = store_->Forget(retention, now, acknowledged);
  TakeState();
  return forgotten;
}

}  // namespace nfmeter::accounting
