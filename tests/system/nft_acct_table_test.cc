// SPDX-License-Identifier: GPL-3.0-or-later
// Counters of nf_tables beside other users of the same namespace.
#include "kernel/linux/nftables/nft_acct_table.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nftables/nft_table.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

testing::RunResult LoadNft(const std::string& input) {
  return testing::Run({"nft", "-f", "-"}, input);
}

std::unique_ptr<NftTable> Open(bool own, int send_buffer_bytes = 64 << 20) {
  NftTable::Options options;
  options.own = own;
  options.send_buffer_bytes = send_buffer_bytes;
  return NftTable::Open(options).value();
}

std::vector<AcctObject> Counters(int count) {
  std::vector<AcctObject> counters;
  for (int i = 0; i < count; ++i) {
    counters.push_back({.name = absl::StrCat("c", i), .packets = 1});
  }
  return counters;
}

struct Dumped {
  std::set<std::string> names;
  size_t records = 0;
  bool complete = false;
};

Dumped Dump(NftAcctTable& acct) {
  Dumped dumped;
  const auto outcome = acct.Dump(AcctDumpFilter::kAll,
                                 [&](absl::Span<const AcctRecord> records) {
                                   for (const AcctRecord& record : records) {
                                     dumped.names.emplace(record.name);
                                     ++dumped.records;
                                   }
                                 });
  EXPECT_OK(outcome);
  dumped.complete = outcome.ok() && outcome->complete;
  return dumped;
}

class TableThatCountsDumps : public NftAcctTable {
 public:
  using NftAcctTable::NftAcctTable;

  absl::StatusOr<AcctDumpOutcome> Dump(
      AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const AcctRecord>)> on_records)
      override {
    ++dumps;
    return NftAcctTable::Dump(filter, on_records);
  }

  int dumps = 0;
};

// A deletion of thousands reads some hundreds at a time.
TEST(NftAcctTableTest, ManyAreReadWithoutReadingAll) {
  const auto table = Open(/*own=*/true);
  TableThatCountsDumps acct(*table);
  ASSERT_THAT(acct.Create(Counters(300)), Each(IsOk()));
  std::vector<std::string> names;
  for (const AcctObject& each : Counters(256)) names.push_back(each.name);
  EXPECT_THAT(acct.GetEach(names), Each(IsOk()));
  EXPECT_EQ(acct.dumps, 0);
}

// The kernel's cursor counts what others are just making in tables before ours:
// what they drop in the middle, as `nft -c` does, makes it skip some of ours.
TEST(NftAcctTableTest, ACompleteDumpIsWholeWhateverOthersAbort) {
  constexpr int kCounters = 3000;
  // Before ours, in the order in which the kernel walks.
  ASSERT_EQ(LoadNft("add table inet before").exit_code, 0);
  const auto table = Open(/*own=*/true);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  ASSERT_THAT(acct.Create(Counters(kCounters)), Each(IsOk()));

  std::string checked;
  for (int i = 0; i < 3000; ++i) {
    absl::StrAppend(&checked, "add counter inet before x", i, "\n");
  }
  TemporaryDirectory folder;
  const std::string file = folder / "checked.nft";
  ASSERT_EQ(testing::Run({"tee", file}, checked).exit_code, 0);
  std::vector<std::string> loop = {
      "sh", "-c", absl::StrCat("while nft -c -f ", file, "; do :; done")};
  testing::Background others(loop, "");

  int complete = 0;
  for (int i = 0; i < 200; ++i) {
    const Dumped dumped = Dump(acct);
    EXPECT_THAT(dumped.names, SizeIs(dumped.records)) << "a counter came twice";
    if (!dumped.complete) continue;
    ++complete;
    ASSERT_THAT(dumped.names, SizeIs(kCounters));
  }

  EXPECT_GT(complete, 100);
}

