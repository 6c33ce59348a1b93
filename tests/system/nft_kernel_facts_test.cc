// SPDX-License-Identifier: GPL-3.0-or-later
// What the nf_tables backend relies on in the kernel itself. When a kernel
// answers differently, the code named in each test has to be looked at again.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/netlink/netlink_subscription.h"
#include "kernel/linux/nftables/nft_census.h"
#include "kernel/linux/nftables/nft_exchange.h"
#include "kernel/linux/nftables/nft_message.h"
#include "kernel/linux/nftables/nft_table.h"
#include "kernel/linux/nftables/nft_userdata.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/conformance/nft_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::NftCountPort;
using ::nfmeter::testing::SendUdp;
using ::testing::ElementsAre;
using ::testing::Optional;
using ::testing::Pair;

constexpr auto kCounter = NftObjectType::kCounter;
constexpr auto kQuota = NftObjectType::kQuota;

void Nft(const std::string& command) {
  const testing::RunResult result = testing::Run({"nft", command});
  ASSERT_EQ(result.exit_code, 0) << command << ": " << result.err;
}

// An object as it was asked for by name.
struct Answer {
  int err = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  uint32_t use = 0;
  uint64_t consumed = 0;
  bool exceeded = false;
};

class NftKernelFactsTest : public ::testing::Test {
 protected:
  NftKernelFactsTest() : table_(Open(/*own=*/true)) {}

  static std::unique_ptr<NftTable> Open(bool own) {
    NftTable::Options options;
    options.own = own;
    auto table = NftTable::Open(options).value();
    EXPECT_OK(table->Probe());
    return table;
  }

  Answer Ask(NftTable& table, NftObjectType type, const std::string& name,
             bool reset = false) {
    Answer answer;
    NftTable::Lease socket(table);
    ExchangeNft(
        *socket, 1,
        [&](size_t, uint32_t sequence, std::string& out) {
          (reset ? AppendNftResetObject : AppendNftGetObject)(type, name,
                                                              sequence, out);
        },
        [&](size_t, int err, const NftMessage* message) {
          answer.err = err;
          NftObjectInfo info;
          if (message == nullptr || !ReadNftObject(message->attributes, info)) {
            return;
          }
          answer = {0,        info.packets,  info.bytes,
                    info.use, info.consumed, info.exceeded};
        });
    return answer;
  }
  Answer Get(const std::string& name) { return Ask(*table_, kCounter, name); }

  void Create(const std::vector<std::string>& names) {
    NftBatch batch = table_->NewBatch();
    for (const std::string& name : names) batch.AddCounter(name, 1, 100, "");
    ASSERT_OK(table_->Commit(batch));
  }

  // Counts port 20000 into c.cap, of which two packets are the quota.
  void CountIntoCap() {
    NftBatch batch = table_->NewBatch();
    batch.AddCounter("c.cap", 0, 0, "");
    batch.AddQuota("c.cap", 2 * kUdpPacketBytes, 0);
    ASSERT_OK(table_->Commit(batch));
    NftCountPort(*table_, 20000, "cap", true);
  }

  std::vector<std::pair<std::string, uint64_t>> Dump(
      uint16_t command = NFT_MSG_GETOBJ) {
    std::vector<std::pair<std::string, uint64_t>> values;
    NftTable::Lease socket(*table_);
    std::string question = NftDumpObjects(kCounter);
    // The type of the message.
    question[4] = static_cast<char>(command);
    const auto end = DumpNft(*socket, question, [&](const NftMessage& message) {
      NftObjectInfo info;
      if (ReadNftObject(message.attributes, info)) {
        values.emplace_back(info.name, info.packets);
      }
    });
    EXPECT_EQ(end.err, 0);
    return values;
  }

