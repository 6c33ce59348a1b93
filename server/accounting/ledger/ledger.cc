// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger.h"

#include <pthread.h>

#include <algorithm>

#include "absl/memory/memory.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// How many readings Take() tries before it answers with the last totals.
constexpr int kAttempts = 3;
constexpr absl::Duration kRetryInterval = absl::Seconds(1);
// How many records are written between two times of tidying.
constexpr int kTidyEach = 60;
// How long absent counters are remembered.
constexpr absl::Duration kAbsence = absl::Hours(7 * 24);

}  // namespace

// A subscription, so that there is a reading each interval. The ledger gets
// the readings as an observer.
class Ledger::Ticks final : public SnapshotSubscriber {
 public:
  void OnSnapshot(std::shared_ptr<const Snapshot>) override {}
  void OnError(const absl::Status&) override {}
};

// --- Opening and closing -----------------------------------------------------

absl::StatusOr<std::unique_ptr<Ledger>> Ledger::Create(Options options,
                                                       Clock& clock) {
  RecoverableStore::Opened opened;
  if (!options.path.empty()) {
    NFM_ASSIGN_OR_RETURN(opened,
                         RecoverableStore::Open(
                             {options.path, options.vfs, options.host}, clock));
  }
  return absl::WrapUnique(new Ledger(std::move(options), clock,
                                     std::move(opened.store),
                                     std::move(opened.past)));
}

Ledger::Ledger(Options options, Clock& clock,
               std::unique_ptr<RecoverableStore> store, LedgerPast past)
    : options_(std::move(options)),
      clock_(clock),
      alarm_(clock.NewAlarm()),
      store_(std::move(store)),
      book_(past.book.has_value()
                ? std::make_unique<Book>(*std::move(past.book))
                : std::make_unique<Book>()) {
  if (!kept()) return;
  consumers_.Load(std::move(past.consumers));
  const bool is_new = !past.book.has_value() && past.gaps.empty();
  if (!is_new) SkipIds();
  for (Gap& gap : past.gaps) book_->NoteGap(std::move(gap));
  const RecoverableStore::State state = store_->state();
  open_ = {state.bucketed, std::move(past.buckets)};
  last_bucket_ = past.last_bucket;
  status_ = {.kept = true,
             .opened = state.opened,
             .writable = state.problem,
             .since = clock_.WallTime(),
             .node_id = state.node_id,
             .epoch = state.epoch,
             .sequence = state.sequence,
             .record_time = past.record_time,
             .record_bytes = state.record_bytes,
             .damaged_file = state.damaged_file};
}

void Ledger::Start(SnapshotHub* hub,
                   std::function<Labels(absl::string_view)> labels) {
  hub_ = hub;
  labels_ = std::move(labels);
  if (kept()) thread_ = std::thread([this] { Loop(); });
  if (hub_ != nullptr) {
    ticks_ = hub_->Subscribe(options_.interval, std::make_shared<Ticks>());
  }
}

void Ledger::Stop() { ticks_.reset(); }

Ledger::~Ledger() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  alarm_->Ring();
  if (thread_.joinable()) thread_.join();
}

// --- What happens ------------------------------------------------------------

absl::Status Ledger::BeforeReset(
    absl::Span<const kernel::AcctObject> counters) {
  return Announce(/*deletes=*/false, counters);
}

absl::Status Ledger::BeforeDeletion(
    absl::Span<const kernel::AcctObject> counters) {
  return Announce(/*deletes=*/true, counters);
}

absl::Status Ledger::Announce(bool deletes,
                              absl::Span<const kernel::AcctObject> counters) {
  if (!kept()) return absl::OkStatus();
  std::vector<Book::Past::Intent> intents;
  {
    const absl::Time now = clock_.WallTime();
    absl::MutexLock lock(&mutex_);
    for (const kernel::AcctObject& counter : counters) {
      const auto found = book_->Find(counter.name);
      // Nobody has been told of a counter that no reading has seen.
      if (!found.has_value()) continue;
      intents.push_back(
          {found->account.id, deletes, {counter.packets, counter.bytes}, now});
    }
  }
  if (intents.empty()) return absl::OkStatus();
  // On a disk that fails accounting goes on in memory.
  store_->Announce(intents).IgnoreError();
  return absl::OkStatus();
}

void Ledger::OnCreated(absl::Span<const kernel::AcctObject> counters) {
  absl::MutexLock lock(&mutex_);
  book_->NoteCreated(counters, Now());
  ++told_;
}

void Ledger::OnReset(absl::Span<const kernel::AcctObject> counters) {
  absl::MutexLock lock(&mutex_);
  book_->NoteReset(counters, Now());
  ++told_;
}

