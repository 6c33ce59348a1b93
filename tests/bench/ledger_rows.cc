// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger: writing it, the disk that it takes, and reading it again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "accounting/ledger/ledger.h"
#include "accounting/ledger/ledger_reader.h"
#include "accounting/ledger/ledger_store.h"
#include "accounting/ledger/schema.h"
#include "base/status_macros.h"
#include "nfmeter/client.h"
#include "tests/bench/daemon.h"
#include "tests/bench/names.h"
#include "tests/bench/row.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/accounting/ledger_snapshots.h"

namespace nfmeter::bench {
namespace {

using accounting::Amount;
using accounting::Ledger;
using accounting::LedgerReader;
using accounting::LedgerStore;

constexpr absl::Duration kTick = absl::Seconds(10);

// A ledger that is fed snapshots, without a kernel.
class FedLedger {
 public:
  static absl::StatusOr<std::unique_ptr<FedLedger>> Open(
      const std::string& path, size_t counters) {
    auto fed = std::unique_ptr<FedLedger>(new FedLedger(counters));
    NFM_ASSIGN_OR_RETURN(fed->ledger_,
                         Ledger::Create({.path = path}, fed->clock_));
    fed->ledger_->Start(nullptr,
                        [](absl::string_view) { return accounting::Labels(); });
    NFM_RETURN_IF_ERROR(fed->Tick(counters));
    return fed;
  }

  // One record in which `changed` counters, others each time, counted. Durable
  // when this returns.
  absl::Status Tick(size_t changed) {
    clock_.Advance(kTick);
    for (size_t i = 0; i < changed; ++i) {
      Amount& amount = *amounts_[next_++ % amounts_.size()];
      const uint64_t packets = 400 + next_ % 512;
      amount += Amount{packets, packets * 700};
    }
    const uint64_t before = ledger_->sequence();
    ledger_->OnSnapshot(
        maker_.Make(values_, {clock_.WallTime(), clock_.BootTime()}));
    NFM_RETURN_IF_ERROR(ledger_->Commit());
    if (ledger_->sequence() == before) {
      return absl::InternalError("a tick made no record");
    }
    return absl::OkStatus();
  }

  const Ledger& ledger() const { return *ledger_; }

 private:
  explicit FedLedger(size_t counters) {
    for (const std::string& name : Names(counters)) {
      amounts_.push_back(&values_[name]);
    }
  }

  testing::FakeClock clock_;
  accounting::SnapshotMaker maker_;
  accounting::Values values_;
  std::vector<Amount*> amounts_;
  size_t next_ = 0;
  std::unique_ptr<Ledger> ledger_;
};

// --- ledger-tick-10k

class CommitMaker {
 public:
  explicit CommitMaker(size_t counters) : counters_(counters) {}

