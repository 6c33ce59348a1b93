// SPDX-License-Identifier: GPL-3.0-or-later
// What every AcctTable does, in memory and on the real kernel alike.
#include "kernel/acct_table.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/nftables/nft_acct_table.h"
#include "kernel/linux/nftables/nft_table.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/conformance/nft_traffic.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::CountPort;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::NftCountPort;
using ::nfmeter::testing::NftForgetPort;
using ::nfmeter::testing::SendUdp;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

// A table, and what happens to it from outside.
class World {
 public:
  virtual ~World() = default;
  virtual AcctTable& table() = 0;
  virtual void AddReference(const std::string& name) = 0;
  virtual void RemoveReference(const std::string& name) = 0;
  // Packets of kUdpPacketBytes each; the object must be referenced.
  virtual void Count(const std::string& name, int packets) = 0;
  // Quotas of packets, and values of a crossing that are those of its moment;
  // without them there are only bytes, and values of when it was read.
  virtual bool has_packet_quotas() const { return true; }
};

class FakeWorld : public World {
 public:
  explicit FakeWorld(const AcctFeatures& features) {
    table_.SetFeatures(features);
  }
  AcctTable& table() override { return table_; }
  void AddReference(const std::string& name) override {
    ASSERT_OK(table_.AddReference(name));
  }
  void RemoveReference(const std::string& name) override {
    table_.RemoveReference(name);
  }
  void Count(const std::string& name, int packets) override {
    for (int i = 0; i < packets; ++i) {
      ASSERT_OK(table_.Count(name, 1, kUdpPacketBytes));
    }
  }

 private:
  FakeAcctTable table_;
};

class NfacctWorld : public World {
 public:
  NfacctWorld() : table_(NetlinkAcctTable::Open().value()) {}
  ~NfacctWorld() override {
    for (const auto& [name, port] : ports_) {
      CountPort("-D", port, NfacctName(name));
    }
    std::vector<std::string> names;
    (void)table_->Dump(AcctDumpFilter::kAll,
                       [&](absl::Span<const AcctRecord> records) {
                         for (const AcctRecord& record : records) {
                           names.emplace_back(record.name);
                         }
                       });
    table_->Delete(names);
  }
  AcctTable& table() override { return *table_; }
  void AddReference(const std::string& name) override {
    ports_[name] = next_port_++;
    CountPort("-A", ports_[name], NfacctName(name));
  }
  void RemoveReference(const std::string& name) override {
    CountPort("-D", ports_[name], NfacctName(name));
    ports_.erase(name);
  }
  void Count(const std::string& name, int packets) override {
    SendUdp(ports_.at(name), packets);
  }

 private:
  const std::unique_ptr<NetlinkAcctTable> table_;
  std::map<std::string, uint16_t> ports_;
  uint16_t next_port_ = 20000;
};

// nf_tables. The world goes with the table, which its process owns.
class NftWorld : public World {
 public:
  NftWorld() : nft_(NftTable::Open().value()), table_(*nft_) {
    EXPECT_OK(table_.Probe());
  }
  ~NftWorld() override {
    NftBatch batch = nft_->NewBatch();
    batch.DeleteTable();
    EXPECT_TRUE(nft_->Commit(batch).ok());
  }
  AcctTable& table() override { return table_; }
  void AddReference(const std::string& name) override {
    ports_[name] = next_port_++;
    NftCountPort(*nft_, ports_[name], name,
                 table_.Get(name)->quota.has_value());
  }
  void RemoveReference(const std::string& name) override {
    NftForgetPort(*nft_, ports_[name]);
    ports_.erase(name);
  }
  void Count(const std::string& name, int packets) override {
    SendUdp(ports_.at(name), packets);
  }
  bool has_packet_quotas() const override { return false; }

 private:
  const std::unique_ptr<NftTable> nft_;
  NftAcctTable table_;
  std::map<std::string, uint16_t> ports_;
  uint16_t next_port_ = 20000;
};

std::unique_ptr<World> MakeWorld(const std::string& kind) {
  if (kind == "Nfacct") return std::make_unique<NfacctWorld>();
  if (kind == "Nftables") return std::make_unique<NftWorld>();
  return std::make_unique<FakeWorld>(
      AcctFeatures{.stable_dump = kind == "ExtendedFake",
                   .replace = kind == "ExtendedFake"});
}