// Whether a socket of this namespace is told of changes of rulesets.
bool SomebodyListens() {
  std::ifstream sockets("/proc/thread-self/net/netlink");
  std::string line;
  while (std::getline(sockets, line)) {
    // "sk Eth Pid Groups ...": the family, and the first 32 groups as bits.
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint32_t groups = 0;
    if (fields.size() > 3 && fields[1] == absl::StrCat(NETLINK_NETFILTER) &&
        absl::SimpleHexAtoi(fields[3], &groups) &&
        (groups >> (NFNLGRP_NFTABLES - 1) & 1) != 0) {
      return true;
    }
  }
  return false;
}

AcctObject Capped() {
  return {.name = "capped",
          .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 1000}};
}

// Whoever listens is paid for by everybody who changes a ruleset.
TEST(NftAcctTableTest, ListensToChangesOnlyWhileThereAreQuotas) {
  const auto table = Open(/*own=*/true);
  ASSERT_OK(table->Probe());
  if (!table->owned()) GTEST_SKIP() << "this kernel's tables have no owners";
  NftAcctTable acct(*table);
  ASSERT_THAT(acct.Create(Counters(3)), Each(IsOk()));
  const auto events = acct.WatchQuotas();
  ASSERT_OK(events);
  EXPECT_TRUE(SomebodyListens()) << "there may be quotas of before";

  ASSERT_TRUE(Dump(acct).complete);
  EXPECT_FALSE(SomebodyListens());
  const auto more_events = acct.WatchQuotas();
  ASSERT_OK(more_events);
  EXPECT_FALSE(SomebodyListens());

  ASSERT_THAT(acct.Create({{Capped()}}), Each(IsOk()));
  EXPECT_TRUE(SomebodyListens());
  ASSERT_TRUE(Dump(acct).complete);
  EXPECT_TRUE(SomebodyListens());

  ASSERT_THAT(acct.Delete({"capped"}), Each(IsOk()));
  ASSERT_TRUE(Dump(acct).complete);
  EXPECT_FALSE(SomebodyListens());
}

// Others can bring quotas there.
TEST(NftAcctTableTest, ListensAllTheTimeToAPlainTable) {
  const auto table = Open(/*own=*/false);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  ASSERT_THAT(acct.Create(Counters(3)), Each(IsOk()));
  const auto events = acct.WatchQuotas();
  ASSERT_OK(events);
  ASSERT_TRUE(Dump(acct).complete);
  EXPECT_TRUE(SomebodyListens());
}

// Another process may have made some meanwhile.
TEST(NftAcctTableTest, ListensToATableOfBeforeUntilItIsTakenOver) {
  {
    const auto before = Open(/*own=*/true);
    ASSERT_OK(before->Probe());
    if (!before->owned()) GTEST_SKIP() << "this kernel's tables have no owners";
    NftAcctTable acct(*before);
    ASSERT_THAT(acct.Create(Counters(3)), Each(IsOk()));
  }
  const auto table = Open(/*own=*/true);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  const auto events = acct.WatchQuotas();
  ASSERT_OK(events);
  ASSERT_TRUE(Dump(acct).complete);
  EXPECT_TRUE(SomebodyListens());

  ASSERT_OK(table->Claim());
  ASSERT_TRUE(Dump(acct).complete);
  EXPECT_FALSE(SomebodyListens());
}

TEST(NftAcctTableTest, AForeignTableOfThatNameIsRefusedAndLeftAlone) {
  ASSERT_EQ(LoadNft("add table inet nfmeter\nadd counter inet nfmeter theirs")
                .exit_code,
            0);
  const auto table = Open(/*own=*/true);
  EXPECT_THAT(table->Probe(),
              AllOf(StatusIs(absl::StatusCode::kFailedPrecondition,
                             HasSubstr("nft delete table")),
                    HasReason("NFT_TABLE_FOREIGN")));
  EXPECT_THAT(testing::Run({"nft", "list", "table", "inet", "nfmeter"}).out,
              HasSubstr("counter theirs"));
}

