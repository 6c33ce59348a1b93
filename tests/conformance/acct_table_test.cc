// SPDX-License-Identifier: GPL-3.0-or-later
// What every AcctTable does, in memory and on the real kernel alike.
#include "kernel/acct_table.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "tests/conformance/acct_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

INSTANTIATE_TEST_SUITE_P(Kernel, AcctTableTest,
                         ::testing::Values("Fake", "ExtendedFake", "Nfacct",
                                           "Nftables"),
                         [](const auto& info) { return info.param; });

TEST_P(AcctTableTest, ProbeSucceedsWhereObjectsCanBeUsed) {
  EXPECT_OK(table().Probe());
  EXPECT_THAT(Dump(), IsEmpty());
}

TEST_P(AcctTableTest, CreatedObjectIsReadBackWithItsStartingValues) {
  const AcctObject object = {
      .name = "web",
      .packets = 0x0102030405060708,
      .bytes = 0x1112131415161718,
      .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 0x2122232425262728}};
  ASSERT_OK(CreateOne(object));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(object));
  EXPECT_THAT(Dump(), ElementsAre(object));
}

TEST_P(AcctTableTest, CreateIgnoresUseCountAndExceeded) {
  ASSERT_OK(CreateOne({.name = "web", .quota_exceeded = true, .use_count = 7}));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(AcctObject{.name = "web"}));
}

TEST_P(AcctTableTest, CreatingAnExistingNameChangesNothing) {
  ASSERT_OK(CreateOne({.name = "web", .packets = 5, .bytes = 500}));
  EXPECT_THAT(CreateOne({.name = "web", .packets = 9}),
              AllOf(StatusIs(Code::kAlreadyExists, ::testing::HasSubstr("web")),
                    HasReason("COUNTER_EXISTS")));
  EXPECT_THAT(
      table().Get("web"),
      IsOkAndHolds(AcctObject{.name = "web", .packets = 5, .bytes = 500}));
}

TEST_P(AcctTableTest, AFailureInABatchDoesNotStopTheRest) {
  const std::vector<absl::Status> statuses = table().Create(
      {{.name = "a"}, {.name = "a"}, {.name = ""}, {.name = "b"}});
  EXPECT_THAT(statuses, ElementsAre(IsOk(), StatusIs(Code::kAlreadyExists),
                                    StatusIs(Code::kInvalidArgument), IsOk()));
  EXPECT_THAT(table().GetAndReset({"a", "missing", "b"}),
              ElementsAre(IsOk(), StatusIs(Code::kNotFound), IsOk()));
  EXPECT_THAT(table().Delete({"a", "a", "b"}),
              ElementsAre(IsOk(), StatusIs(Code::kNotFound), IsOk()));
  EXPECT_THAT(Dump(), IsEmpty());
}

TEST_P(AcctTableTest, EmptyBatchesDoNothing) {
  EXPECT_THAT(table().Create({}), IsEmpty());
  EXPECT_THAT(table().GetEach({}), IsEmpty());
  EXPECT_THAT(table().GetAndReset({}), IsEmpty());
  EXPECT_THAT(table().Delete({}), IsEmpty());
}

TEST_P(AcctTableTest, NameOf31BytesIsKeptWhole) {
  const std::string name = "0123456789012345678901234567890";
  ASSERT_OK(CreateNamed(name));
  EXPECT_THAT(table().Get(name), IsOkAndHolds(AcctObject{.name = name}));
  EXPECT_THAT(Dump(), ElementsAre(AcctObject{.name = name}));
  EXPECT_OK(DeleteOne(name));
}

TEST_P(AcctTableTest, ImpossibleNamesAreRefusedAndDeleteNothing) {
  ASSERT_OK(CreateNamed("a"));
  for (const std::string& name :
       {std::string(), std::string(254, 'x'), std::string(10000, 'x'),
        std::string("a\0b", 3), std::string(1, '\0'), std::string("a\0", 2)}) {
    const auto refused = AllOf(StatusIs(Code::kInvalidArgument),
                               HasReason("INVALID_COUNTER_NAME"));
    EXPECT_THAT(CreateNamed(name), refused);
    EXPECT_THAT(table().Get(name), refused);
    EXPECT_THAT(ResetOne(name), refused);
    EXPECT_THAT(DeleteOne(name), refused);
  }
  EXPECT_THAT(Dump(), SizeIs(1));
}