void Ledger::OnDeleted(absl::Span<const kernel::AcctObject> counters) {
  absl::MutexLock lock(&mutex_);
  for (const kernel::AcctObject& counter : counters) {
    NoteLastLabels(counter.name);
  }
  book_->NoteDeleted(counters, Now());
  ++told_;
}

void Ledger::OnMerged(absl::Span<const kernel::AcctObject> counters) {
  absl::MutexLock lock(&mutex_);
  book_->NoteMerged(counters, Now());
  ++told_;
}

void Ledger::NoteLastLabels(absl::string_view name) {
  if (!kept() || labels_ == nullptr) return;
  const auto found = book_->Find(name);
  if (!found.has_value()) return;
  Labels labels = labels_(name);
  if (!labels.empty()) last_labels_[found->account.id] = std::move(labels);
}

void Ledger::OnLabels(absl::string_view counter) {
  absl::MutexLock lock(&mutex_);
  book_->NoteLabels(counter);
  ++told_;
}

void Ledger::OnSnapshot(const std::shared_ptr<const Snapshot>& snapshot) {
  if (!snapshot->complete) return;
  {
    absl::MutexLock lock(&mutex_);
    if (takers_ == 0 && snapshot->boottime - applied_ < options_.interval) {
      return;
    }
    book_->NoteSnapshot(*snapshot);
    applied_ = snapshot->boottime;
    if (takers_ > 0) {
      read_ = std::make_shared<const Totals>(
          Totals{snapshot, book_->TotalsOf(*snapshot)});
    }
    ++told_;
    wanted_ = true;
  }
  alarm_->Ring();
}

void Ledger::NoteGap(absl::string_view name, GapCause cause, absl::Time from,
                     absl::Time to) {
  absl::MutexLock lock(&mutex_);
  book_->NoteGap(name, cause, from, to);
  ++told_;
}

void Ledger::CommitSoon() {
  if (!kept()) return;
  {
    absl::MutexLock lock(&mutex_);
    wanted_ = true;
  }
  alarm_->Ring();
}

absl::Status Ledger::Commit() {
  if (!kept()) return absl::OkStatus();
  AwaitWritten().IgnoreError();
  return absl::OkStatus();
}

absl::Status Ledger::CommitConsumers() {
  {
    absl::MutexLock lock(&mutex_);
    ++told_;
  }
  return AwaitWritten();
}

// Waits until everything told so far is in the file, or until an attempt that
// began after this call has failed.
absl::Status Ledger::AwaitWritten() {
  absl::MutexLock lock(&mutex_);
  const uint64_t told = told_;
  const uint64_t attempts = attempts_;
  wanted_ = true;
  alarm_->Ring();
  const auto over = [&] {
    mutex_.AssertReaderHeld();
    return written_ >= told || attempts_ > attempts + 1 ||
           (attempts_ > attempts && !status_.writable.ok()) || stopping_;
  };
  mutex_.Await(absl::Condition(&over));
  return written_ >= told ? absl::OkStatus() : status_.writable;
}

// --- Writing -----------------------------------------------------------------

void Ledger::Loop() {
  pthread_setname_np(pthread_self(), "nfm-ledger");
  while (true) {
    bool stopping;
    bool wanted;
    bool failing;
    {
      absl::MutexLock lock(&mutex_);
      stopping = stopping_;
      wanted = wanted_;
      failing = !status_.writable.ok();
    }
    const absl::Duration now = clock_.BootTime();
    // Whoever waits for a commit hears at once that it fails.
    if (wanted || stopping || (failing && now >= next_try_)) Write();
    if (stopping) return;
    {
      absl::MutexLock lock(&mutex_);
      failing = !status_.writable.ok();
    }
    alarm_->WaitUntil(failing ? next_try_ : absl::InfiniteDuration());
  }
}

void Ledger::Write() {
  if (store_->damaged()) BeginAnew();
  Attempt attempt = Prepare();
  if (pending_.empty() && attempt.consumers.empty()) {
    {
      absl::MutexLock lock(&mutex_);
      if (!status_.writable.ok()) return;
    }
    NoteAttempt(attempt.told);
    return;
  }
  // That somebody has begun to read, or got further, is no record.
  const bool record = !pending_.empty();
  const absl::Status written =
      record ? store_->Append(attempt.commit, attempt.consumers)
             : store_->StoreConsumers(attempt.consumers);
  if (!written.ok()) {
    NoteFailure(attempt, written);
    return;
  }
  const uint64_t told = attempt.told;
  if (record) Publish(std::move(attempt));
  NoteSuccess(told);
  if (!record) return;
  listeners_.Tell();
  if (++records_since_tidying_ >= kTidyEach) Tidy();
}