  // What the kernel says about a dump in which something changes after each of
  // the first datagrams; not after each, as what is added may never let it end.
  bool IsInterrupted(const std::string& question,
                     absl::FunctionRef<void()> change_once) {
    NftTable::Lease socket(*table_);
    int left = 3;
    const auto change = [&] {
      if (left-- > 0) change_once();
    };
    const auto end = DumpNft(
        *socket, question, [](const NftMessage&) {}, change);
    EXPECT_EQ(end.err, 0);
    return end.interrupted;
  }

  // Keys from `first` on, all into counter "c".
  static std::vector<NftBatch::MapElement> ElementsOf(uint32_t first,
                                                      uint32_t count) {
    std::vector<NftBatch::MapElement> elements;
    for (uint32_t i = first; i < first + count; ++i) {
      const uint32_t key = htonl(i);
      elements.push_back(
          {std::string(reinterpret_cast<const char*>(&key), sizeof(key)), "c"});
    }
    return elements;
  }

  // Messages that tell of quota "c.cap" being crossed. A change comes last,
  // behind all that was there.
  int CrossingsUntilNow(NetlinkSubscription& events) {
    const std::string last = absl::StrCat("last", marks_++);
    Create({last});
    int crossings = 0;
    while (true) {
      const auto datagram = events.Next();
      if (!datagram.ok()) {
        ADD_FAILURE() << datagram.status();
        return -1;
      }
      NftMessageReader messages(*datagram);
      while (const NftMessage* message = messages.Next()) {
        NftObjectInfo info;
        if (!ReadNftObject(message->attributes, info)) continue;
        if (info.name == last) return crossings;
        // What transactions change has the number of its message.
        if (info.name == "c.cap" && message->sequence == 0) ++crossings;
      }
    }
  }

  int marks_ = 0;
  const std::unique_ptr<NftTable> table_;
};

// NftBatch::AddCounter, which asks for that.
TEST_F(NftKernelFactsTest, OnlyAnExclusiveCreationTellsThatACounterExists) {
  Create({"c"});
  NftBatch batch = table_->NewBatch();
  const size_t place = batch.size();
  batch.AddCounter("c", 9, 9, "");
  EXPECT_THAT(table_->Commit(batch).messages, ElementsAre(Pair(place, EEXIST)));
  EXPECT_EQ(Get("c").packets, 1u);
  // As nft does it: no error, and the old values.
  Nft("add table inet other");
  Nft("add counter inet other c { packets 1 bytes 1; }");
  Nft("add counter inet other c { packets 9 bytes 9; }");
  EXPECT_THAT(testing::Run({"nft", "list counters table inet other"}).out,
              ::testing::HasSubstr("packets 1 bytes 1"));
}

// NftAcctTable::ChangeEach.
TEST_F(NftKernelFactsTest, ATransactionIsAllOrNothingAndNamesEachError) {
  Create({"a"});
  NftBatch batch = table_->NewBatch();
  batch.AddCounter("new", 0, 0, "");
  const size_t exists = batch.size();
  batch.AddCounter("a", 0, 0, "");
  const size_t missing = batch.size();
  batch.DeleteCounter("nobody");
  const NftErrors errors = table_->Commit(batch);
  EXPECT_EQ(errors.whole, 0);
  EXPECT_THAT(errors.messages,
              ElementsAre(Pair(exists, EEXIST), Pair(missing, ENOENT)));
  EXPECT_EQ(Get("new").err, ENOENT);
}

// NftRuleTable: a change rests on what was read.
TEST_F(NftKernelFactsTest, AStaleGenerationIsRefused) {
  Create({"a"});
  const auto generation = table_->Generation();
  ASSERT_OK(generation);
  Nft("add table ip somebody");
  NftBatch batch = table_->NewBatch();
  batch.AddCounter("b", 0, 0, "");
  EXPECT_EQ(table_->Commit(batch, *generation).whole, ERESTART);
  EXPECT_EQ(Get("b").err, ENOENT);
  EXPECT_OK(table_->Commit(batch, *table_->Generation()));
}