TEST_P(AcctTableTest, NamesAreBytes) {
  for (const std::string& name :
       {std::string("sp ace"), std::string("\x01\x7f"), std::string("\xff\xfe"),
        std::string("\xc3\xa9t\xc3\xa9"), std::string("\n"), std::string("%s"),
        std::string("-x")}) {
    ASSERT_OK(CreateNamed(name));
    EXPECT_THAT(table().Get(name), IsOkAndHolds(AcctObject{.name = name}));
    EXPECT_THAT(Dump(), ElementsAre(AcctObject{.name = name}));
    EXPECT_OK(DeleteOne(name));
  }
}

TEST_P(AcctTableTest, ErrorsShowOddNamesEscaped) {
  EXPECT_THAT(table().Get("\xff\n"),
              StatusIs(Code::kNotFound, ::testing::HasSubstr("\\xff\\n")));
}

TEST_P(AcctTableTest, MissingObjectsAreNotFound) {
  const auto missing =
      AllOf(StatusIs(Code::kNotFound, ::testing::HasSubstr("nobody")),
            HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(table().Get("nobody"), missing);
  EXPECT_THAT(ResetOne("nobody"), missing);
  EXPECT_THAT(DeleteOne("nobody"), missing);
}

TEST_P(AcctTableTest, EachOfManyIsReadInOrderOrToldToBeMissing) {
  std::vector<std::string> names;
  for (uint64_t i = 0; i < 50; ++i) {
    names.push_back(absl::StrCat("c", i));
    ASSERT_OK(CreateOne({.name = names.back(), .packets = i}));
  }
  ASSERT_OK(CreateOne({.name = "limited", .quota = QuotaOf(7)}));
  names.push_back("limited");
  names.push_back("nobody");
  names.push_back("");
  names.push_back("c3");
  const auto read = table().GetEach(names);
  ASSERT_THAT(read, SizeIs(54));
  for (uint64_t i = 0; i < 50; ++i) {
    EXPECT_THAT(read[i],
                IsOkAndHolds(AcctObject{.name = names[i], .packets = i}));
  }
  EXPECT_THAT(read[50],
              IsOkAndHolds(AcctObject{.name = "limited", .quota = QuotaOf(7)}));
  EXPECT_THAT(read[51], HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(read[52], HasReason("INVALID_COUNTER_NAME"));
  EXPECT_THAT(read[53], IsOkAndHolds(AcctObject{.name = "c3", .packets = 3}));
}

TEST_P(AcctTableTest, TrafficIsCounted) {
  ASSERT_OK(CreateOne({.name = "web", .packets = 10, .bytes = 5000}));
  world_->AddReference("web");
  world_->Count("web", 7);
  EXPECT_THAT(table().Get("web"),
              IsOkAndHolds(AcctObject{.name = "web",
                                      .packets = 17,
                                      .bytes = 5000 + 7 * kUdpPacketBytes,
                                      .use_count = 1}));
}

TEST_P(AcctTableTest, ResetReturnsTheValuesAndLeavesZero) {
  ASSERT_OK(CreateOne({.name = "web", .packets = 17, .bytes = 1700}));
  EXPECT_THAT(
      ResetOne("web"),
      IsOkAndHolds(AcctObject{.name = "web", .packets = 17, .bytes = 1700}));
  EXPECT_THAT(ResetOne("web"), IsOkAndHolds(AcctObject{.name = "web"}));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(AcctObject{.name = "web"}));
}

TEST_P(AcctTableTest, ResetOfARepeatedNameReturnsTheValuesOnce) {
  ASSERT_OK(CreateOne({.name = "web", .packets = 17}));
  EXPECT_THAT(table().GetAndReset({"web", "web"}),
              ElementsAre(IsOkAndHolds(Field(&AcctObject::packets, 17)),
                          IsOkAndHolds(Field(&AcctObject::packets, 0))));
}

TEST_P(AcctTableTest, ReferencedObjectCannotBeDeleted) {
  ASSERT_OK(CreateNamed("web"));
  world_->AddReference("web");
  EXPECT_THAT(DeleteOne("web"), AllOf(StatusIs(Code::kFailedPrecondition),
                                      HasReason("COUNTER_IN_USE")));
  EXPECT_THAT(table().Get("web"),
              IsOkAndHolds(Field(&AcctObject::use_count, 1)));
  world_->RemoveReference("web");
  EXPECT_OK(DeleteOne("web"));
  EXPECT_THAT(table().Get("web"), StatusIs(Code::kNotFound));
}

TEST_P(AcctTableTest, LongNamesAreTheirOwn) {
  // They differ in their last bytes only; those of nf_tables grow when they are
  // written.
  const std::string plain(kAcctNameMaxBytes - 1, 'n');
  const std::string odd = absl::StrCat("a", std::string(200, ':'));
  const std::vector<std::string> names = {
      absl::StrCat(plain, "1"), absl::StrCat(plain, "2"),
      absl::StrCat(odd, "1"),   absl::StrCat(odd, "2"),
      std::string(31, 'm'),     std::string(32, 'm')};
  for (size_t i = 0; i < names.size(); ++i) {
    ASSERT_OK(CreateOne({.name = names[i], .packets = i + 1})) << names[i];
  }
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_THAT(table().Get(names[i]),
                IsOkAndHolds(AcctObject{.name = names[i], .packets = i + 1}));
  }
  EXPECT_THAT(CreateOne({.name = names[0]}), StatusIs(Code::kAlreadyExists));
  for (const bool verified : {false, true}) {
    std::vector<std::string> dumped;
    for (AcctObject& object : Dump(AcctDumpFilter::kAll, verified)) {
      dumped.push_back(std::move(object.name));
    }
    EXPECT_EQ(dumped, names);
  }
  EXPECT_THAT(ResetOne(names[1]), IsOkAndHolds(Field(&AcctObject::packets, 2)));
  EXPECT_THAT(table().Get(names[0]),
              IsOkAndHolds(Field(&AcctObject::packets, 1)));
  ASSERT_OK(DeleteOne(names[0]));
  EXPECT_THAT(table().Get(names[0]), StatusIs(Code::kNotFound));
  EXPECT_OK(table().Get(names[1]));
}

