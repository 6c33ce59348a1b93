// SPDX-License-Identifier: GPL-3.0-or-later
// What every AcctTable does with quotas.
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"
#include "tests/conformance/acct_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

using AcctQuotaTest = AcctTableTest;

INSTANTIATE_TEST_SUITE_P(Kernel, AcctQuotaTest,
                         ::testing::Values("Fake", "ExtendedFake", "Nfacct",
                                           "Nftables"),
                         [](const auto& info) { return info.param; });

TEST_P(AcctQuotaTest, QuotasOfPacketsAreKeptOrRefusedByName) {
  const AcctObject object = {
      .name = "cap", .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 7}};
  if (world_->has_packet_quotas()) {
    ASSERT_OK(CreateOne(object));
    EXPECT_THAT(table().Get("cap"), IsOkAndHolds(object));
  } else {
    EXPECT_THAT(CreateOne(object),
                AllOf(StatusIs(Code::kUnimplemented, HasSubstr("bytes only")),
                      HasReason("QUOTA_NOT_EXPRESSIBLE")));
    EXPECT_THAT(Dump(), IsEmpty());
  }
}

TEST_P(AcctQuotaTest, QuotaOfZeroIsAQuota) {
  // Where quotas are what is left, nothing is from the start.
  const AcctObject object = {.name = "none",
                             .quota = QuotaOf(0),
                             .quota_exceeded = !world_->has_packet_quotas()};
  ASSERT_OK(CreateOne(object));
  EXPECT_THAT(table().Get("none"), IsOkAndHolds(object));
}

TEST_P(AcctQuotaTest, AnObjectWithALongNameCountsAndTellsOfItsQuota) {
  const std::string name(kAcctNameMaxBytes, 'q');
  ASSERT_OK(CreateOne({.name = name, .quota = QuotaOf(2)}));
  world_->AddReference(name);
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  world_->Count(name, 3);
  EXPECT_THAT((*events)->Next(), IsOkAndHolds(CrossingOf(name, 2, 3)));
  world_->RemoveReference(name);
}

TEST_P(AcctQuotaTest, AQuotaThatComesAfterADumpWithoutAnyTells) {
  ASSERT_OK(CreateNamed("free"));
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  EXPECT_THAT(Dump(), SizeIs(1));
  ASSERT_OK(CreateOne({.name = "cap", .quota = QuotaOf(2)}));
  world_->AddReference("cap");
  world_->Count("cap", 3);
  EXPECT_THAT((*events)->Next(), IsOkAndHolds(CrossingOf("cap", 2, 3)));
  world_->RemoveReference("cap");
}

TEST_P(AcctQuotaTest, RenewGivesAFreeObjectItsValuesAndAnotherQuota) {
  ASSERT_OK(CreateOne({.name = "web", .packets = 5, .bytes = 500}));
  ASSERT_OK(CreateNamed("other"));
  const AcctObject renewed = {
      .name = "web", .packets = 7, .bytes = 700, .quota = QuotaOf(100)};
  ASSERT_OK(table().Renew(renewed));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(renewed));
  const AcctObject without = {.name = "web", .packets = 8, .bytes = 800};
  ASSERT_OK(table().Renew(without));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(without));
  EXPECT_THAT(Dump(), SizeIs(2));
  EXPECT_THAT(table().Renew({.name = "gone"}), StatusIs(Code::kNotFound));
}

TEST_P(AcctQuotaTest, RenewLeavesAnObjectThatIsHeld) {
  ASSERT_OK(CreateNamed("web"));
  world_->AddReference("web");
  world_->Count("web", 2);
  EXPECT_THAT(
      table().Renew({.name = "web", .packets = 9}),
      AllOf(StatusIs(Code::kFailedPrecondition), HasReason("COUNTER_IN_USE")));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(Field(&AcctObject::packets, 2)));
  world_->RemoveReference("web");
}

TEST_P(AcctQuotaTest, AQuotaIsChangedInPlaceOrNotAtAll) {
  ASSERT_OK(CreateOne({.name = "cap", .quota = QuotaOf(3)}));
  world_->AddReference("cap");
  world_->Count("cap", 4);
  const auto foreseen = table().SetQuota("cap", QuotaOf(6), /*dry_run=*/true);
  ASSERT_OK(foreseen);
  EXPECT_THAT(table().Get("cap"),
              IsOkAndHolds(Field(&AcctObject::quota, QuotaOf(3))));
  EXPECT_THAT(table().SetQuota("cap", QuotaOf(6), /*dry_run=*/false),
              IsOkAndHolds(*foreseen));
  const bool done = *foreseen == QuotaChange::kDone;
  EXPECT_THAT(table().Get("cap"),
              IsOkAndHolds(AllOf(
                  Field(&AcctObject::packets, 4),
                  Field(&AcctObject::quota, done ? QuotaOf(6) : QuotaOf(3)),
                  Field(&AcctObject::quota_exceeded, !done))));
  if (done) {
    // What was counted before counts for it.
    const auto events = table().WatchQuotas();
    ASSERT_OK(events);
    world_->Count("cap", 2);
    EXPECT_THAT((*events)->Next(), IsOkAndHolds(CrossingOf("cap", 6, 6)));
  }
  EXPECT_THAT(table().SetQuota("gone", QuotaOf(1), /*dry_run=*/false),
              StatusIs(Code::kNotFound));
  world_->RemoveReference("cap");
}

