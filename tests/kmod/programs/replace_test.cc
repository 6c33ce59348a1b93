// SPDX-License-Identifier: GPL-3.0-or-later
// What our nfnetlink_acct does beyond the stock one: replacing an object in
// one step, and saying what it can do. And that a stock one takes no notice.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kmod/include/nfnetlink_acct_ext.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/kmod/programs/acct_peer.h"

namespace nfmeter::testing {
namespace {

using ::testing::HasSubstr;

bool Ours() {
  const char* module = getenv("NFM_MODULE");
  return module != nullptr && absl::string_view(module) == "ours";
}

AcctMessage New(uint16_t flags) {
  return AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_ACK | flags);
}

// A NEW that replaces, as our module has it.
AcctMessage Replace(absl::string_view name) {
  return New(NLM_F_REPLACE).Name(name).Attribute(NFACCT_EXT_REPLACE, "");
}

class AcctReplace : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!Ours()) GTEST_SKIP() << "the stock module can't";
    ASSERT_EQ(peer_.Create("object", 5, 500), 0);
  }

  AcctObject Object() { return peer_.Get("object").value_or(AcctObject()); }

  AcctPeer peer_;
};

TEST(AcctOldUsers, ReplaceWithoutTheAttributeZeroesAndArms) {
  AcctPeer peer;
  ASSERT_EQ(peer.Do(New(NLM_F_CREATE)
                        .Name("object")
                        .U64(NFACCT_PKTS, 5)
                        .U64(NFACCT_BYTES, 500)
                        .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_BYTES)
                        .U64(NFACCT_QUOTA, 1'000)),
            0);
  ASSERT_EQ(peer.Do(New(NLM_F_CREATE | NLM_F_REPLACE)
                        .Name("object")
                        .U64(NFACCT_PKTS, 77)
                        .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_PKTS)
                        .U64(NFACCT_QUOTA, 3)),
            0);
  const auto object = peer.Get("object");
  ASSERT_TRUE(object.has_value());
  EXPECT_EQ(object->packets, 0u);
  EXPECT_EQ(object->bytes, 0u);
  EXPECT_EQ(object->flags, NFACCT_F_QUOTA_BYTES);
  EXPECT_EQ(object->quota, 1'000u);
}

TEST(AcctOldUsers, AnExistingNameIsBusyOrExists) {
  AcctPeer peer;
  ASSERT_EQ(peer.Do(New(NLM_F_CREATE).Name("object")), 0);
  EXPECT_EQ(peer.Do(New(NLM_F_CREATE).Name("object")), EBUSY);
  EXPECT_EQ(peer.Do(New(NLM_F_CREATE | NLM_F_EXCL).Name("object")), EEXIST);
  EXPECT_EQ(peer.Do(New(NLM_F_EXCL | NLM_F_REPLACE).Name("object")), EEXIST);
}

TEST(AcctOldUsers, AReplacedNameThatIsNotThereIsMade) {
  AcctPeer peer;
  EXPECT_EQ(peer.Do(New(NLM_F_REPLACE).Name("new").U64(NFACCT_PKTS, 9)), 0);
  ASSERT_TRUE(peer.Get("new").has_value());
  EXPECT_EQ(peer.Get("new")->packets, 9u);
}

TEST(AcctFeatures, OnlyOursSaysWhatItCan) {
  AcctPeer peer;
  const AcctReply reply =
      peer.Exchange(AcctMessage(NFNL_MSG_ACCT_GET, NLM_F_ACK)
                        .Attribute(NFACCT_EXT_FEATURES, ""));
  EXPECT_EQ(reply.error, Ours() ? 0 : EINVAL);
  EXPECT_EQ(reply.objects.size(), Ours() ? 1u : 0u);
}

TEST_F(AcctReplace, GivenValuesReplaceAndTheOthersStay) {
  EXPECT_EQ(peer_.Do(Replace("object").U64(NFACCT_PKTS, 70)), 0);
  EXPECT_EQ(Object().packets, 70u);
  EXPECT_EQ(Object().bytes, 500u);
  EXPECT_EQ(peer_.Do(Replace("object").U64(NFACCT_BYTES, 1)), 0);
  EXPECT_EQ(Object().packets, 70u);
  EXPECT_EQ(Object().bytes, 1u);
}

TEST_F(AcctReplace, AQuotaComesChangesAndGoes) {
  EXPECT_EQ(peer_.Do(Replace("object")
                         .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_BYTES)
                         .U64(NFACCT_QUOTA, 1'000)),
            0);
  EXPECT_EQ(Object().flags, NFACCT_F_QUOTA_BYTES);
  EXPECT_EQ(Object().quota, 1'000u);
  EXPECT_EQ(Object().bytes, 500u);

  EXPECT_EQ(peer_.Do(Replace("object").U64(NFACCT_QUOTA, 2'000)), 0);
  EXPECT_EQ(Object().flags, NFACCT_F_QUOTA_BYTES);
  EXPECT_EQ(Object().quota, 2'000u);

  EXPECT_EQ(peer_.Do(Replace("object")
                         .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_PKTS)
                         .U64(NFACCT_QUOTA, 6)),
            0);
  EXPECT_EQ(Object().flags, NFACCT_F_QUOTA_PKTS);
  EXPECT_EQ(Object().quota, 6u);

  EXPECT_EQ(peer_.Do(Replace("object").U32(NFACCT_FLAGS, 0)), 0);
  EXPECT_EQ(Object().flags, std::nullopt);
  EXPECT_EQ(Object().packets, 5u);
  EXPECT_EQ(Object().bytes, 500u);
}

TEST_F(AcctReplace, WhatMakesNoSenseIsRefusedAndChangesNothing) {
  EXPECT_EQ(peer_.Do(Replace("object").U64(NFACCT_QUOTA, 7)), EINVAL);
  EXPECT_EQ(peer_.Do(Replace("object").U32(NFACCT_FLAGS, 1)), EINVAL);
  EXPECT_EQ(
      peer_.Do(Replace("object").U32(NFACCT_FLAGS, 3).U64(NFACCT_QUOTA, 7)),
      EINVAL);
  EXPECT_EQ(peer_.Do(Replace("object")
                         .U64(NFACCT_PKTS, 99)
                         .U32(NFACCT_FLAGS, NFACCT_F_OVERQUOTA)
                         .U64(NFACCT_QUOTA, 7)),
            EOPNOTSUPP);
  EXPECT_EQ(Object().packets, 5u);
  EXPECT_EQ(Object().bytes, 500u);
  EXPECT_EQ(Object().flags, std::nullopt);
}

TEST_F(AcctReplace, WhatIsRefusedIsExplained) {
  const auto why = [&](const AcctMessage& message) {
    return peer_.Exchange(message).why;
  };
  EXPECT_THAT(why(Replace("object").U64(NFACCT_QUOTA, 7)),
              HasSubstr("no quota"));
  EXPECT_THAT(why(Replace("object").U32(NFACCT_FLAGS, 1)), HasSubstr("limit"));
  EXPECT_THAT(why(Replace("object").U32(NFACCT_FLAGS, 3).U64(NFACCT_QUOTA, 7)),
              HasSubstr("either"));
  EXPECT_THAT(why(Replace("object")
                      .U32(NFACCT_FLAGS, NFACCT_F_OVERQUOTA)
                      .U64(NFACCT_QUOTA, 7)),
              HasSubstr("quota flags"));
}

TEST_F(AcctReplace, AMissingNameIsMadeOnlyWhenAskedTo) {
  EXPECT_EQ(peer_.Do(Replace("missing").U64(NFACCT_PKTS, 3)), ENOENT);
  EXPECT_FALSE(peer_.Get("missing").has_value());
  EXPECT_EQ(peer_.Do(New(NLM_F_REPLACE | NLM_F_CREATE)
                         .Name("missing")
                         .Attribute(NFACCT_EXT_REPLACE, "")
                         .U64(NFACCT_PKTS, 3)),
            0);
  ASSERT_TRUE(peer_.Get("missing").has_value());
  EXPECT_EQ(peer_.Get("missing")->packets, 3u);
}

TEST_F(AcctReplace, ARulesObjectIsReplacedUnderneathIt) {
  CountPort("-A", 9999, "object");
  SendUdp(9999, 3);
  EXPECT_EQ(Object().packets, 8u);
  EXPECT_EQ(Object().use, 2u);
  EXPECT_EQ(peer_.Do(Replace("object")
                         .U64(NFACCT_PKTS, 0)
                         .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_PKTS)
                         .U64(NFACCT_QUOTA, 4)),
            0);
  SendUdp(9999, 3);
  EXPECT_EQ(Object().packets, 3u);
  EXPECT_EQ(Object().flags, NFACCT_F_QUOTA_PKTS);
  SendUdp(9999, 2);
  EXPECT_EQ(Object().packets, 5u);
  EXPECT_EQ(Object().flags, NFACCT_F_QUOTA_PKTS | NFACCT_F_OVERQUOTA);
  // A higher limit arms it again.
  EXPECT_EQ(peer_.Do(Replace("object").U64(NFACCT_QUOTA, 100)), 0);
  EXPECT_EQ(Object().flags, NFACCT_F_QUOTA_PKTS);
  EXPECT_EQ(peer_.Do(Replace("object").U32(NFACCT_FLAGS, 0)), 0);
  SendUdp(9999, 2);
  EXPECT_EQ(Object().packets, 7u);
  EXPECT_EQ(Object().bytes, 500 + 10 * kUdpPacketBytes);
  CountPort("-D", 9999, "object");
  EXPECT_EQ(Object().use, 1u);
}

TEST_F(AcctReplace, QuotasThatComeAndGoUnderTrafficLoseNoCount) {
  constexpr int kPackets = 6'000;
  CountPort("-A", 9999, "object");
  std::atomic<int> sending{2};
  const auto send = [&] {
    SendUdp(9999, kPackets);
    --sending;
  };
  std::thread one(send), two(send);
  int rounds = 0;
  for (; sending > 0; ++rounds) {
    EXPECT_EQ(
        peer_.Do(Replace("object")
                     .U32(NFACCT_FLAGS, rounds % 4 == 0 ? NFACCT_F_QUOTA_BYTES
                                                        : NFACCT_F_QUOTA_PKTS)
                     .U64(NFACCT_QUOTA, rounds * 10)),
        0);
    EXPECT_EQ(peer_.Do(Replace("object").U32(NFACCT_FLAGS, 0)), 0);
  }
  one.join();
  two.join();
  EXPECT_GT(rounds, 3);
  EXPECT_EQ(Object().packets, 5u + 2 * kPackets);
  EXPECT_EQ(Object().bytes, 500 + 2 * kPackets * kUdpPacketBytes);
}

}  // namespace
}  // namespace nfmeter::testing