  // The record of one tick; each call another one.
  accounting::LedgerCommit Make() {
    ++ticks_;
    changes_ = accounting::BookChanges();
    accounting::LedgerCommit commit;
    commit.time = absl::FromUnixSeconds(1'800'000'000) + ticks_ * kTick;
    commit.boottime = ticks_ * kTick;
    commit.record.since_reading = kTick;
    for (uint64_t account = 1; account <= counters_; ++account) {
      const uint64_t packets = 400 + (account * 31 + ticks_) % 512;
      const Amount delta = {packets, packets * 700};
      commit.record.rows.push_back({account, delta});
    }
    commit.next_account = counters_ + 1;
    changes_.reading = {commit.time, commit.boottime};
    commit.changes = &changes_;
    return commit;
  }

 private:
  const size_t counters_;
  int64_t ticks_ = 0;
  accounting::BookChanges changes_;
};

absl::Status AppendAndSync(int file, const std::string& bytes) {
  if (write(file, bytes.data(), bytes.size()) !=
          static_cast<ssize_t>(bytes.size()) ||
      fdatasync(file) != 0) {
    return absl::ErrnoToStatus(errno, "append");
  }
  return absl::OkStatus();
}

absl::StatusOr<Measurement> TickAgainstAppend(const Scale& scale) {
  const testing::TemporaryDirectory directory;
  NFM_ASSIGN_OR_RETURN(
      auto store,
      LedgerStore::Open(accounting::LedgerFile(directory / "ledger.db"),
                        accounting::HostIdentity()));
  CommitMaker maker(scale.Of(10'000, 100));
  const int file = open((directory / "log").c_str(),
                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return absl::ErrnoToStatus(errno, "open");
  std::vector<double> ours;
  std::vector<double> theirs;
  // The first pair only warms up.
  for (int i = -1; i < (scale.small ? 1 : 101); ++i) {
    const accounting::LedgerCommit commit = maker.Make();
    const std::string bytes = Encode(commit.record);
    absl::Time start = absl::Now();
    NFM_RETURN_IF_ERROR(store->Append(commit, {}).status());
    const double our_time = absl::ToDoubleMilliseconds(absl::Now() - start);
    start = absl::Now();
    NFM_RETURN_IF_ERROR(AppendAndSync(file, bytes));
    const double their_time = absl::ToDoubleMilliseconds(absl::Now() - start);
    if (i < 0) continue;
    ours.push_back(our_time);
    theirs.push_back(their_time);
  }
  close(file);
  return Paired(ours, theirs, "ms");
}

// --- ledger-disk

// What this process has written to files so far.
absl::StatusOr<uint64_t> BytesWritten() {
  std::ifstream io("/proc/self/io");
  std::string key;
  uint64_t value = 0;
  while (io >> key >> value) {
    if (key == "wchar:") return value;
  }
  return absl::UnavailableError("/proc/self/io has no wchar");
}

absl::StatusOr<Measurement> DiskOfATick(const Scale& scale) {
  const size_t counters = scale.Of(100'000, 1'000);
  const testing::TemporaryDirectory directory;
  NFM_ASSIGN_OR_RETURN(auto fed,
                       FedLedger::Open(directory / "ledger.db", counters));
  // An hour: with checkpoints, buckets and SQLite's own.
  const int ticks = scale.small ? 5 : 360;
  NFM_ASSIGN_OR_RETURN(const uint64_t before, BytesWritten());
  for (int i = 0; i < ticks; ++i) {
    NFM_RETURN_IF_ERROR(fed->Tick(counters / 100));
  }
  NFM_ASSIGN_OR_RETURN(const uint64_t after, BytesWritten());
  const double each = static_cast<double>(after - before) / ticks / 1024;
  return Measurement{each, 0, each, "KiB a tick"};
}

// --- ledger-read

// The same rows in a table of their own, one each, as they are without a codec.
absl::StatusOr<std::unique_ptr<sqlite::Database>> PlainRows(
    const std::string& ledger, const std::string& path) {
  NFM_ASSIGN_OR_RETURN(
      auto plain,
      sqlite::Database::Open(
          {.path = path,
           .noun = "the plain rows",
           .unusable_reason = "BENCH",
           .failed_reason = "BENCH",
           .application_id = 1,
           .migrations = {"CREATE TABLE rows (sequence INTEGER, account "
                          "INTEGER, packets INTEGER, bytes INTEGER, "
                          "PRIMARY KEY (sequence, account)) WITHOUT ROWID"},
           .durability = sqlite::Durability::kNormal}));
  NFM_ASSIGN_OR_RETURN(auto reader, LedgerReader::Open(ledger));
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*plain));
  {
    NFM_ASSIGN_OR_RETURN(auto insert, plain->Prepare("INSERT INTO rows VALUES "
                                                     "(?1, ?2, ?3, ?4)"));
    uint64_t sequence = 1;
    while (true) {
      NFM_ASSIGN_OR_RETURN(const auto step, reader->Next(sequence));
      if (!step.has_value()) break;
      sequence = step->sequence;
      for (const auto& row : step->record.rows) {
        NFM_RETURN_IF_ERROR(insert.Run(sequence, row.account, row.delta.packets,
                                       row.delta.bytes));
      }
    }
  }
  NFM_RETURN_IF_ERROR(transaction.Commit());
  return plain;
}

absl::StatusOr<double> ReadPlainRows(sqlite::Database& plain,
                                     uint64_t expected) {
  const absl::Time start = absl::Now();
  NFM_ASSIGN_OR_RETURN(auto rows,
                       plain.Prepare("SELECT sequence, account, packets, bytes "
                                     "FROM rows ORDER BY sequence, account"));
  uint64_t count = 0;
  std::map<uint64_t, Amount> totals;
  while (true) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) break;
    totals[rows.Uint64(1)] += Amount{rows.Uint64(2), rows.Uint64(3)};
    ++count;
  }
  if (count != expected) {
    return absl::InternalError(absl::StrCat("the table has ", count, " rows"));
  }
  return absl::ToDoubleMilliseconds(absl::Now() - start);
}

absl::StatusOr<double> Replay(Client& client, const v1::UsagePosition& after,
                              uint64_t records, uint64_t expected) {
  v1::CollectUsageStart start;
  start.set_consumer("bench");
  *start.mutable_resume_after() = after;
  const absl::Time begin = absl::Now();
  const auto collector = client.CollectUsage(start);
  uint64_t rows = 0;
  for (uint64_t i = 0; i < records; ++i) {
    const auto collected = collector->Next();
    if (!collected.ok()) return collected.status();
    rows += static_cast<uint64_t>(collected->record.counter_ids_size());
    collector->Acknowledge(collected->record.position());
  }
  const absl::Duration taken = absl::Now() - begin;
  if (rows != expected) {
    return absl::InternalError(absl::StrCat(rows, " rows came"));
  }
  return absl::ToDoubleMilliseconds(taken);
}

absl::StatusOr<Measurement> ReadAgainstSqlite(const Scale& scale) {
  const uint64_t records = scale.Of(10'000, 50);
  const size_t changed = scale.Of(1'000, 100);
  // In memory: neither waits for a disk.
  char folder[] = "/dev/shm/nfmeter-bench-XXXXXX";
  if (mkdtemp(folder) == nullptr) return absl::ErrnoToStatus(errno, "mkdtemp");
  const std::string state = absl::StrCat(folder, "/state");
  if (mkdir(state.c_str(), 0700) != 0) {
    return absl::ErrnoToStatus(errno, "mkdir");
  }
  const std::string ledger = state + "/ledger.db";
  v1::UsagePosition first;
  {
    NFM_ASSIGN_OR_RETURN(auto fed, FedLedger::Open(ledger, changed));
    first.set_epoch(fed->ledger().epoch());
    first.set_sequence(fed->ledger().sequence());
    for (uint64_t i = 0; i < records; ++i) {
      NFM_RETURN_IF_ERROR(fed->Tick(changed));
    }
  }
  NFM_ASSIGN_OR_RETURN(const auto plain,
                       PlainRows(ledger, absl::StrCat(folder, "/plain.db")));
  NFM_ASSIGN_OR_RETURN(auto daemon, Daemon::Start({"--state-dir", state}));
  NFM_ASSIGN_OR_RETURN(const auto client,
                       Client::Connect({.address = daemon->address()}));
  std::vector<double> ours;
  std::vector<double> theirs;
  const uint64_t rows = records * changed;
  for (int i = 0; i < scale.repetitions(); ++i) {
    NFM_ASSIGN_OR_RETURN(const double our_time,
                         Replay(*client, first, records, rows));
    NFM_ASSIGN_OR_RETURN(const double their_time, ReadPlainRows(*plain, rows));
    ours.push_back(our_time);
    theirs.push_back(their_time);
  }
  testing::Run({"rm", "-rf", folder});
  return Paired(ours, theirs, "ms");
}

}  // namespace

std::vector<Row> LedgerRows() {
  return {
      {"ledger-tick-10k", "one durable usage record, 10,000 counters changed",
       "append of as many bytes and fdatasync", 2, false, TickAgainstAppend},
      {"ledger-disk",
       "bytes written to disk a tick, 1 % of 100,000 counters changed", "", 64,
       false, DiskOfATick},
      {"ledger-read",
       "UsageService replay of 10,000 records of 1,000 changed counters, "
       "received and decoded",
       "SQLite read of the same rows, one each", 1.5, false, ReadAgainstSqlite},
  };
}

}  // namespace nfmeter::bench