// NftTable::Rehearse.
TEST_F(NftKernelFactsTest, ATransactionWithoutAnEndIsCheckedAndDropped) {
  Create({"a"});
  const auto generation = table_->Generation();
  NftBatch good = table_->NewBatch();
  good.AddCounter("b", 0, 0, "");
  EXPECT_OK(table_->Rehearse(good));
  NftBatch bad = table_->NewBatch();
  const size_t exists = bad.size();
  bad.AddCounter("a", 0, 0, "");
  EXPECT_THAT(table_->Rehearse(bad).messages,
              ElementsAre(Pair(exists, EEXIST)));
  EXPECT_EQ(Get("b").err, ENOENT);
  EXPECT_EQ(*table_->Generation(), *generation);
}

// RisingHandles in nft_acct_dump.cc.
TEST_F(NftKernelFactsTest, ADumpIsInTheOrderOfHandles) {
  Create({"z", "a", "m"});
  NftBatch batch = table_->NewBatch();
  batch.DeleteCounter("a");
  batch.AddCounter("a", 0, 0, "");
  ASSERT_OK(table_->Commit(batch));
  EXPECT_THAT(Dump(), ElementsAre(Pair("z", 1u), Pair("m", 1u), Pair("a", 0u)));
}

// CountNftObjects().
TEST_F(NftKernelFactsTest, TheTableCountsWhatIsInIt) {
  Create({"a", "b"});
  NftBatch batch = table_->NewBatch();
  batch.AddQuota("a", 100, 0);
  ASSERT_OK(table_->Commit(batch));
  // A chain, and an anonymous set of its rule.
  NftBatch::Set set = {.id = 1,
                       .key_type = 13,
                       .key_bytes = 2,
                       .elements = {{80, 80}, {90, 99}}};
  batch = table_->NewBatch();
  batch.AddChain("chain", {.point = kernel::NftHookPoint::kOutput});
  batch.AddSet(set);
  batch.AddRule("chain",
                {.expressions = {NftPayload{NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2},
                                 NftLookup{"__set%d", 1}}},
                1, {});
  ASSERT_OK(table_->Commit(batch));
  const auto state = table_->Read();
  ASSERT_OK(state);
  EXPECT_EQ((*state)->use, 4u);  // the set counts in its rule
  NftTable::Lease socket(*table_);
  EXPECT_THAT(CountNftObjects(*socket), IsOkAndHolds(Optional(3u)));
}

// AcctObject::use_count.
TEST_F(NftKernelFactsTest, UseOfAnObjectLeavesItselfOut) {
  Create({"c.web"});
  EXPECT_EQ(Get("c.web").use, 0u);
  NftCountPort(*table_, 20000, "web", false);
  EXPECT_EQ(Get("c.web").use, 1u);
  NftBatch batch = table_->NewBatch();
  const size_t held = batch.size();
  batch.DeleteCounter("c.web");
  EXPECT_THAT(table_->Commit(batch).messages, ElementsAre(Pair(held, EBUSY)));
}

// Why counters are reset by name, never by a dump.
TEST_F(NftKernelFactsTest, AResettingDumpLosesValuesAndAResetByNameDoesNot) {
  constexpr int kCounters = 10'000;
  // The kernel zeroes a counter before it finds that its comment does not fit
  // the message.
  const std::string comment = NftComment(std::string(100, 'u'));
  NftBatch batch = table_->NewBatch();
  for (int i = 0; i < kCounters; ++i) {
    batch.AddCounter(absl::StrCat("c", i), 1, 100, comment);
  }
  ASSERT_OK(table_->Commit(batch));
  uint64_t read = 0;
  for (const auto& [name, packets] : Dump(NFT_MSG_GETOBJ_RESET)) {
    read += packets;
  }
  for (const auto& [name, packets] : Dump()) read += packets;
  EXPECT_LT(read, uint64_t{kCounters});
  // Whoever reads that it is no longer so may use it.
  Create({"d"});
  EXPECT_EQ(Ask(*table_, kCounter, "d", /*reset=*/true).packets, 1u);
  EXPECT_EQ(Get("d").packets, 0u);
}

