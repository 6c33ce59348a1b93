// SPDX-License-Identifier: GPL-3.0-or-later
// The disk of the state directory: full, read-only, failing.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/ledger/schema.h"
#include "base/sqlite.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/injection.h"
#include "tests/fault/small_disk.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::SmallDisk;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// `count` counters with as many labels as they may have.
v1::BatchCreateCountersRequest Labelled(const std::string& prefix, int count) {
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < count; ++i) {
    v1::Counter* counter = request.add_counters();
    counter->set_name(absl::StrCat(prefix, i));
    for (int label = 0; label < 16; ++label) {
      (*counter->mutable_labels())[absl::StrCat("key", label)] =
          std::string(200, 'x');
    }
  }
  return request;
}

// What needs no disk.
void ExpectAccountingGoesOn(Client& client, const std::string& name) {
  EXPECT_OK(client.CreateCounter(name).status());
  EXPECT_OK(client.ResetCounter(name).status());
  const auto snapshot = client.GetSnapshot();
  EXPECT_OK(snapshot.status());
  EXPECT_TRUE(snapshot.ok() && snapshot->complete);
  EXPECT_OK(client.DeleteCounter(name).status());
}

void ExpectLabelsFail(Client& client) {
  const absl::Status status =
      client.BatchCreateCounters(Labelled("refused-", 40)).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                               AllOf(HasSubstr("labels can't be stored"),
                                     HasSubstr("nothing was changed"),
                                     HasSubstr("room in the server's state"))));
  EXPECT_EQ(ErrorReason(status), "LABEL_STORE_FAILED");
  EXPECT_THAT(client.ListCounters("refused-*"),
              testing::IsOkAndHolds(::testing::IsEmpty()));
}

TEST(StateDiskTest, OnAFullDiskLabelsAreRefusedAndAccountingGoesOn) {
  SmallDisk disk;
  ASSERT_OK(disk.status());
  FaultServer server({.state_dir = disk.state_dir()});
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->BatchCreateCounters(Labelled("kept-", 2)).status());
  disk.Fill();
  for (int i = 0; i < 3; ++i) {
    ExpectLabelsFail(*client);
    ExpectAccountingGoesOn(*client, "plain");
  }
  disk.MakeRoom();
  EXPECT_OK(client->BatchCreateCounters(Labelled("later-", 2)).status());
  // What was said to be stored is, also after a kill.
  ASSERT_OK(server.Start());
  const auto next = server.Connect();
  for (const char* name : {"kept-0", "kept-1", "later-0", "later-1"}) {
    const auto counter = next->GetCounter(name);
    ASSERT_OK(counter.status());
    EXPECT_EQ(counter->labels_size(), 16) << name;
  }
}

TEST(StateDiskTest, AFullDiskIsToldUntilThereIsRoomAndNothingIsLost) {
  SmallDisk disk;
  ASSERT_OK(disk.status());
  FaultServer server({.state_dir = disk.state_dir()});
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  v1::CreateCounterRequest counter;
  counter.mutable_counter()->set_name("web");
  counter.mutable_counter()->set_packets(5);
  ASSERT_OK(client->CreateCounter(counter).status());
  v1::Ledger ledger = client->GetNode()->ledger();
  EXPECT_TRUE(ledger.durable());
  EXPECT_TRUE(ledger.keeps_answers());
  EXPECT_EQ(ledger.problem(), "");
  const std::string node_id = ledger.node_id();
  EXPECT_THAT(client->CheckHealth("nfmeter.v1.UsageService"),
              testing::IsOkAndHolds(Health::kServing));

  disk.Fill();
  ASSERT_OK(client->ResetCounter("web").status());
  const auto node = client->GetNode();
  ASSERT_OK(node.status());
  EXPECT_THAT(node->ledger().problem(), HasSubstr("the disk is full"));
  EXPECT_TRUE(node->ledger().has_problem_time());
  EXPECT_THAT(node->notices(),
              ::testing::Contains(HasSubstr("accounting goes on in memory")));
  EXPECT_THAT(client->CheckHealth("nfmeter.v1.UsageService"),
              testing::IsOkAndHolds(Health::kNotServing));
  EXPECT_THAT(client->CheckHealth("nfmeter.v1.CounterService"),
              testing::IsOkAndHolds(Health::kServing));

  disk.MakeRoom();
  // Whoever waits for the disk has it tried at once.
  ASSERT_OK(client->ResetCounter("web").status());
  ledger = client->GetNode()->ledger();
  EXPECT_EQ(ledger.problem(), "");
  EXPECT_EQ(ledger.node_id(), node_id);
  EXPECT_THAT(client->CheckHealth("nfmeter.v1.UsageService"),
              testing::IsOkAndHolds(Health::kServing));
  ASSERT_OK(server.Start());
  const auto next = server.Connect()->GetCounter("web");
  ASSERT_OK(next.status());
  EXPECT_TRUE(next->has_last_reset_time());
}