TEST_P(AcctTableTest, StandInsAreHandedOutOnlyWhereTheyAreAskedFor) {
  const std::string stand_in = StandInName("web");
  EXPECT_LE(stand_in.size(), kNfacctNameMaxBytes);
  ASSERT_OK(CreateNamed("web"));
  ASSERT_OK(CreateNamed(stand_in));
  EXPECT_THAT(Dump(), ElementsAre(Field(&AcctObject::name, "web")));
  EXPECT_THAT(Dump(AcctDumpFilter::kStandIns),
              ElementsAre(Field(&AcctObject::name, stand_in)));
  EXPECT_OK(table().Get(stand_in));
  EXPECT_OK(DeleteOne(stand_in));
}

TEST_P(AcctTableTest, DumpHandsOutThousandsOnceEachInTheOrderOfCreation) {
  std::vector<AcctObject> objects;
  for (uint64_t i = 0; i < 5000; ++i) {
    objects.push_back(
        {.name = absl::StrCat("c", i), .packets = i, .bytes = 100 * i});
  }
  EXPECT_THAT(table().Create(objects), Each(IsOk()));
  EXPECT_EQ(Dump(), objects);
  EXPECT_EQ(Dump(AcctDumpFilter::kAll, /*verified=*/false), objects);

  std::vector<std::string> names;
  for (const AcctObject& object : objects) names.push_back(object.name);
  const auto reset = table().GetAndReset(names);
  ASSERT_THAT(reset, SizeIs(objects.size()));
  for (size_t i = 0; i < objects.size(); ++i) {
    ASSERT_THAT(reset[i], IsOkAndHolds(objects[i]));
  }
  EXPECT_THAT(Dump(), Each(Field(&AcctObject::packets, 0)));
  EXPECT_THAT(table().Delete(names), Each(IsOk()));
  EXPECT_THAT(Dump(AcctDumpFilter::kAll, /*verified=*/false), IsEmpty());
}

