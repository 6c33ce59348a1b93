// SPDX-License-Identifier: GPL-3.0-or-later
// The accounting half on the real kernel: what no fake can show.
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nfacct/acct_codec.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::CountPort;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::SendUdp;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using Code = absl::StatusCode;

// In a TEST, Run() is gtest's.
RunResult RunTool(const std::vector<std::string>& argv,
                  const std::string& input = "") {
  return ::nfmeter::testing::Run(argv, input);
}

std::unique_ptr<NetlinkAcctTable> OpenTable() {
  return NetlinkAcctTable::Open().value();
}

struct DumpResult {
  std::vector<std::string> names;
  bool complete = false;
};

// The two ways of one walk.
enum class Walk { kToEnd, kToTail };

absl::StatusOr<AcctDumpOutcome> Dump(
    NetlinkAcctTable& table, Walk walk,
    absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records,
    AcctDumpFilter filter = AcctDumpFilter::kAll) {
  return walk == Walk::kToEnd ? table.Dump(filter, on_records)
                              : table.DumpToTail(filter, on_records);
}

DumpResult DumpNames(NetlinkAcctTable& table, Walk walk = Walk::kToEnd) {
  DumpResult result;
  const auto outcome =
      Dump(table, walk, [&](absl::Span<const AcctRecord> records) {
        for (const AcctRecord& record : records) {
          result.names.emplace_back(record.name);
        }
      });
  EXPECT_OK(outcome);
  result.complete = outcome.ok() && outcome->complete;
  return result;
}

std::vector<AcctObject> Objects(const std::string& prefix, int count) {
  std::vector<AcctObject> objects;
  for (int i = 0; i < count; ++i) {
    objects.push_back({.name = absl::StrCat(prefix, i)});
  }
  return objects;
}

std::vector<std::string> Names(const std::vector<AcctObject>& objects) {
  std::vector<std::string> names;
  for (const AcctObject& object : objects) names.push_back(object.name);
  return names;
}

std::string NfacctList() {
  const RunResult result = RunTool({"nfacct", "list"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.out;
}

TEST(NfacctToolTest, ReadsWhatWeMade) {
  const auto table = OpenTable();
  ASSERT_THAT(
      table->Create(
          {{.name = "web", .packets = 12, .bytes = 3456},
           {.name = "cap", .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 99}}}),
      Each(IsOk()));
  const std::string list = NfacctList();
  EXPECT_THAT(
      list,
      HasSubstr("{ pkts = 00000000000000000012, bytes = 00000000000000003456 "
                "} = web;"));
  EXPECT_THAT(list, HasSubstr("quota = 00000000000000000099"));
}

TEST(NfacctToolTest, MakesWhatWeRead) {
  ASSERT_EQ(RunTool({"nfacct", "add", "web"}).exit_code, 0);
  ASSERT_EQ(RunTool({"nfacct", "add", "cap", "packet", "42"}).exit_code, 0);
  const auto table = OpenTable();
  EXPECT_THAT(table->Get("web"), IsOkAndHolds(AcctObject{.name = "web"}));
  EXPECT_THAT(
      table->Get("cap"),
      IsOkAndHolds(AcctObject{
          .name = "cap", .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 42}}));
  EXPECT_THAT(table->Delete({"web", "cap"}), Each(IsOk()));
  EXPECT_EQ(NfacctList(), "");
}

TEST(ResetTest, NoPacketIsLostOrCountedTwiceUnderTraffic) {
  constexpr int kCounters = 2000;
  constexpr int kHot = 8;
  constexpr int kPackets = 20000;
  const auto table = OpenTable();
  const std::vector<AcctObject> objects = Objects("c", kCounters);
  const std::vector<std::string> names = Names(objects);
  ASSERT_THAT(table->Create(objects), Each(IsOk()));
  for (int i = 0; i < kHot; ++i) {
    CountPort("-A", 20000 + i, names[i * kCounters / kHot]);
  }
  std::atomic<bool> sending = true;
  std::thread sender([&] {
    for (int n = 0; n < kPackets / kHot / 10; ++n) {
      for (int i = 0; i < kHot; ++i) SendUdp(20000 + i, 10);
    }
    sending = false;
  });
  uint64_t packets = 0;
  uint64_t bytes = 0;
  const auto reset = [&] {
    for (const auto& object : table->GetAndReset(names)) {
      ASSERT_OK(object);
      packets += object->packets;
      bytes += object->bytes;
    }
  };
  while (sending) reset();
  sender.join();
  reset();
  EXPECT_EQ(packets, uint64_t{kPackets});
  EXPECT_EQ(bytes, kPackets * kUdpPacketBytes);
}