Ledger::Attempt Ledger::Prepare() {
  Attempt attempt;
  attempt.consumers = consumers_.Take();
  LedgerCommit& commit = attempt.commit;
  const bool checkpoint = store_->checkpoint_due();
  absl::MutexLock lock(&mutex_);
  attempt.told = told_;
  attempt.read = read_;
  wanted_ = false;
  book_->Take(pending_);
  if (pending_.empty()) return attempt;
  commit.next_account = book_->next_id();
  for (const Account& account : pending_.accounts) {
    if (account.state != Account::State::kClosed) continue;
    const auto labels = last_labels_.find(account.id);
    if (labels != last_labels_.end()) commit.last_labels.insert(*labels);
  }
  if (checkpoint) commit.checkpoint = book_->Totals();
  const Moment moment = pending_.reading.value_or(Now());
  commit.time = moment.wall;
  commit.boottime = moment.boottime;
  commit.changes = &pending_;
  for (const BookChanges::Total& total : pending_.totals) {
    if (!total.delta.zero()) {
      commit.record.rows.push_back({total.account, total.delta});
    }
  }
  for (const Account& account : pending_.accounts) {
    commit.record.accounts.push_back(account.id);
  }
  commit.record.gaps = static_cast<uint32_t>(pending_.gaps.size());
  commit.record.since_reading = pending_.since_reading;
  // The first record of a new file is all that was ever counted, and belongs to
  // no bucket.
  if (!begun_anew_) AddToBuckets(commit.record, commit.time, attempt.fresh);
  // Buckets that are over go into the file, with what this record adds.
  if (!open_.buckets.empty() && BucketOf(commit.time) != last_bucket_) {
    commit.five_minutes = open_.buckets;
    for (const auto& [start, bucket] : attempt.fresh) {
      AddRows(bucket, commit.five_minutes[start]);
    }
  }
  return attempt;
}

void Ledger::Publish(Attempt attempt) {
  const RecoverableStore::State state = store_->state();
  {
    absl::MutexLock lock(&mutex_);
    published_ = std::move(attempt.read);
    if (attempt.commit.five_minutes.empty()) {
      for (const auto& [start, bucket] : attempt.fresh) {
        AddRows(bucket, open_.buckets[start]);
      }
    } else {
      open_ = {.bucketed = state.bucketed};
    }
    last_bucket_ = BucketOf(attempt.commit.time);
    for (const auto& [account, labels] : attempt.commit.last_labels) {
      last_labels_.erase(account);
    }
    status_.sequence = state.sequence;
    status_.record_time = attempt.commit.time;
    status_.record_bytes = state.record_bytes;
    ++status_.records_written;
    status_.gaps += pending_.gaps.size();
  }
  pending_ = BookChanges();
  begun_anew_ = false;
}

void Ledger::NoteSuccess(uint64_t told) {
  absl::Status was;
  {
    absl::MutexLock lock(&mutex_);
    status_.opened = true;
    was = std::exchange(status_.writable, absl::OkStatus());
  }
  if (!was.ok() && options_.on_writable != nullptr) {
    options_.on_writable(absl::OkStatus());
  }
  NoteAttempt(told);
}

void Ledger::NoteFailure(const Attempt& attempt, const absl::Status& status) {
  consumers_.GiveBack(attempt.consumers);
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    ++status_.failures;
    // In memory accounting goes on.
    published_ = read_;
    first = status_.writable.ok();
    if (first) status_.since = clock_.WallTime();
    status_.writable = status;
  }
  next_try_ = clock_.BootTime() + kRetryInterval;
  if (first && options_.on_writable != nullptr) options_.on_writable(status);
  NoteAttempt(/*written=*/0);
}

// Called last: callers that this wakes find the rest of the status up to date.
void Ledger::NoteAttempt(uint64_t written) {
  absl::MutexLock lock(&mutex_);
  ++attempts_;
  written_ = std::max(written_, written);
}

// The file is damaged. What is in memory is all there is: it goes into another.
void Ledger::BeginAnew() {
  {
    absl::MutexLock lock(&mutex_);
    status_.opened = false;
  }
  const absl::Status begun = store_->BeginAnew();
  const RecoverableStore::State state = store_->state();
  std::vector<std::function<void()>> told;
  {
    absl::MutexLock lock(&mutex_);
    status_.damaged_file = state.damaged_file;
    if (!begun.ok()) return;
    status_.opened = true;
    book_->TakeAllAgain(pending_);
    book_->NoteGap(
        {0, GapCause::kStoreLost, absl::InfinitePast(), clock_.WallTime()});
    open_ = Open();
    status_.epoch = state.epoch;
    status_.sequence = 0;
    status_.record_bytes = 0;
    told = when_begun_anew_;
  }
  begun_anew_ = true;
  consumers_.BeginAnew();
  for (const auto& each : told) each();
}

