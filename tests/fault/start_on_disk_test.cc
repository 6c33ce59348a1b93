// SPDX-License-Identifier: GPL-3.0-or-later
// Starts while the disk of the state directory takes nothing: the totals that
// it has go on in memory, all is told, and when the disk takes something again,
// the ledger goes on as if nothing had been.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "accounting/ledger/schema.h"
#include "base/sqlite.h"
#include "gmock/gmock.h"
#include "tests/fault/small_disk.h"
#include "tests/fault/usage_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::SmallDisk;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::UsageFaultTest;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Overwrites the page where records begin.
void SpoilRecords(const std::string& path) {
  constexpr int64_t kPage = 4096;
  int64_t page = 0;
  {
    const auto db = sqlite::Database::Open(accounting::LedgerFile(path));
    ASSERT_OK(db.status());
    const auto root = (*db)->QueryNumber(
        "SELECT rootpage FROM sqlite_master WHERE name = 'records'");
    ASSERT_OK(root.status());
    page = *root;
  }
  std::fstream file(path, std::ios::in | std::ios::out);
  file.seekp((page - 1) * kPage);
  file << std::string(kPage, '\x55');
}

v1::CreateCounterRequest Labelled(const std::string& name,
                                  const std::string& request_id) {
  v1::CreateCounterRequest request;
  request.mutable_counter()->set_name(name);
  (*request.mutable_counter()->mutable_labels())["tenant"] = "acme";
  request.set_request_id(request_id);
  return request;
}

struct Fault {
  bool full = false;    // else read-only
  bool killed = false;  // the server before; else it was stopped
};

class StartOnDiskTest : public UsageFaultTest,
                        public ::testing::WithParamInterface<Fault> {
 protected:
  StartOnDiskTest() : StartOnDiskTest(new SmallDisk) {}
  explicit StartOnDiskTest(SmallDisk* disk)
      : UsageFaultTest(disk->state_dir()), disk_(disk) {}
  ~StartOnDiskTest() override { server_.process().Stop(); }

  void SetUp() override {
    ASSERT_OK(disk_->status());
    UsageFaultTest::SetUp();
    ASSERT_NO_FATAL_FAILURE(Send(10));
    EXPECT_EQ(TotalAfterTick(), 10u);
    node_id_ = NodeId();
  }

  std::string NodeId() {
    return server_.Connect()->GetNode()->ledger().node_id();
  }
  std::string File() const { return disk_->state_dir() + "/ledger.db"; }

  // No server may run.
  void Spoil() {
    if (GetParam().full) return disk_->Fill();
    ASSERT_OK(disk_->MakeReadOnly());
  }
  void Mend() {
    if (GetParam().full) return disk_->MakeRoom();
    ASSERT_OK(disk_->MakeWritable());
  }

  void End() {
    ASSERT_EQ(kill(server_.pid(), GetParam().killed ? SIGKILL : SIGTERM), 0);
    server_.AwaitEnd();
  }

  void ExpectTotal() {
    const auto counter = server_.Connect()->GetCounter("counted");
    ASSERT_OK(counter.status());
    EXPECT_EQ(counter->total_packets(), sent_);
  }

  // What a server says as long as the disk takes nothing.
  void ExpectTold(const std::string& words) {
    const auto client = server_.Connect();
    EXPECT_THAT(server_.process().Log(), HasSubstr("ledger not written"));
    const auto node = client->GetNode();
    ASSERT_OK(node.status());
    EXPECT_TRUE(node->ledger().durable());
    EXPECT_THAT(node->ledger().problem(), HasSubstr(words));
    EXPECT_THAT(node->notices(),
                Contains(AllOf(HasSubstr("accounting goes on in memory"),
                               HasSubstr(words))));
    EXPECT_THAT(client->CheckHealth("nfmeter.v1.UsageService"),
                testing::IsOkAndHolds(Health::kNotServing));
    EXPECT_THAT(client->CheckHealth("nfmeter.v1.CounterService"),
                testing::IsOkAndHolds(Health::kServing));
    EXPECT_THAT(client->CreateCounter(Labelled("refused", "refused")).status(),
                StatusIs(absl::StatusCode::kUnavailable,
                         AllOf(HasSubstr("labels can't be stored"),
                               HasSubstr("state directory"))));
  }
  std::string Words() const {
    return GetParam().full ? "the disk is full" : "is read-only";
  }

  // What was counted, reset and sent meanwhile is in totals.
  void ExpectAccountingGoesOn() {
    ASSERT_NO_FATAL_FAILURE(Send(7));
    ExpectTotal();
    ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
    ASSERT_NO_FATAL_FAILURE(Send(5));
    ExpectTotal();
  }

  // Nobody does anything for it.
  void AwaitRecovery() {
    const auto client = server_.Connect();
    const auto serves = [&] {
      return client->CheckHealth("nfmeter.v1.UsageService")
                 .value_or(Health::kNotServing) == Health::kServing;
    };
    EXPECT_TRUE(testing::Eventually(serves));
    EXPECT_EQ(client->GetNode()->ledger().problem(), "");
    EXPECT_OK(
        client->CreateCounter(Labelled("labelled-later", "later")).status());
  }

  const std::unique_ptr<SmallDisk> disk_;
  std::string node_id_;
};