// Dumps while somebody else deletes every second object, in random order, and
// expects each dump that says that it is complete to have all of those that
// nobody touches. `remake` has them made again at once, at the tail, perhaps in
// the memory of deleted ones.
void ExpectCompleteDumpsToBeWhole(Walk walk, bool remake) {
  constexpr size_t kBatch = 20;
  const auto table = OpenTable();
  const auto others = OpenTable();
  std::mt19937 random(1);
  int complete = 0;
  int cut = 0;
  // A round has about one cut in two.
  for (int round = 0; round < 100 && (cut < 3 || complete < 3); ++round) {
    std::vector<AcctObject> all;
    std::vector<std::string> victims;
    std::set<std::string> survivors;
    for (int i = 0; i < 1500; ++i) {
      all.push_back({.name = absl::StrCat("s", i)});
      survivors.insert(all.back().name);
      all.push_back({.name = absl::StrCat("v", i)});
      victims.push_back(all.back().name);
    }
    ASSERT_THAT(table->Create(all), Each(IsOk()));
    std::shuffle(victims.begin(), victims.end(), random);
    std::atomic<size_t> deleted = 0;
    std::thread deleter([&] {
      while (deleted < victims.size()) {
        const auto some = absl::MakeSpan(victims).subspan(deleted, kBatch);
        others->Delete(some);
        std::vector<AcctObject> again;
        for (const std::string& name : some) again.push_back({.name = name});
        if (remake) others->Create(again);
        deleted += some.size();
      }
    });
    while (deleted < victims.size()) {
      std::set<std::string> seen;
      const auto outcome =
          Dump(*table, walk, [&](absl::Span<const AcctRecord> records) {
            for (const AcctRecord& record : records) {
              seen.emplace(record.name);
            }
            // Let some objects go before the next message, the one
            // at the cursor among them now and then.
            const size_t target =
                std::min(deleted + 5 * kBatch, victims.size());
            while (deleted < target) std::this_thread::yield();
          });
      ASSERT_OK(outcome);
      ++(outcome->complete ? complete : cut);
      if (!outcome->complete) continue;
      EXPECT_TRUE(std::includes(seen.begin(), seen.end(), survivors.begin(),
                                survivors.end()));
    }
    deleter.join();
    table->Delete(Names(all));
  }
  EXPECT_GE(complete, 3);
  EXPECT_GE(cut, 3);
}

TEST(DumpTest, CompleteDumpsAreWholeWhileOthersDelete) {
  ExpectCompleteDumpsToBeWhole(Walk::kToEnd, /*remake=*/false);
}

TEST(DumpTest, CompleteDumpsToTheTailAreWholeWhileOthersDeleteAndMake) {
  ExpectCompleteDumpsToBeWhole(Walk::kToTail, /*remake=*/true);
}

TEST(DumpTest, ACutDumpIsNotComplete) {
  for (const Walk walk : {Walk::kToEnd, Walk::kToTail}) {
    const auto table = OpenTable();
    const auto others = OpenTable();
    const std::vector<AcctObject> objects = Objects("c", 5000);
    const std::vector<std::string> names = Names(objects);
    ASSERT_THAT(table->Create(objects), Each(IsOk()));
    size_t records = 0;
    const auto outcome =
        Dump(*table, walk, [&](absl::Span<const AcctRecord> group) {
          if (records == 0) {
            // The next message is made already; its cursor stands
            // on one of these.
            others->Delete(absl::MakeSpan(names).subspan(300, 1500));
          }
          records += group.size();
        });
    ASSERT_OK(outcome);
    EXPECT_FALSE(outcome->complete);
    EXPECT_LT(records, 3500u);
    EXPECT_EQ(outcome->records, records);
    others->Delete(names);
  }
}

// Every number of objects near the edges of messages: a natural end is found to
// be one by the mark at the tail always, and nearly always without.
TEST(DumpTest, UndisturbedDumpsAreCompleteForAllSizes) {
  const auto table = OpenTable();
  const std::string padding(24, 'x');
  int undecided = 0;
  for (int count = 1; count <= 800; ++count) {
    ASSERT_OK(table->Create({{.name = absl::StrCat(padding, 10000 + count)}})
                  .front());
    const DumpResult dump = DumpNames(*table);
    ASSERT_EQ(dump.names.size(), static_cast<size_t>(count));
    if (dump.complete) continue;
    ++undecided;
    const DumpResult again = DumpNames(*table, Walk::kToTail);
    EXPECT_TRUE(again.complete) << count;
    EXPECT_EQ(again.names.size(), static_cast<size_t>(count));
  }
  EXPECT_LT(undecided, 30);
}

TEST(DumpTest, TailMarksAreNeverShownAndStaleOnesAreRemoved) {
  const std::string stale = NewAcctTailName();
  ASSERT_EQ(RunTool({"nfacct", "add", stale}).exit_code, 0);
  const auto table = OpenTable();
  ASSERT_OK(table->Create({{.name = "web"}}).front());
  EXPECT_THAT(DumpNames(*table).names, ElementsAre("web"));
  EXPECT_THAT(NfacctList(), Not(HasSubstr(".nfmeterd")));
  ASSERT_EQ(RunTool({"nfacct", "add", stale}).exit_code, 0);
  EXPECT_THAT(DumpNames(*table, Walk::kToTail).names, ElementsAre("web"));
  EXPECT_THAT(NfacctList(), Not(HasSubstr(".nfmeterd")));
}