void Ledger::WhenBegunAnew(std::function<void()> begun) {
  absl::MutexLock lock(&mutex_);
  when_begun_anew_.push_back(std::move(begun));
}

// Deletes what is old: a bounded part now, the rest after the next record.
void Ledger::Tidy() {
  const absl::Time now = clock_.WallTime();
  {
    absl::MutexLock lock(&mutex_);
    book_->CloseAbsent(now - kAbsence);
  }
  const auto forgotten =
      store_->Forget(options_.retention, now, consumers_.LeastAcknowledged());
  // After a failure it is tried again at the usual time.
  records_since_tidying_ =
      forgotten.ok() && forgotten->more ? kTidyEach - 1 : 0;
}

// --- Totals ------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<const Ledger::Totals>> Ledger::Take(
    absl::Duration max_staleness) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    {
      const absl::Duration now = clock_.BootTime();
      absl::MutexLock lock(&mutex_);
      if (published_ != nullptr && max_staleness > absl::ZeroDuration() &&
          now - published_->snapshot->boottime <= max_staleness) {
        return published_;
      }
      ++takers_;
    }
    // The ledger sees it on the counter lane, before it is handed out here.
    const auto taken = hub_->Take(absl::ZeroDuration());
    {
      absl::MutexLock lock(&mutex_);
      --takers_;
    }
    NFM_ASSIGN_OR_RETURN(const std::shared_ptr<const Snapshot> snapshot, taken);
    if (!snapshot->complete) continue;
    if (kept()) AwaitWritten().IgnoreError();
    absl::MutexLock lock(&mutex_);
    if (!kept()) published_ = read_;
    if (published_ != nullptr) return published_;
  }
  absl::MutexLock lock(&mutex_);
  if (published_ != nullptr) return published_;
  return MakeError(absl::StatusCode::kUnavailable, "SNAPSHOT_INCOMPLETE",
                   "another program deletes counters so fast that they could "
                   "not be read to the end");
}

void Ledger::SkipIds() {
  const int64_t now = absl::ToUnixMillis(clock_.WallTime());
  absl::MutexLock lock(&mutex_);
  book_->SkipIds(static_cast<uint64_t>(std::max<int64_t>(now, 0)));
}

std::optional<Book::Position> Ledger::Find(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  return book_->Find(name);
}

std::optional<Book::Known> Ledger::Describe(absl::string_view name,
                                            Amount value,
                                            absl::Duration since) {
  absl::MutexLock lock(&mutex_);
  return book_->Describe(name, value, since, clock_.BootTime());
}

std::vector<Amount> Ledger::DescribeTotals(const Snapshot& snapshot,
                                           const SnapshotChunk& chunk) {
  absl::MutexLock lock(&mutex_);
  return book_->DescribeTotals(snapshot, chunk, clock_.BootTime());
}

std::vector<std::string> Ledger::Names() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (Book::Past::Entry& entry : book_->All()) {
    names.push_back(std::move(entry.account.name));
  }
  return names;
}

absl::StatusOr<std::unique_ptr<LedgerReader>> Ledger::OpenReader() const {
  {
    absl::MutexLock lock(&mutex_);
    if (!status_.opened) {
      return MakeError(
          absl::StatusCode::kUnavailable, "LEDGER_FAILED",
          "usage of the past can't be read: the disk of the server's state "
          "directory has been full or read-only since the server started; mend "
          "that, and ask again. Counters and their totals go on meanwhile");
    }
  }
  return LedgerReader::Open(options_.path);
}

bool Ledger::awaits_new_file() const {
  return kept() && store_->awaits_new_file();
}

uint64_t Ledger::epoch() const {
  absl::MutexLock lock(&mutex_);
  return status_.epoch;
}

std::string Ledger::node_id() const {
  absl::MutexLock lock(&mutex_);
  return status_.node_id;
}

uint64_t Ledger::sequence() const {
  absl::MutexLock lock(&mutex_);
  return status_.sequence;
}

Ledger::Open Ledger::OpenBuckets() const {
  absl::MutexLock lock(&mutex_);
  return open_;
}

LedgerStatus Ledger::status() const {
  absl::MutexLock lock(&mutex_);
  LedgerStatus status = status_;
  status.foreign_resets = book_->foreign_resets();
  status.live_accounts = book_->live_count();
  status.absent_accounts = book_->absent_count();
  return status;
}

}  // namespace nfmeter::accounting