// NftTable: why it owns its table.
TEST_F(NftKernelFactsTest, AnOwnedTableIsFlushedByNobody) {
  Create({"a"});
  Nft("flush ruleset");
  EXPECT_NE(testing::Run({"nft", "delete table inet nfmeter"}).exit_code, 0);
  EXPECT_NE(testing::Run({"nft", "add counter inet nfmeter x"}).exit_code, 0);
  EXPECT_EQ(Get("a").packets, 1u);
  // Another socket of this process is others, too, but may reset.
  const auto other = NftTable::Open().value();
  NftBatch batch = table_->NewBatch();
  batch.AddCounter("b", 0, 0, "");
  EXPECT_EQ(other->Commit(batch).first(), EPERM);
  EXPECT_EQ(Ask(*other, kCounter, "a", /*reset=*/true).packets, 1u);
}

// NftTable: how a process takes over from the one before.
TEST(NftOwnershipFactsTest, APersistentTableOutlivesItsOwnerAndIsAdopted) {
  auto first = NftTable::Open().value();
  ASSERT_OK(first->Probe());
  NftBatch batch = first->NewBatch();
  batch.AddCounter("a", 1, 1, "");
  ASSERT_OK(first->Commit(batch));
  auto second = NftTable::Open().value();
  EXPECT_THAT(second->Probe(), testing::HasReason("NFT_TABLE_OWNED"));
  first.reset();
  // Nobody's, it can be flushed: the next one takes it over at once.
  ASSERT_OK(second->Probe());
  ASSERT_OK(second->Commit(second->NewBatch()));
  Nft("flush ruleset");
  const auto state = second->Read();
  ASSERT_OK(state);
  ASSERT_TRUE(state->has_value());
  EXPECT_EQ((*state)->use, 1u);
  EXPECT_NE((*state)->owner, 0u);
}

// NftTable::Adopt(): alone, before the change.
TEST(NftOwnershipFactsTest, ATableThatChangesItsOwnerGetsNoBaseChain) {
  auto first = NftTable::Open().value();
  ASSERT_OK(first->Probe());
  NftBatch kept = first->NewBatch();  // an empty table would go with it
  kept.AddCounter("a", 1, 1, "");
  ASSERT_OK(first->Commit(kept));
  first.reset();
  const auto second = NftTable::Open().value();
  NftBatch batch;
  batch.AddTable(kNftTableOwner | kNftTablePersist);
  batch.AddChain("chain", {.point = kernel::NftHookPoint::kOutput});
  EXPECT_FALSE(second->Commit(batch).ok());
  NftBatch alone;
  alone.AddTable(kNftTableOwner | kNftTablePersist);
  EXPECT_OK(second->Commit(alone));
  EXPECT_OK(second->Commit(batch));
}

TEST_F(NftKernelFactsTest, APlainTableIsFlushedAndCanNotBecomeOwned) {
  auto plain = Open(/*own=*/false);
  NftBatch batch = plain->NewBatch();
  batch.AddCounter("a", 1, 1, "");
  ASSERT_OK(plain->Commit(batch));
  NftBatch owning;
  owning.AddTable(kNftTableOwner | kNftTablePersist);
  EXPECT_EQ(plain->Commit(owning).first(), EOPNOTSUPP);
  Nft("flush ruleset");
  EXPECT_EQ(Ask(*plain, kCounter, "a").err, ENOENT);
}

// kNftUserdataMaxBytes, NftObjectName().
TEST_F(NftKernelFactsTest, NamesHave255BytesAndUserdata256) {
  NftBatch batch = table_->NewBatch();
  batch.AddCounter(std::string(255, 'n'), 0, 0, "");
  EXPECT_OK(table_->Commit(batch));
  NftBatch longer = table_->NewBatch();
  longer.AddCounter(std::string(256, 'n'), 0, 0, "");
  EXPECT_FALSE(table_->Commit(longer).ok());
  NftBatch full = table_->NewBatch();
  full.AddCounter("full", 0, 0, std::string(256, 'u'));
  EXPECT_OK(table_->Commit(full));
  NftBatch over = table_->NewBatch();
  over.AddCounter("over", 0, 0, std::string(257, 'u'));
  EXPECT_FALSE(table_->Commit(over).ok());
}