TEST(StateDiskTest, ADirectoryOfAnotherMachineIsRefusedWithASentence) {
  const testing::TemporaryDirectory dir;
  const std::string state = dir / "state";
  const std::string id = dir / "machine-id";
  const std::vector<std::string> with_id = {"env",
                                            "NFMETER_MACHINE_ID_FILE=" + id};
  std::ofstream(id) << "11111111111111111111111111111111\n";
  {
    testing::NfmeterdProcess first({.wrapper = with_id, .state_dir = state});
    ASSERT_OK(first.WaitUntilReady());
    EXPECT_EQ(first.Stop(), 0);
  }
  std::ofstream(id) << "22222222222222222222222222222222\n";
  testing::NfmeterdProcess copied({.wrapper = with_id, .state_dir = state});
  EXPECT_THAT(std::string(copied.WaitUntilReady().message()),
              HasSubstr("belongs to another machine"));
}

TEST(StateDiskTest, AStoreOfANewerServerIsRefusedWithASentence) {
  const testing::TemporaryDirectory dir;
  const std::string state = dir / "state";
  {
    testing::NfmeterdProcess first({.state_dir = state});
    ASSERT_OK(first.WaitUntilReady());
    EXPECT_EQ(first.Stop(), 0);
  }
  auto newer = accounting::LedgerFile(state + "/ledger.db");
  newer.migrations.push_back("CREATE TABLE of_the_future (x)");
  ASSERT_OK(sqlite::Database::Open(newer).status());
  testing::NfmeterdProcess older({.state_dir = state});
  EXPECT_THAT(std::string(older.WaitUntilReady().message()),
              HasSubstr("its format is of version 2, this server knows 1"));
}

TEST(StateDiskTest, WithoutAStateDirectoryTheNodeSaysThatTotalsAreInMemory) {
  testing::NfmeterdProcess server({.arguments = {"--state-dir", ""}});
  ASSERT_OK(server.WaitUntilReady());
  const auto client = Client::Connect({.address = server.target()});
  ASSERT_OK(client.status());
  const auto node = (*client)->GetNode();
  ASSERT_OK(node.status());
  EXPECT_FALSE(node->ledger().durable());
  EXPECT_FALSE(node->ledger().keeps_answers());
  EXPECT_THAT(node->notices(),
              ::testing::Contains(HasSubstr("kept in memory only")));
}

// Nothing is kept there yet, and that it is wrong is told.
TEST(StateDiskTest, ADirectoryThatCantBeMadeIsNamedAtStart) {
  SmallDisk disk;
  ASSERT_OK(disk.status());
  ASSERT_OK(disk.MakeReadOnly());
  FaultServer server({.state_dir = disk.state_dir()});
  const absl::Status started = server.Start();
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(
      std::string(started.message()),
      AllOf(HasSubstr("state directory " + disk.state_dir()),
            HasSubstr("Read-only file system"), HasSubstr("--state-dir")));
  EXPECT_EQ(server.AwaitEnd(), 5);
}

class FailingDiskTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FailingDiskTest, LabelsAreRefusedAndAccountingGoesOn) {
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->BatchCreateCounters(Labelled("kept-", 2)).status());
  {
    const Injection injection(server.pid(), /*thread=*/"", GetParam());
    ASSERT_OK(injection.status());
    ExpectLabelsFail(*client);
    ExpectAccountingGoesOn(*client, "plain");
    EXPECT_GT(injection.Hits(), 0u);
  }
  EXPECT_OK(client->BatchCreateCounters(Labelled("later-", 2)).status());
  EXPECT_EQ(client->GetCounter("kept-0")->labels_size(), 16);
}

INSTANTIATE_TEST_SUITE_P(Errors, FailingDiskTest,
                         ::testing::Values("pwrite64:error=EIO",
                                           "pwrite64:error=EROFS",
                                           "pwrite64:error=ENOSPC:when=3+",
                                           "fdatasync:error=EIO"));

}  // namespace
}  // namespace nfmeter