class AcctTableTest : public ::testing::TestWithParam<std::string> {
 protected:
  AcctTableTest() : world_(MakeWorld(GetParam())) {}

  AcctTable& table() { return world_->table(); }

  // A limit that the given number of packets of ours reaches.
  QuotaLimit QuotaOf(uint64_t packets) {
    return world_->has_packet_quotas()
               ? QuotaLimit{QuotaLimit::Unit::kPackets, packets}
               : QuotaLimit{QuotaLimit::Unit::kBytes,
                            packets * kUdpPacketBytes};
  }
  // What an event says of a counter with this quota that crossed it at its
  // limit, and had counted so many packets when it was read.
  ::testing::Matcher<AcctObject> CrossingOf(const std::string& name,
                                            uint64_t limit, uint64_t read) {
    const uint64_t packets = world_->has_packet_quotas() ? limit : read;
    return Eq(AcctObject{.name = name,
                         .packets = packets,
                         .bytes = packets * kUdpPacketBytes,
                         .quota = QuotaOf(limit),
                         .quota_exceeded = true,
                         .use_count = 1});
  }

  absl::Status CreateOne(const AcctObject& object) {
    return table().Create({object}).front();
  }
  absl::Status CreateNamed(const std::string& name) {
    return CreateOne(AcctObject{.name = name});
  }
  absl::Status DeleteOne(const std::string& name) {
    return table().Delete({name}).front();
  }
  absl::StatusOr<AcctObject> ResetOne(const std::string& name) {
    return table().GetAndReset({name}).front();
  }

  // Keeps what the last walk has handed out.
  class Records : public AcctReader {
   public:
    void OnBegin() override { objects.clear(); }
    void OnRecords(absl::Span<const AcctRecord> records) override {
      for (const AcctRecord& record : records) {
        objects.push_back({.name = std::string(record.name),
                           .packets = record.packets,
                           .bytes = record.bytes,
                           .quota = record.quota,
                           .quota_exceeded = record.quota_exceeded,
                           .use_count = record.use_count});
      }
    }
    std::vector<AcctObject> objects;
  };
  absl::StatusOr<AcctDumpOutcome> DumpTo(
      Records& records, AcctDumpFilter filter = AcctDumpFilter::kAll,
      bool verified = true) {
    if (verified) return table().DumpVerified(filter, records);
    return table().Dump(filter, [&](absl::Span<const AcctRecord> group) {
      records.OnRecords(group);
    });
  }

  // All records of a dump that must be complete.
  std::vector<AcctObject> Dump(AcctDumpFilter filter = AcctDumpFilter::kAll,
                               bool verified = true) {
    Records records;
    const absl::StatusOr<AcctDumpOutcome> outcome =
        DumpTo(records, filter, verified);
    const std::vector<AcctObject>& objects = records.objects;
    EXPECT_OK(outcome);
    if (outcome.ok()) {
      EXPECT_TRUE(outcome->complete);
      EXPECT_EQ(outcome->records, objects.size());
    }
    return objects;
  }

  const std::unique_ptr<World> world_;
};

INSTANTIATE_TEST_SUITE_P(Kernel, AcctTableTest,
                         ::testing::Values("Fake", "ExtendedFake", "Nfacct",
                                           "Nftables"),
                         [](const auto& info) { return info.param; });

constexpr auto kPackets = QuotaLimit::Unit::kPackets;
constexpr auto kBytes = QuotaLimit::Unit::kBytes;

TEST_P(AcctTableTest, ProbeSucceedsWhereObjectsCanBeUsed) {
  EXPECT_OK(table().Probe());
  EXPECT_THAT(Dump(), IsEmpty());
}

TEST_P(AcctTableTest, CreatedObjectIsReadBackWithItsStartingValues) {
  const AcctObject object = {.name = "web",
                             .packets = 0x0102030405060708,
                             .bytes = 0x1112131415161718,
                             .quota = QuotaLimit{kBytes, 0x2122232425262728}};
  ASSERT_OK(CreateOne(object));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(object));
  EXPECT_THAT(Dump(), ElementsAre(object));
}

TEST_P(AcctTableTest, CreateIgnoresUseCountAndExceeded) {
  ASSERT_OK(CreateOne({.name = "web", .quota_exceeded = true, .use_count = 7}));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(AcctObject{.name = "web"}));
}

