// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger against a model of a few lines: random counting, resets,
// deletions, interference, restarts, kills, reboots and full disks.
//
// Each run prints its seed. To repeat one: NFMETER_MODEL_SEED=N. To look for
// long: NFMETER_MODEL_SECONDS=3600.
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "accounting/ledger/ledger.h"
#include "accounting/ledger/ledger_reader.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::FakeClock;

constexpr int kStepsEach = 300;
constexpr int kNames = 4;

uint64_t NumberOf(const char* variable, uint64_t absent) {
  const char* const text = getenv(variable);
  uint64_t number = absent;
  if (text != nullptr && !absl::SimpleAtoi(text, &number)) number = absent;
  return number;
}

// What a counter has counted since it was made through us, or first seen, and
// what of that the ledger can't know.
struct Life {
  uint64_t sent = 0;
  uint64_t lost = 0;
  // The object in the kernel, if there is one.
  std::optional<uint64_t> value;
  // What the ledger saw last, of an object that it takes for this one.
  uint64_t seen = 0;
  // Whether the ledger has heard of it at all.
  bool known = false;
  bool known_gone = false;
  // What others' resets and deletions took since.
  uint64_t dropped = 0;
  // It was noticed that something is lost, so there is a gap, which nobody has
  // checked.
  bool noticed = false;
};

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed) { Open(); }
  ~Model() { Close(); }

  void Run() {
    for (int i = 0; i < kStepsEach && !::testing::Test::HasFailure(); ++i) {
      Step();
    }
    MendDisk();
    Tick();  // which checks
  }
  const std::string& log() const { return log_; }

 private:
  // --- The ledger, used as the server does it ---

  void Open() {
    Ledger::Options options = {.path = path(), .host = host_};
    // Readings come when the model says so.
    options.interval = absl::Hours(100'000);
    options.vfs = faults_.name();
    auto ledger = Ledger::Create(std::move(options), clock_);
    ASSERT_OK(ledger);
    ledger_ = *std::move(ledger);
    observers_ = std::make_unique<CounterObservers>();
    lane_ = std::make_unique<Lane>("counters", 64);
    hub_ = SnapshotHub::Create({table_, *lane_, *observers_, clock_}, {});
    observers_->Add(*hub_);
    observers_->Add(*ledger_);
    ledger_->Start(hub_.get(), [](absl::string_view) { return Labels(); });
    ASSERT_OK(ledger_->Take(absl::ZeroDuration()));
    for (auto& [name, life] : lives_) See(life);
  }
  void Close() {
    if (ledger_ == nullptr) return;
    ledger_->Stop();
    hub_.reset();
    lane_.reset();
    ledger_.reset();
  }
  std::string path() const { return dir_ / "ledger.db"; }

  void OnLane(const std::function<void()>& work) {
    ASSERT_OK(lane_->Run(Lane::Priority::kNormal, [&] {
      work();
      return absl::OkStatus();
    }));
  }

  // --- What is done ---

  void Step() {
    const std::string name = absl::StrCat("c", Below(kNames));
    switch (Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Count(name);
      case 4:
      case 5:
        return Tick();
      case 6:
      case 7:
        return Reset(name);
      case 8:
        return Delete(name);
      case 9:
        return Create(name);
      case 10:
        return ResetByOthers(name);
      case 11:
        return DeleteByOthers(name);
      case 12:
        return Below(2) == 0 ? Restart() : Kill();
      case 13:
        return Below(3) == 0 ? Reboot() : Collect();
      case 14:
        return disk_fails_ ? MendDisk() : FailDisk();
      default:
        return clock_.JumpWallTime(absl::Seconds(Below(7200)) - absl::Hours(1));
    }
  }

  void Count(const std::string& name) {
    Life& life = lives_[name];
    if (!life.value.has_value()) return;
    const uint64_t packets = 1 + Below(50);
    Log("count", name, packets);
    ASSERT_OK(table_.Count(name, packets, 100 * packets));
    *life.value += packets;
    life.sent += packets;
  }

  void Tick() {
    Log("tick");
    clock_.Advance(absl::Seconds(10));
    ASSERT_OK(ledger_->Take(absl::ZeroDuration()));
    for (auto& [name, life] : lives_) See(life);
    if (!disk_fails_) Check();
  }

  void Create(const std::string& name) {
    Life& life = lives_[name];
    if (life.value.has_value()) return;
    const bool by_us = Below(2) == 0;
    Log(by_us ? "create" : "created by others", name);
    const kernel::AcctObject object = {.name = name};
    OnLane([&] {
      ASSERT_OK(table_.Create({object})[0]);
      if (by_us) observers_->OnCreated({object});
    });
    if (by_us) {
      ASSERT_OK(observers_->Commit());
      See(life);  // that the one before is gone
    }
    life.value = 0;
    if (by_us) See(life);
  }

  void Reset(const std::string& name) {
    Life& life = lives_[name];
    if (!life.value.has_value()) return;
    Log("reset", name);
    const auto before = table_.Get(name);
    ASSERT_OK(before);
    ASSERT_OK(observers_->BeforeReset({*before}));
    OnLane([&] {
      const auto objects = table_.GetAndReset({name});
      ASSERT_OK(objects[0]);
      observers_->OnReset({*objects[0]});
    });
    ASSERT_OK(observers_->Commit());
    See(life);
    life.value = 0;
    life.seen = 0;
  }

  void Delete(const std::string& name) {
    Life& life = lives_[name];
    if (!life.value.has_value() || !ledger_->Find(name).has_value()) return;
    Log("delete", name);
    const uint64_t id = ledger_->Find(name)->account.id;
    const auto before = table_.Get(name);
    ASSERT_OK(before);
    ASSERT_OK(observers_->BeforeDeletion({*before}));
    OnLane([&] {
      ASSERT_OK(table_.Delete({name})[0]);
      observers_->OnDeleted({*before});
    });
    ASSERT_OK(observers_->Commit());
    See(life);
    closed_[id] = life.sent - life.lost;
    if (disk_fails_) deleted_in_memory_[name] += life.sent;
    lives_.erase(name);
  }

  void ResetByOthers(const std::string& name) {
    Life& life = lives_[name];
    if (!life.value.has_value()) return;
    Log("reset by others", name);
    ASSERT_OK(table_.GetAndReset({name})[0]);
    life.dropped += std::exchange(*life.value, 0);
  }

  void DeleteByOthers(const std::string& name) {
    Life& life = lives_[name];
    if (!life.value.has_value()) return;
    Log("delete by others", name);
    ASSERT_OK(table_.Delete({name})[0]);
    life.dropped += *std::exchange(life.value, std::nullopt);
    if (!life.known) lives_.erase(name);  // it came and went between readings
  }

  void Restart() {
    MendDisk();
    Log("restart");
    Close();
    clock_.Advance(absl::Seconds(Below(120)));
    Open();
  }

  // The files as they are now are what the next process finds.
  void Kill() {
    if (disk_fails_) return KillWhileTheDiskFails();
    Log("kill");
    // Nothing is under way.
    ASSERT_OK(ledger_->CommitConsumers());
    KillNow();
    Open();
  }
  void KillNow() {
    const std::string copy = dir_ / "copy";
    namespace fs = std::filesystem;
    for (const char* suffix : {"", "-wal"}) {
      fs::copy_file(path() + suffix, copy + suffix,
                    fs::copy_options::overwrite_existing);
    }
    Close();
    fs::remove(path() + "-shm");
    for (const char* suffix : {"", "-wal"}) {
      fs::copy_file(copy + suffix, path() + suffix,
                    fs::copy_options::overwrite_existing);
    }
  }
  // What resets read since the disk failed is gone with the memory. It is no
  // more than that, and nothing is counted twice.
  void KillWhileTheDiskFails() {
    Log("kill while the disk fails");
    KillNow();
    faults_.Mend();
    disk_fails_ = false;
    Open();
    clock_.Advance(absl::Seconds(10));
    ASSERT_OK(ledger_->Take(absl::ZeroDuration()));
    std::map<uint64_t, uint64_t> totals;
    ASSERT_NO_FATAL_FAILURE(ReadTotals(totals));
    // Deletions that it has forgotten are others' now: the account goes on.
    for (const auto& [name, sent] : std::exchange(deleted_in_memory_, {})) {
      lives_[name].sent += sent;
    }
    closed_.clear();
    for (auto& [name, life] : lives_) {
      const auto found = ledger_->Find(name);
      life.known = found.has_value();
      if (!life.known) {
        ASSERT_FALSE(life.value.has_value()) << name;
        life = Life();
        continue;
      }
      const uint64_t total = totals[found->account.id];
      ASSERT_LE(total, life.sent) << name;
      life.lost = life.sent - total;
      life.dropped = 0;
      life.noticed = false;
      life.known_gone = !life.value.has_value();
      life.seen = life.value.value_or(0);
    }
  }

  void Reboot() {
    MendDisk();
    Log("reboot");
    if (Below(2) == 0) {
      ASSERT_OK(ledger_->CommitConsumers());
      KillNow();
    } else {
      Close();
    }
    for (auto& [name, life] : lives_) {
      if (life.value.has_value()) {
        ASSERT_OK(table_.Delete({name})[0]);
        life.dropped += *life.value;
      }
      life.value.reset();
    }
    std::erase_if(lives_, [](const auto& each) { return !each.second.known; });
    for (auto& [name, life] : lives_) See(life);
    host_.boot_id = absl::StrCat("boot-", ++boots_);
    clock_.Advance(absl::Seconds(30));
    Open();
  }

  void FailDisk() {
    Log("the disk is full");
    ASSERT_OK(ledger_->CommitConsumers());
    faults_.FailWrites(testing::SqliteFaults::kFull);
    disk_fails_ = true;
  }
  void MendDisk() {
    if (!disk_fails_) return;
    Log("the disk has room");
    faults_.Mend();
    disk_fails_ = false;
    Tick();
    deleted_in_memory_.clear();
  }

  // --- What must hold ---

  // The ledger looks at the counter.
  static void See(Life& life) {
    life.known = life.known || life.value.has_value();
    const bool goes_on =
        life.value.has_value() && !life.known_gone && *life.value >= life.seen;
    // Of what others took it knows what it saw last; unless the value has
    // overtaken that since, which nobody can tell from counting.
    if (life.dropped > 0) {
      life.lost += goes_on ? life.dropped : life.dropped - life.seen;
      life.noticed = life.noticed || (!goes_on && !life.known_gone);
    }
    life.dropped = 0;
    life.known_gone = !life.value.has_value();
    life.seen = life.value.value_or(0);
  }

  void ReadTotals(std::map<uint64_t, uint64_t>& totals) {
    auto reader = LedgerReader::Open(path());
    ASSERT_OK(reader);
    const auto read = (*reader)->TotalsAfter(*(*reader)->NewestSequence());
    ASSERT_OK(read);
    ASSERT_TRUE(read->has_value());
    for (const auto& [id, amount] : **read) {
      EXPECT_EQ(amount.bytes, 100 * amount.packets);
      totals[id] = amount.packets;
    }
  }

  void Check() {
    std::map<uint64_t, uint64_t> totals;
    ASSERT_NO_FATAL_FAILURE(ReadTotals(totals));
    for (const auto& [id, total] : published_) {
      ASSERT_GE(totals[id], total) << "the total of " << id << " fell";
    }
    published_ = totals;
    for (const auto& [id, total] : closed_) ASSERT_EQ(totals[id], total) << id;
    std::set<uint64_t> with_gaps;
    ASSERT_NO_FATAL_FAILURE(ReadNewGaps(with_gaps));
    for (auto& [name, life] : lives_) {
      const auto found = ledger_->Find(name);
      if (!found.has_value()) {
        ASSERT_FALSE(life.known) << name;
        continue;
      }
      const uint64_t id = found->account.id;
      ASSERT_EQ(totals[id], life.sent - life.lost)
          << name << ", account " << id << ": " << life.sent << " sent, "
          << life.lost << " lost";
      if (std::exchange(life.noticed, false)) {
        ASSERT_TRUE(with_gaps.contains(id) || with_gaps.contains(0)) << name;
      }
    }
    Collect();
    const auto is_zero = [](const auto& total) { return total.second == 0; };
    std::erase_if(totals, is_zero);
    std::map<uint64_t, uint64_t> collected = collected_;
    std::erase_if(collected, is_zero);
    ASSERT_EQ(collected, totals);
  }

  // Accounts that had any since the last check; 0: all.
  void ReadNewGaps(std::set<uint64_t>& accounts) {
    auto reader = LedgerReader::Open(path());
    ASSERT_OK(reader);
    const auto gaps = (*reader)->Gaps(
        absl::UnixEpoch(), absl::FromUnixSeconds(4'000'000'000), gap_, 100'000);
    ASSERT_OK(gaps);
    for (const auto& [number, gap] : *gaps) {
      accounts.insert(gap.account);
      gap_ = number;
    }
  }

  // What a consumer has that goes from record to record.
  void Collect() {
    auto reader = LedgerReader::Open(path());
    ASSERT_OK(reader);
    while (true) {
      const auto step = (*reader)->Next(position_);
      ASSERT_OK(step);
      if (!step->has_value()) return;
      ASSERT_EQ((*step)->sequence, position_ + 1);
      position_ = (*step)->sequence;
      for (const Record::Row& row : (*step)->record.rows) {
        collected_[row.account] += row.delta.packets;
      }
    }
  }

  uint64_t Below(uint64_t bound) { return random_() % bound; }
  void Log(absl::string_view what, absl::string_view name = "",
           uint64_t number = 0) {
    absl::StrAppend(&log_, what, " ", name, " ");
    if (number > 0) absl::StrAppend(&log_, number);
    absl::StrAppend(&log_, "\n");
  }

  std::mt19937_64 random_;
  std::string log_;
  testing::TemporaryDirectory dir_;
  testing::SqliteFaults faults_;
  HostIdentity host_ = {"machine", "boot", 1};
  FakeClock clock_;
  kernel::FakeAcctTable table_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<CounterObservers> observers_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<SnapshotHub> hub_;

  std::map<std::string, Life> lives_;
  std::map<uint64_t, uint64_t> closed_;  // totals of deleted counters
  // What counters had counted that were deleted while the disk failed.
  std::map<std::string, uint64_t> deleted_in_memory_;
  std::map<uint64_t, uint64_t> published_;  // totals, by account
  std::map<uint64_t, uint64_t> collected_;
  uint64_t position_ = 0;
  uint64_t gap_ = 0;  // the newest that was checked
  bool disk_fails_ = false;
  int boots_ = 0;
};

TEST(LedgerModelTest, RandomOperationsAndFaultsAgreeWithTheModel) {
  uint64_t seed = NumberOf("NFMETER_MODEL_SEED", std::random_device()());
  const absl::Time end =
      absl::Now() + absl::Seconds(NumberOf("NFMETER_MODEL_SECONDS", 3));
  int runs = 0;
  do {
    SCOPED_TRACE(absl::StrCat("NFMETER_MODEL_SEED=", seed));
    Model model(seed);
    model.Run();
    ++runs;
    if (HasFailure()) {
      printf("NFMETER_MODEL_SEED=%lu\n%s", seed, model.log().c_str());
      return;
    }
    ++seed;
  } while (absl::Now() < end && getenv("NFMETER_MODEL_SEED") == nullptr);
  printf("%d runs of %d steps, the last with NFMETER_MODEL_SEED=%lu\n", runs,
         kStepsEach, seed - 1);
}

}  // namespace
}  // namespace nfmeter::accounting