TEST_P(StartOnDiskTest, GoesOnFromWhatWasStored) {
  ASSERT_OK(server_.Connect()
                ->CreateCounter(Labelled("labelled-kept", "once"))
                .status());
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(Send(3));
  ASSERT_NO_FATAL_FAILURE(Spoil());
  // It can be looked at, and saved, as it is.
  const auto tool = [&](const std::vector<std::string>& arguments) {
    std::vector<std::string> argv = {testing::NfmeterdPath(), "--state-dir",
                                     disk_->state_dir()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return testing::Run(argv);
  };
  const testing::RunResult checked = tool({"--check-state"});
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
  const testing::RunResult saved = tool({"--backup", dir_ / "saved.db"});
  EXPECT_EQ(saved.exit_code, 0) << saved.err;
  ASSERT_OK(server_.Start()) << server_.process().Log();
  EXPECT_EQ(NodeId(), node_id_);
  ExpectTold(Words());
  ExpectTotal();
  ExpectAccountingGoesOn();
  {
    const auto client = server_.Connect();
    const auto kept = client->GetCounter("labelled-kept");
    ASSERT_OK(kept.status());
    EXPECT_EQ(kept->labels().at("tenant"), "acme");
    // Answers of before are known.
    EXPECT_OK(
        client->CreateCounter(Labelled("labelled-kept", "once")).status());
    EXPECT_THAT(
        client->CreateCounter(Labelled("labelled-kept", "again")).status(),
        StatusIs(absl::StatusCode::kAlreadyExists));
  }
  ASSERT_NO_FATAL_FAILURE(Mend());
  AwaitRecovery();
  EXPECT_EQ(NodeId(), node_id_);
  EXPECT_EQ(TotalAfterTick(), sent_);
  EXPECT_THAT(GapCauses(), IsEmpty());
  ASSERT_OK(server_.Start());  // kills the one before
  EXPECT_EQ(NodeId(), node_id_);
  EXPECT_EQ(TotalAfterTick(), sent_);
  EXPECT_EQ(server_.Connect()->GetCounter("labelled-later")->labels_size(), 1);
}

// How the server before ended is of no matter here.
class BeginOnDiskTest : public StartOnDiskTest {};

TEST_P(BeginOnDiskTest, BeginsInMemoryWhereNothingIsStored) {
  ASSERT_NO_FATAL_FAILURE(End());
  std::filesystem::rename(disk_->state_dir(), disk_->path() + "/old");
  std::filesystem::create_directory(disk_->state_dir());
  ASSERT_NO_FATAL_FAILURE(Spoil());
  ASSERT_OK(server_.Start()) << server_.process().Log();
  ExpectTold(Words());
  ExpectAccountingGoesOn();
  const v1::Ledger ledger = server_.Connect()->GetNode()->ledger();
  EXPECT_THAT(ledger.node_id(), ::testing::Not(IsEmpty()));
  ASSERT_NO_FATAL_FAILURE(Mend());
  AwaitRecovery();
  ASSERT_OK(server_.Start());
  const v1::Ledger after = server_.Connect()->GetNode()->ledger();
  EXPECT_EQ(after.node_id(), ledger.node_id());
  EXPECT_EQ(after.epoch(), ledger.epoch());
  EXPECT_EQ(TotalAfterTick(), sent_);
}

TEST_P(BeginOnDiskTest, ADamagedLedgerIsReplacedWhenTheDiskTakesAnother) {
  ASSERT_NO_FATAL_FAILURE(End());
  ASSERT_NO_FATAL_FAILURE(SpoilRecords(File()));
  ASSERT_NO_FATAL_FAILURE(Spoil());
  ASSERT_OK(server_.Start()) << server_.process().Log();
  // Whose the damaged one is can be read in it.
  EXPECT_EQ(NodeId(), node_id_);
  ExpectTold("disk");
  ExpectAccountingGoesOn();
  ASSERT_NO_FATAL_FAILURE(Mend());
  AwaitRecovery();
  EXPECT_THAT(server_.Connect()->GetNode()->notices(),
              Contains(HasSubstr("damaged and has begun anew")));
  EXPECT_EQ(TotalAfterTick(), sent_);
  EXPECT_THAT(GapCauses(), ElementsAre(v1::USAGE_GAP_CAUSE_STORE_LOST));
  ASSERT_OK(server_.Start());
  EXPECT_EQ(NodeId(), node_id_);
  EXPECT_EQ(TotalAfterTick(), sent_);
  EXPECT_EQ(server_.Connect()->GetCounter("labelled-later")->labels_size(), 1);
}

std::string NameOfFault(const ::testing::TestParamInfo<Fault>& param) {
  return absl::StrCat(param.param.full ? "Full" : "ReadOnly",
                      param.param.killed ? "AfterAKill" : "AfterAStop");
}

INSTANTIATE_TEST_SUITE_P(Disks, StartOnDiskTest,
                         ::testing::Values(Fault{true, true},
                                           Fault{true, false},
                                           Fault{false, true},
                                           Fault{false, false}),
                         NameOfFault);
INSTANTIATE_TEST_SUITE_P(Disks, BeginOnDiskTest,
                         ::testing::Values(Fault{true, true},
                                           Fault{false, false}),
                         NameOfFault);

}  // namespace
}  // namespace nfmeter