TEST_P(AcctTableTest, ThreadsReadAndResetAtTheSameTime) {
  std::vector<AcctObject> objects;
  for (int i = 0; i < 8; ++i) {
    objects.push_back({.name = absl::StrCat("c", i), .packets = 1});
  }
  ASSERT_THAT(table().Create(objects), Each(IsOk()));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, name = objects[i].name] {
      for (int n = 0; n < 200; ++n) {
        ASSERT_THAT(table().Get(name),
                    IsOkAndHolds(Field(&AcctObject::name, name)));
      }
      EXPECT_THAT(ResetOne(name),
                  IsOkAndHolds(AcctObject{.name = name, .packets = 1}));
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_THAT(Dump(), SizeIs(8));
  for (std::thread& thread : threads) thread.join();
}

TEST_P(AcctTableTest, ADumpIsGuaranteedWhereTheKernelPromisesIt) {
  const absl::StatusOr<AcctFeatures> features = table().Features();
  ASSERT_OK(features);
  // Whether a real kernel promises it depends on its module.
  if (GetParam() == "Fake") {
    EXPECT_FALSE(features->stable_dump);
  }
  if (GetParam() == "ExtendedFake") {
    EXPECT_TRUE(features->stable_dump);
  }
  ASSERT_OK(CreateNamed("web"));
  for (const bool verified : {false, true}) {
    Records records;
    const absl::StatusOr<AcctDumpOutcome> outcome =
        DumpTo(records, AcctDumpFilter::kAll, verified);
    ASSERT_OK(outcome);
    EXPECT_EQ(outcome->guaranteed, features->stable_dump);
    EXPECT_TRUE(outcome->complete);
    EXPECT_EQ(records.objects.size(), 1u);
  }
}

// Every second object goes away while dumps run. With a promise every dump is
// whole; without one, it is whole or says that it is not.
TEST_P(AcctTableTest, AnObjectThatStaysIsInEveryCompleteDumpOnce) {
  constexpr int kPairs = 1500;
  std::vector<AcctObject> objects;
  std::vector<std::string> leaving;
  for (int i = 0; i < kPairs; ++i) {
    objects.push_back({.name = absl::StrCat("stay.", i)});
    objects.push_back({.name = absl::StrCat("go.", i)});
    leaving.push_back(objects.back().name);
  }
  EXPECT_THAT(table().Create(objects), Each(IsOk()));
  const bool stable = table().Features()->stable_dump;
  std::atomic<bool> done = false;
  std::thread deleting([&] {
    for (int i = 0; i < kPairs; i += 10) {
      EXPECT_THAT(table().Delete(absl::MakeSpan(leaving).subspan(i, 10)),
                  Each(IsOk()));
    }
    done = true;
  });
  bool last = false;
  while (!last) {
    last = done;
    Records records;
    const absl::StatusOr<AcctDumpOutcome> outcome = DumpTo(records);
    int stayed = 0;
    for (const AcctObject& object : records.objects) {
      stayed += absl::StartsWith(object.name, "stay.");
    }
    EXPECT_OK(outcome);
    if (!outcome.ok()) break;
    // Nothing disturbs the last one.
    EXPECT_TRUE(outcome->complete || !(stable || last));
    if (outcome->complete) {
      EXPECT_EQ(stayed, kPairs);
    }
  }
  deleting.join();
}

}  // namespace
}  // namespace nfmeter::kernel