TEST(DumpTest, ANameLikeATailMarkThatARuleUsesIsSomebodysCounter) {
  const std::string name = NewAcctTailName();
  ASSERT_EQ(RunTool({"nfacct", "add", name}).exit_code, 0);
  CountPort("-A", 20000, name);
  const auto table = OpenTable();
  EXPECT_THAT(DumpNames(*table, Walk::kToTail).names, ElementsAre(name));
}

TEST(QuotaEventsTest, DroppedEventsAreSaidAndFoundByADump) {
  constexpr int kQuotas = 600;
  const auto table =
      NetlinkAcctTable::Open({.quota_buffer_bytes = 64 << 10}).value();
  std::vector<AcctObject> objects = Objects("q", kQuotas);
  std::string rules = "*filter\n";
  for (int i = 0; i < kQuotas; ++i) {
    objects[i].quota = QuotaLimit{QuotaLimit::Unit::kPackets, 1};
    absl::StrAppend(&rules, "-A OUTPUT -p udp -m nfacct --nfacct-name q", i,
                    "\n");
  }
  ASSERT_THAT(table->Create(objects), Each(IsOk()));
  const RunResult restored = RunTool(
      {"iptables-legacy-restore", "-w", "--noflush"}, rules + "COMMIT\n");
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  const auto events = table->WatchQuotas();
  ASSERT_OK(events);
  SendUdp(20000, 1);
  int delivered = 0;
  absl::StatusOr<AcctObject> event = (*events)->Next();
  for (; event.ok(); event = (*events)->Next()) ++delivered;
  EXPECT_THAT(event,
              AllOf(StatusIs(Code::kDataLoss), HasReason("QUOTA_EVENTS_LOST")));
  EXPECT_LT(delivered, kQuotas);
  const auto outcome = table->DumpToTail(AcctDumpFilter::kQuotaExceeded,
                                         [](absl::Span<const AcctRecord>) {});
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->records, size_t{kQuotas});
  // The subscription goes on: after a reset there are events again.
  ASSERT_OK(table->GetAndReset({"q0"}).front());
  SendUdp(20000, 1);
  for (;;) {
    event = (*events)->Next();
    ASSERT_OK(event);
    if (event->name == "q0") break;
  }
}

TEST(NamespaceTest, SubscriptionsFromOtherThreadsAreInTheTablesNamespace) {
  const auto table = OpenTable();
  ASSERT_OK(table
                ->Create({{.name = "cap",
                           .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 1}}})
                .front());
  CountPort("-A", 20000, "cap");
  absl::StatusOr<std::unique_ptr<QuotaEvents>> events;
  std::thread elsewhere([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    events = table->WatchQuotas();
    EXPECT_OK(table->Get("cap"));
    // The thread itself stayed where it was.
    EXPECT_THAT(OpenTable()->Get("cap"), StatusIs(Code::kNotFound));
  });
  elsewhere.join();
  ASSERT_OK(events);
  SendUdp(20000, 1);
  EXPECT_THAT((*events)->Next(), IsOkAndHolds(Field(&AcctObject::name, "cap")));
}

// Gives up all capabilities, of this thread alone.
void DropCapabilities() {
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  __user_cap_data_struct none[2] = {};
  ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
}

TEST(PrivilegeTest, WithoutNetAdminEverythingSaysWhatIsNeeded) {
  std::thread unprivileged([] {
    DropCapabilities();
    const auto table = OpenTable();
    const auto denied =
        AllOf(StatusIs(Code::kPermissionDenied, HasSubstr("CAP_NET_ADMIN")),
              HasReason("PERMISSION_DENIED"));
    EXPECT_THAT(table->Probe(), denied);
    EXPECT_THAT(table->Get("a"), denied);
    EXPECT_THAT(table->Create({{.name = "a"}, {.name = "b"}}), Each(denied));
    EXPECT_THAT(table->GetAndReset({"a", "b", "c"}), Each(denied));
    EXPECT_THAT(table->Delete({"a", "b"}), Each(denied));
    EXPECT_THAT(table->WatchQuotas(), denied);
    for (const Walk walk : {Walk::kToEnd, Walk::kToTail}) {
      EXPECT_THAT(Dump(*table, walk, [](absl::Span<const AcctRecord>) {}),
                  denied);
    }
  });
  unprivileged.join();
}

TEST(BatchTest, BatchesLargerThanTheBuffersWork) {
  // Without the privilege to go beyond the default, buffers can be small.
  const auto table =
      NetlinkAcctTable::Open({.receive_buffer_bytes = 4096}).value();
  const std::vector<AcctObject> objects = Objects("c", 300);
  EXPECT_THAT(table->Create(objects), Each(IsOk()));
  EXPECT_THAT(table->GetAndReset(Names(objects)), Each(IsOk()));
  EXPECT_EQ(DumpNames(*table).names, Names(objects));
  EXPECT_THAT(table->Delete(Names(objects)), Each(IsOk()));
}

}  // namespace
}  // namespace nfmeter::kernel