TEST_P(AcctQuotaTest, DumpOfExceededQuotasHandsOutOnlyThose) {
  ASSERT_OK(CreateNamed("free"));
  ASSERT_OK(CreateOne({.name = "below", .quota = QuotaOf(100)}));
  ASSERT_OK(CreateOne(
      {.name = "above", .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 250}}));
  for (const char* name : {"free", "below", "above"}) {
    world_->AddReference(name);
    world_->Count(name, 3);
  }
  const AcctObject above = {.name = "above",
                            .packets = 3,
                            .bytes = 3 * kUdpPacketBytes,
                            .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 250},
                            .quota_exceeded = true,
                            .use_count = 1};
  for (const bool verified : {false, true}) {
    EXPECT_THAT(Dump(AcctDumpFilter::kQuotaExceeded, verified),
                ElementsAre(above));
  }
  EXPECT_THAT(Dump(), SizeIs(3));
}

TEST_P(AcctQuotaTest, ReachingAQuotaIsOneEventUntilTheReset) {
  ASSERT_OK(CreateOne({.name = "cap", .quota = QuotaOf(3)}));
  world_->AddReference("cap");
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  // The second crossing comes after a reset; between them are packets above
  // the quota, which are none.
  world_->Count("cap", 5);
  EXPECT_THAT((*events)->Next(), IsOkAndHolds(CrossingOf("cap", 3, 5)));
  EXPECT_THAT(ResetOne("cap"),
              IsOkAndHolds(AcctObject{.name = "cap",
                                      .packets = 5,
                                      .bytes = 5 * kUdpPacketBytes,
                                      .quota = QuotaOf(3),
                                      .quota_exceeded = true,
                                      .use_count = 1}));
  EXPECT_THAT(table().Get("cap"),
              IsOkAndHolds(Field(&AcctObject::quota_exceeded, false)));
  world_->Count("cap", 4);
  EXPECT_THAT((*events)->Next(), IsOkAndHolds(CrossingOf("cap", 3, 4)));
  (*events)->Cancel();
  EXPECT_THAT((*events)->Next(), StatusIs(Code::kCancelled));
}

TEST_P(AcctQuotaTest, EventsWaitForTheirReader) {
  ASSERT_OK(CreateOne({.name = "cap", .quota = QuotaOf(3)}));
  world_->AddReference("cap");
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  world_->Count("cap", 5);
  ASSERT_OK(ResetOne("cap"));
  world_->Count("cap", 4);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT((*events)->Next(),
                IsOkAndHolds(AllOf(Field(&AcctObject::name, Eq("cap")),
                                   Field(&AcctObject::quota, QuotaOf(3)),
                                   Field(&AcctObject::quota_exceeded, true))));
  }
}

TEST_P(AcctQuotaTest, StartingAboveTheQuotaIsExceededWithTheFirstPacket) {
  ASSERT_OK(CreateOne({.name = "cap",
                       .packets = 9,
                       .bytes = 9 * kUdpPacketBytes,
                       .quota = QuotaOf(3)}));
  EXPECT_THAT(table().Get("cap"),
              IsOkAndHolds(Field(&AcctObject::quota_exceeded, false)));
  world_->AddReference("cap");
  world_->Count("cap", 1);
  EXPECT_THAT(table().Get("cap"),
              IsOkAndHolds(Field(&AcctObject::quota_exceeded, true)));
}

TEST_P(AcctQuotaTest, EventsGoToEverySubscription) {
  ASSERT_OK(CreateOne({.name = "cap", .quota = QuotaOf(1)}));
  world_->AddReference("cap");
  const auto first = table().WatchQuotas();
  const auto second = table().WatchQuotas();
  ASSERT_OK(first);
  ASSERT_OK(second);
  world_->Count("cap", 1);
  EXPECT_THAT((*first)->Next(),
              IsOkAndHolds(Field(&AcctObject::name, Eq("cap"))));
  EXPECT_THAT((*second)->Next(),
              IsOkAndHolds(Field(&AcctObject::name, Eq("cap"))));
}

TEST_P(AcctQuotaTest, CancelWakesAReaderThatWaits) {
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  std::thread reader([&] {
    EXPECT_THAT((*events)->Next(), StatusIs(Code::kCancelled));
    EXPECT_THAT((*events)->Next(), StatusIs(Code::kCancelled));
  });
  (*events)->Cancel();
  reader.join();
}

}  // namespace
}  // namespace nfmeter::kernel