// AddCreation() in nft_acct_table.cc.
TEST_F(NftKernelFactsTest, AQuotaIsExceededWhenNothingIsLeftAndCountsNoMore) {
  NftBatch batch = table_->NewBatch();
  batch.AddCounter("c.cap", 0, 0, "");
  batch.AddQuota("c.cap", 250, 0);
  batch.AddQuota("c.full", 250, 250);
  ASSERT_OK(table_->Commit(batch));
  EXPECT_TRUE(Ask(*table_, kQuota, "c.full").exceeded);
  NftBatch beyond = table_->NewBatch();
  const size_t refused = beyond.size();
  beyond.AddQuota("c.beyond", 250, 251);
  EXPECT_THAT(table_->Commit(beyond).messages,
              ElementsAre(Pair(refused, EINVAL)));
  NftCountPort(*table_, 20000, "cap", true);
  SendUdp(20000, 2);
  EXPECT_FALSE(Ask(*table_, kQuota, "c.cap").exceeded);
  SendUdp(20000, 2);
  const Answer exceeded = Ask(*table_, kQuota, "c.cap");
  EXPECT_TRUE(exceeded.exceeded);
  EXPECT_EQ(exceeded.consumed, 250u);
  EXPECT_EQ(Get("c.cap").bytes, 4 * kUdpPacketBytes);
  EXPECT_TRUE(Ask(*table_, kQuota, "c.cap", /*reset=*/true).exceeded);
  EXPECT_FALSE(Ask(*table_, kQuota, "c.cap").exceeded);
}

// NftQuotaEvents, and why it listens with a large buffer and reads nothing but
// these.
TEST_F(NftKernelFactsTest, AQuotaTellsOncePerCrossingUntilItIsArmedAgain) {
  ASSERT_NO_FATAL_FAILURE(CountIntoCap());
  const auto events = NetlinkSubscription::Open(
      table_->network(), NFNLGRP_NFTABLES, /*receive_buffer_bytes=*/1 << 20);
  ASSERT_OK(events);

  SendUdp(20000, 1);
  EXPECT_EQ(CrossingsUntilNow(**events), 0);
  SendUdp(20000, 5);
  EXPECT_EQ(CrossingsUntilNow(**events), 1);
  SendUdp(20000, 5);
  EXPECT_EQ(CrossingsUntilNow(**events), 0);
  // A reset arms it again, and so does another limit.
  ASSERT_TRUE(Ask(*table_, kQuota, "c.cap", /*reset=*/true).exceeded);
  SendUdp(20000, 5);
  EXPECT_EQ(CrossingsUntilNow(**events), 1);
  NftBatch more = table_->NewBatch();
  more.SetQuota("c.cap", 4 * kUdpPacketBytes);
  ASSERT_OK(table_->Commit(more));
  SendUdp(20000, 5);
  EXPECT_EQ(CrossingsUntilNow(**events), 1);
}

// NftAcctTable::SetQuota().
TEST_F(NftKernelFactsTest, AQuotaChangesInPlaceKeepsWhatItUsedAndIsArmedAgain) {
  ASSERT_NO_FATAL_FAILURE(CountIntoCap());
  SendUdp(20000, 2);
  ASSERT_TRUE(Ask(*table_, kQuota, "c.cap").exceeded);
  NftBatch more = table_->NewBatch();
  more.SetQuota("c.cap", 4 * kUdpPacketBytes);
  ASSERT_OK(table_->Commit(more));
  const Answer changed = Ask(*table_, kQuota, "c.cap");
  EXPECT_FALSE(changed.exceeded);
  EXPECT_EQ(changed.consumed, 2 * kUdpPacketBytes);
  SendUdp(20000, 2);
  EXPECT_TRUE(Ask(*table_, kQuota, "c.cap").exceeded);
}