TEST_P(AcctTableTest, QuotasOfPacketsAreKeptOrRefusedByName) {
  const AcctObject object = {.name = "cap", .quota = QuotaLimit{kPackets, 7}};
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

TEST_P(AcctTableTest, QuotaOfZeroIsAQuota) {
  // Where quotas are what is left, nothing is from the start.
  const AcctObject object = {.name = "none",
                             .quota = QuotaOf(0),
                             .quota_exceeded = !world_->has_packet_quotas()};
  ASSERT_OK(CreateOne(object));
  EXPECT_THAT(table().Get("none"), IsOkAndHolds(object));
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

TEST_P(AcctTableTest, AnObjectWithALongNameCountsAndTellsOfItsQuota) {
  const std::string name(kAcctNameMaxBytes, 'q');
  ASSERT_OK(CreateOne({.name = name, .quota = QuotaOf(2)}));
  world_->AddReference(name);
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  world_->Count(name, 3);
  EXPECT_THAT((*events)->Next(), IsOkAndHolds(CrossingOf(name, 2, 3)));
  world_->RemoveReference(name);
}

TEST_P(AcctTableTest, RenewGivesAFreeObjectItsValuesAndAnotherQuota) {
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

TEST_P(AcctTableTest, RenewLeavesAnObjectThatIsHeld) {
  ASSERT_OK(CreateNamed("web"));
  world_->AddReference("web");
  world_->Count("web", 2);
  EXPECT_THAT(
      table().Renew({.name = "web", .packets = 9}),
      AllOf(StatusIs(Code::kFailedPrecondition), HasReason("COUNTER_IN_USE")));
  EXPECT_THAT(table().Get("web"), IsOkAndHolds(Field(&AcctObject::packets, 2)));
  world_->RemoveReference("web");
}

TEST_P(AcctTableTest, AQuotaIsChangedInPlaceOrNotAtAll) {
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

TEST_P(AcctTableTest, DumpOfExceededQuotasHandsOutOnlyThose) {
  ASSERT_OK(CreateNamed("free"));
  ASSERT_OK(CreateOne({.name = "below", .quota = QuotaOf(100)}));
  ASSERT_OK(CreateOne({.name = "above", .quota = QuotaLimit{kBytes, 250}}));
  for (const char* name : {"free", "below", "above"}) {
    world_->AddReference(name);
    world_->Count(name, 3);
  }
  const AcctObject above = {.name = "above",
                            .packets = 3,
                            .bytes = 3 * kUdpPacketBytes,
                            .quota = QuotaLimit{kBytes, 250},
                            .quota_exceeded = true,
                            .use_count = 1};
  for (const bool verified : {false, true}) {
    EXPECT_THAT(Dump(AcctDumpFilter::kQuotaExceeded, verified),
                ElementsAre(above));
  }
  EXPECT_THAT(Dump(), SizeIs(3));
}

TEST_P(AcctTableTest, ReachingAQuotaIsOneEventUntilTheReset) {
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

TEST_P(AcctTableTest, EventsWaitForTheirReader) {
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

TEST_P(AcctTableTest, StartingAboveTheQuotaIsExceededWithTheFirstPacket) {
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

TEST_P(AcctTableTest, EventsGoToEverySubscription) {
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

TEST_P(AcctTableTest, CancelWakesAReaderThatWaits) {
  const auto events = table().WatchQuotas();
  ASSERT_OK(events);
  std::thread reader([&] {
    EXPECT_THAT((*events)->Next(), StatusIs(Code::kCancelled));
    EXPECT_THAT((*events)->Next(), StatusIs(Code::kCancelled));
  });
  (*events)->Cancel();
  reader.join();
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
  EXPECT_EQ(features->stable_dump && GetParam() == "Fake", false);
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
TEST_P(AcctTableTest, WhoStaysIsInEveryCompleteDumpOnce) {
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
  for (bool last = false; !last;) {
    last = done;
    Records records;
    const absl::StatusOr<AcctDumpOutcome> outcome = DumpTo(records);
    int stayed = 0;
    for (const AcctObject& object : records.objects) {
      stayed += absl::StartsWith(object.name, "stay.");
    }
    EXPECT_OK(outcome);
    if (!outcome.ok()) break;
    EXPECT_TRUE(outcome->complete || !stable);
    if (outcome->complete) {
      EXPECT_EQ(stayed, kPairs);
    }
  }
  deleting.join();
}

}  // namespace
}  // namespace nfmeter::kernel
