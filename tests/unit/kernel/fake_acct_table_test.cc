// SPDX-License-Identifier: GPL-3.0-or-later
// What tests can bring on in a FakeAcctTable; what it shares with the real
// kernel is in tests/conformance.
#include "kernel/fake/fake_acct_table.h"

#include <errno.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::StatusIs;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;
using Code = absl::StatusCode;

std::vector<AcctObject> Objects(int count) {
  std::vector<AcctObject> objects;
  for (int i = 0; i < count; ++i) {
    objects.push_back({.name = absl::StrCat("c", i)});
  }
  return objects;
}

struct DumpResult {
  std::vector<std::string> names;
  std::vector<size_t> groups;
  bool complete = false;
};

DumpResult Dump(FakeAcctTable& table) {
  DumpResult result;
  const auto outcome = table.Dump(AcctDumpFilter::kAll,
                                  [&](absl::Span<const AcctRecord> records) {
                                    result.groups.push_back(records.size());
                                    for (const AcctRecord& record : records) {
                                      result.names.emplace_back(record.name);
                                    }
                                  });
  EXPECT_OK(outcome);
  result.complete = outcome.ok() && outcome->complete;
  return result;
}

TEST(FakeAcctTableTest, InjectedErrnosAreTakenOncePerObject) {
  FakeAcctTable table;
  table.InjectErrno(Operation::kAcctCreate, ENOMEM, 2);
  EXPECT_THAT(table.Create(Objects(3)),
              ElementsAre(HasReason("KERNEL_OUT_OF_MEMORY"),
                          HasReason("KERNEL_OUT_OF_MEMORY"), IsOk()));
  EXPECT_THAT(Dump(table).names, ElementsAre("c2"));
}

TEST(FakeAcctTableTest, AFailedResetLeavesTheValues) {
  FakeAcctTable table;
  ASSERT_OK(table.Create({{.name = "a", .packets = 3}}).front());
  table.InjectErrno(Operation::kAcctReset, EPERM);
  EXPECT_THAT(table.GetAndReset({"a"}),
              ElementsAre(StatusIs(Code::kPermissionDenied)));
  EXPECT_EQ(table.Get("a")->packets, 3u);
}

TEST(FakeAcctTableTest, ProbesDumpsAndSubscriptionsFailAsAWhole) {
  FakeAcctTable table;
  table.InjectErrno(Operation::kAcctGet, EINVAL);
  EXPECT_THAT(table.Probe(), StatusIs(Code::kUnimplemented));
  EXPECT_OK(table.Probe());
  table.InjectErrno(Operation::kAcctDump, ENOBUFS);
  EXPECT_THAT(
      table.Dump(AcctDumpFilter::kAll, [](absl::Span<const AcctRecord>) {}),
      StatusIs(Code::kUnavailable));
  table.InjectErrno(Operation::kQuotaEvents, EPERM);
  EXPECT_THAT(table.WatchQuotas(), StatusIs(Code::kPermissionDenied));
}

TEST(FakeAcctTableTest, DumpsComeInGroups) {
  FakeAcctTable table({.dump_group_size = 4});
  ASSERT_THAT(table.Create(Objects(10)), Each(IsOk()));
  const DumpResult dump = Dump(table);
  EXPECT_THAT(dump.groups, ElementsAre(4, 4, 2));
  EXPECT_TRUE(dump.complete);
  EXPECT_EQ(table.dumps(), 1);
}

TEST(FakeAcctTableTest, DeletingTheObjectAtTheCursorCutsADump) {
  FakeAcctTable table({.dump_group_size = 4});
  ASSERT_THAT(table.Create(Objects(10)), Each(IsOk()));
  table.SetDumpHook([&](size_t records) {
    if (records == 4) (void)table.Delete({"c4"});
  });
  const DumpResult cut = Dump(table);
  EXPECT_THAT(cut.names, SizeIs(4));
  EXPECT_FALSE(cut.complete);
  table.SetDumpHook(nullptr);
  EXPECT_TRUE(Dump(table).complete);
}

TEST(FakeAcctTableTest, DeletingOthersDoesNotCutADump) {
  FakeAcctTable table({.dump_group_size = 4});
  ASSERT_THAT(table.Create(Objects(10)), Each(IsOk()));
  table.SetDumpHook([&](size_t) { (void)table.Delete({"c0", "c5"}); });
  const DumpResult dump = Dump(table);
  EXPECT_THAT(dump.names, SizeIs(9));
  EXPECT_TRUE(dump.complete);
}

TEST(FakeAcctTableTest, DumpsCanBeCutOnDemand) {
  FakeAcctTable table({.dump_group_size = 4});
  ASSERT_THAT(table.Create(Objects(10)), Each(IsOk()));
  table.CutDumps(6, 2);
  for (int i = 0; i < 2; ++i) {
    const DumpResult cut = Dump(table);
    EXPECT_THAT(cut.names, SizeIs(6));
    EXPECT_FALSE(cut.complete);
  }
  EXPECT_TRUE(Dump(table).complete);
}

TEST(FakeAcctTableTest, DroppedEventsAreDataLossOnce) {
  FakeAcctTable table;
  ASSERT_OK(table
                .Create({{.name = "cap",
                          .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 1}}})
                .front());
  const auto events = table.WatchQuotas();
  ASSERT_OK(table.Count("cap", 1, 100));
  table.DropQuotaEvents();
  EXPECT_THAT((*events)->Next(), StatusIs(Code::kDataLoss));
  ASSERT_OK(table.GetAndReset({"cap"}).front());
  ASSERT_OK(table.Count("cap", 1, 100));
  EXPECT_OK((*events)->Next());
}

TEST(FakeAcctTableTest, HooksOnMissingObjectsSayNotFound) {
  FakeAcctTable table;
  EXPECT_THAT(table.Count("a", 1, 1), StatusIs(Code::kNotFound));
  EXPECT_THAT(table.AddReference("a"), StatusIs(Code::kNotFound));
  table.RemoveReference("a");
}

}  // namespace
}  // namespace nfmeter::kernel