// NftAcctTable::Renew().
TEST_F(NftKernelFactsTest, ACounterIsDeletedAndMadeInOneStepWithItsValues) {
  Create({"a"});
  NftBatch batch = table_->NewBatch();
  batch.DeleteCounter("a");
  batch.AddCounter("a", 7, 700, "");
  batch.AddQuota("a", 1000, 700);
  ASSERT_OK(table_->Commit(batch));
  EXPECT_EQ(Get("a").packets, 7u);
  EXPECT_EQ(Get("a").bytes, 700u);
  EXPECT_EQ(Ask(*table_, kQuota, "a").consumed, 700u);
}

// NftRuleTable::Fingerprint(), NftOwnedTable: what is of one generation is the
// same.
TEST_F(NftKernelFactsTest, TheGenerationIsThatOfCommittedChangesAlone) {
  Create({"a"});
  const uint32_t generation = *table_->Generation();
  Nft("list ruleset");
  EXPECT_EQ(testing::Run({"nft", "-c", "add table ip somebody"}).exit_code, 0);
  EXPECT_NE(testing::Run({"nft", "delete table ip nobody"}).exit_code, 0);
  EXPECT_EQ(testing::Run({"iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"})
                .exit_code,
            0);
  EXPECT_EQ(Ask(*table_, kCounter, "a", /*reset=*/true).packets, 1u);
  EXPECT_EQ(*table_->Generation(), generation);
  Nft("add table ip somebody");
  EXPECT_EQ(*table_->Generation(), generation + 1);
}

// ReadNftOwned(): why what it has read counts as of one moment only while the
// generation stays, and why accounts are objects and not counters of elements.
TEST_F(NftKernelFactsTest, ADumpOfElementsDoesNotTellOfChangesMeanwhile) {
  constexpr uint32_t kElements = 10'000;
  const NftBatch::Map map = {.name = "map",
                             .key_type = 7,
                             .key_bytes = 4,
                             .objects = static_cast<uint32_t>(kCounter)};
  Create({"c"});
  NftBatch filled = table_->NewBatch();
  filled.AddMap(map);
  filled.AddElements("map", ElementsOf(0, kElements));
  ASSERT_OK(table_->Commit(filled));
  const uint32_t generation = *table_->Generation();

  uint32_t changes = 0;
  const bool elements_told = IsInterrupted(NftDumpElements("map"), [&] {
    NftBatch change = table_->NewBatch();
    change.AddElements("map", ElementsOf(kElements + changes, 1));
    change.DeleteElements("map", ElementsOf(changes, 1));
    EXPECT_OK(table_->Commit(change));
    ++changes;
  });
  EXPECT_GT(changes, 1u);
  EXPECT_FALSE(elements_told);
  EXPECT_EQ(*table_->Generation(), generation + changes);

  // That of objects does.
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back(absl::StrCat("o", i));
  Create(names);
  int made = 0;
  EXPECT_TRUE(IsInterrupted(NftDumpObjects(kCounter),
                            [&] { Create({absl::StrCat("new", made++)}); }));
}

// Why Commit() has a bound.
TEST_F(NftKernelFactsTest, ATransactionIsOneSendAndFitsTheSendBuffer) {
  NftTable::Options options;
  options.send_buffer_bytes = 64 << 10;
  const auto small = NftTable::Open(options).value();
  NftBatch batch;
  while (batch.bytes() <= small->batch_bytes_max()) {
    batch.AddCounter(absl::StrCat("c", batch.size()), 0, 0, "");
  }
  EXPECT_EQ(small->Rehearse(batch).whole, EMSGSIZE);
}

}  // namespace
}  // namespace nfmeter::kernel