// net.core.wmem_max bounds a send in an unprivileged user namespace.
TEST(NftAcctTableTest, ManyAreMadeInAsManyTransactionsAsFit) {
  const auto table = Open(/*own=*/true, 32 << 10);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  std::vector<AcctObject> counters = Counters(3000);
  counters.push_back(counters[5]);
  const auto statuses = acct.Create(counters);
  EXPECT_THAT(statuses.back(), StatusIs(absl::StatusCode::kAlreadyExists));
  const Dumped dumped = Dump(acct);
  EXPECT_TRUE(dumped.complete);
  EXPECT_THAT(dumped.names, SizeIs(3000));
  std::vector<std::string> names(dumped.names.begin(), dumped.names.end());
  EXPECT_THAT(acct.Delete(names), Each(IsOk()));
  EXPECT_THAT(Dump(acct).names, SizeIs(0));
}

TEST(NftAcctTableTest, NamesThatDifferByEscapingAloneAreDifferentCounters) {
  const auto table = Open(/*own=*/true);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  const std::vector<std::string> names = {"a+b", "a_x2bb", "a_x2b", "a+",
                                          "a_x5fx2bb"};
  std::vector<AcctObject> counters;
  for (size_t i = 0; i < names.size(); ++i) {
    counters.push_back({.name = names[i], .packets = i + 1});
  }
  EXPECT_THAT(acct.Create(counters), Each(IsOk()));
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(acct.Get(names[i])->packets, i + 1) << names[i];
  }
  EXPECT_EQ(Dump(acct).names,
            std::set<std::string>(names.begin(), names.end()));
  EXPECT_THAT(acct.Delete({"a+b"}), Each(IsOk()));
  EXPECT_EQ(acct.Get("a_x2bb")->packets, 2u);
}

// A plain table, where others could: the same bytes, saved and restored.
TEST(NftAcctTableTest, NftReadsAndRestoresAllOfIt) {
  const auto table = Open(/*own=*/false);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  const std::vector<AcctObject> counters = {
      {.name = "web", .packets = 7, .bytes = 700},
      {.name = "10.0.0.1/in", .packets = 1},
      {.name = "-counter@ip6+x:y", .bytes = 5},
      {.name = "quo\"te \\", .packets = 3},
      {.name = "cap",
       .bytes = 30,
       .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 1000}}};
  ASSERT_THAT(acct.Create(counters), Each(IsOk()));
  const auto saved = testing::Run({"nft", "list", "ruleset"});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  EXPECT_THAT(saved.out, HasSubstr("comment \"web\""));
  ASSERT_EQ(LoadNft(absl::StrCat("flush ruleset\n", saved.out)).exit_code, 0)
      << saved.out;
  for (const AcctObject& counter : counters) {
    EXPECT_THAT(acct.Get(counter.name), IsOkAndHolds(counter));
  }
  EXPECT_TRUE(Dump(acct).complete);
}

TEST(NftAcctTableTest, ObjectsOfOthersInAPlainTableAreNotShown) {
  const auto table = Open(/*own=*/false);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  ASSERT_THAT(acct.Create(Counters(1)), Each(IsOk()));
  // The second would be another spelling of c0.
  ASSERT_EQ(LoadNft("add counter inet nfmeter theirs\n"
                    "add counter inet nfmeter c.c_x30\n")
                .exit_code,
            0);
  const Dumped dumped = Dump(acct);
  EXPECT_TRUE(dumped.complete);
  EXPECT_THAT(dumped.names, ElementsAre("c0"));
}

TEST(NftAcctTableTest, AFlushedTableIsEmptyAndMadeAgain) {
  const auto table = Open(/*own=*/false);
  ASSERT_OK(table->Probe());
  NftAcctTable acct(*table);
  ASSERT_THAT(acct.Create(Counters(2)), Each(IsOk()));
  ASSERT_EQ(LoadNft("flush ruleset").exit_code, 0);
  const Dumped dumped = Dump(acct);
  EXPECT_TRUE(dumped.complete);
  EXPECT_THAT(dumped.names, SizeIs(0));
  EXPECT_THAT(acct.Get("c0"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(acct.Create(Counters(2)), Each(IsOk()));
}

}  // namespace
}  // namespace nfmeter::kernel
