// SPDX-License-Identifier: GPL-3.0-or-later
// Malformed messages of every kind: each is answered as the stock module
// answers it, and changes nothing.
#include <errno.h>
#include <string.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/kmod/programs/acct_peer.h"

namespace nfmeter::testing {
namespace {

constexpr uint16_t kNew = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
constexpr uint32_t kQuotaPackets = NFACCT_F_QUOTA_PKTS;
constexpr uint32_t kQuotaBytes = NFACCT_F_QUOTA_BYTES;

struct Bad {
  std::string what;
  AcctMessage message;
  int error;
};

AcctMessage New() { return AcctMessage(NFNL_MSG_ACCT_NEW, kNew); }
AcctMessage Get() { return AcctMessage(NFNL_MSG_ACCT_GET, NLM_F_ACK); }
AcctMessage GetAndZero() {
  return AcctMessage(NFNL_MSG_ACCT_GET_CTRZERO, NLM_F_ACK);
}
AcctMessage Delete() { return AcctMessage(NFNL_MSG_ACCT_DEL, NLM_F_ACK); }

class AcctMessagesTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(peer_.Create("bystander", 7, 700), 0); }

  // Nothing was made or lost.
  void ExpectOnlyBystander() {
    const AcctReply dump = peer_.Dump();
    ASSERT_EQ(dump.objects.size(), 1u);
    EXPECT_EQ(dump.objects[0].name, "bystander");
    EXPECT_EQ(dump.objects[0].packets, 7u);
    EXPECT_EQ(dump.objects[0].bytes, 700u);
    EXPECT_EQ(dump.objects[0].use, 1u);
  }

  void ExpectRefused(const std::vector<Bad>& all) {
    for (const Bad& bad : all) {
      SCOPED_TRACE(bad.what);
      EXPECT_STREQ(strerrorname_np(peer_.Do(bad.message)),
                   strerrorname_np(bad.error));
      ExpectOnlyBystander();
    }
  }

  AcctPeer peer_;
};

TEST_F(AcctMessagesTest, NamesThatAreNoNamesAreRefused) {
  ExpectRefused({
      {"new without a name", New(), EINVAL},
      {"get without a name", Get(), EINVAL},
      {"get and zero without a name", GetAndZero(), EINVAL},
      {"new with an empty name", New().Name(""), EINVAL},
      {"get with an empty name", Get().Name(""), ENOENT},
      {"delete with an empty name", Delete().Name(""), ENOENT},
      {"a name of no bytes at all", New().Attribute(NFACCT_NAME, ""), EINVAL},
      {"a name without its NUL", New().Attribute(NFACCT_NAME, "abc"), EINVAL},
      {"31 bytes without a NUL",
       New().Attribute(NFACCT_NAME, std::string(31, 'a')), EINVAL},
      {"32 bytes without a NUL",
       New().Attribute(NFACCT_NAME, std::string(32, 'a')), EINVAL},
      {"32 bytes and a NUL", New().Name(std::string(32, 'a')), EINVAL},
      {"60,000 bytes", New().Name(std::string(60'000, 'a')), EINVAL},
      {"a name that does not exist", Get().Name("bystande"), ENOENT},
      {"a longer name than exists", Delete().Name("bystander2"), ENOENT},
      {"another case", Delete().Name("Bystander"), ENOENT},
  });
}

TEST_F(AcctMessagesTest, NumbersOfTheWrongSizeAreRefused) {
  std::vector<Bad> all;
  for (const uint16_t type : {NFACCT_PKTS, NFACCT_BYTES, NFACCT_QUOTA}) {
    for (const size_t size : {0, 1, 4, 7}) {
      all.push_back({absl::StrCat("attribute ", type, " of ", size, " bytes"),
                     New().Name("new").Attribute(type, std::string(size, 1)),
                     ERANGE});
    }
  }
  for (const size_t size : {0, 1, 3}) {
    all.push_back({absl::StrCat("flags of ", size, " bytes"),
                   New()
                       .Name("new")
                       .Attribute(NFACCT_FLAGS, std::string(size, 0))
                       .U64(NFACCT_QUOTA, 1),
                   ERANGE});
  }
  ExpectRefused(all);
}

TEST_F(AcctMessagesTest, QuotasThatContradictThemselvesAreRefused) {
  ExpectRefused({
      {"packets and bytes at once",
       New()
           .Name("new")
           .U32(NFACCT_FLAGS, kQuotaPackets | kQuotaBytes)
           .U64(NFACCT_QUOTA, 1),
       EINVAL},
      {"a flag that the kernel sets",
       New()
           .Name("new")
           .U32(NFACCT_FLAGS, NFACCT_F_OVERQUOTA)
           .U64(NFACCT_QUOTA, 1),
       EOPNOTSUPP},
      {"a quota of packets that is over",
       New()
           .Name("new")
           .U32(NFACCT_FLAGS, kQuotaPackets | NFACCT_F_OVERQUOTA)
           .U64(NFACCT_QUOTA, 1),
       EOPNOTSUPP},
      {"flags without the quota",
       New().Name("new").U32(NFACCT_FLAGS, kQuotaPackets), EINVAL},
      {"flags that nobody knows",
       New().Name("new").U32(NFACCT_FLAGS, 0x8000'0000).U64(NFACCT_QUOTA, 1),
       EOPNOTSUPP},
  });
}

TEST_F(AcctMessagesTest, AttributesThatLieAboutTheirLengthAreRefused) {
  // A length is the first, a type the second half of these words.
  const auto lie = [](uint16_t length, uint16_t type) {
    std::string bytes(4, 0);
    memcpy(bytes.data(), &length, 2);
    memcpy(bytes.data() + 2, &type, 2);
    return bytes + std::string(12, 'x');
  };
  for (const uint16_t length : {0, 1, 3, 17, 255, 0xffff}) {
    for (const uint16_t type : {NFACCT_UNSPEC, NFACCT_NAME, NFACCT_PKTS}) {
      SCOPED_TRACE(absl::StrCat("length ", length, " of type ", type));
      // Bytes behind the last whole attribute are ignored, so no name is left.
      EXPECT_STREQ(strerrorname_np(peer_.Do(New().Raw(lie(length, type)))),
                   "EINVAL");
      EXPECT_STREQ(strerrorname_np(peer_.Do(Get().Raw(lie(length, type)))),
                   "EINVAL");
      ExpectOnlyBystander();
    }
  }
}

TEST_F(AcctMessagesTest, UnknownCommandsAreRefused) {
  std::vector<Bad> all;
  for (int command = NFNL_MSG_ACCT_OVERQUOTA; command < 256; ++command) {
    for (const uint16_t flags : {0, int{NLM_F_DUMP}}) {
      all.push_back({absl::StrCat("command ", command, " flags ", flags),
                     AcctMessage(command, NLM_F_ACK | flags).Name("bystander"),
                     EINVAL});
    }
  }
  ExpectRefused(all);
}

TEST_F(AcctMessagesTest, MessagesShorterThanTheirHeaderMakeNothing) {
  const AcctMessage whole = New().Name("new");
  for (size_t length = 0; length < whole.bytes().size(); ++length) {
    SCOPED_TRACE(length);
    // Cut short, and said to be whole; and cut short, and admitting it.
    for (const bool admitted : {false, true}) {
      AcctMessage cut = whole;
      if (admitted) cut.ClaimLength(length);
      if (!peer_.Send(absl::string_view(cut.bytes()).substr(0, length))) {
        continue;
      }
      AcctReply reply;
      while (peer_.Receive(4096, 0, reply)) continue;
      ExpectOnlyBystander();
    }
  }
}

TEST_F(AcctMessagesTest, FiltersWithoutMaskOrValueAreRefused) {
  const AcctMessage empty(NFNL_MSG_ACCT_GET, 0);
  const AcctMessage only_mask =
      AcctMessage(NFNL_MSG_ACCT_GET, 0).U32(NFACCT_FILTER_MASK, 4);
  const AcctMessage only_value =
      AcctMessage(NFNL_MSG_ACCT_GET, 0).U32(NFACCT_FILTER_VALUE, 4);
  const AcctMessage short_mask = AcctMessage(NFNL_MSG_ACCT_GET, 0)
                                     .Attribute(NFACCT_FILTER_MASK, "x")
                                     .U32(NFACCT_FILTER_VALUE, 4);
  for (const AcctMessage& inner : {empty, only_mask, only_value, short_mask}) {
    for (const int command : {NFNL_MSG_ACCT_GET, NFNL_MSG_ACCT_GET_CTRZERO}) {
      const AcctReply reply = peer_.Exchange(
          AcctMessage(command, NLM_F_DUMP).Nested(NFACCT_FILTER, inner));
      ASSERT_TRUE(reply.error.has_value());
      EXPECT_THAT(*reply.error, ::testing::AnyOf(EINVAL, ERANGE));
      EXPECT_TRUE(reply.objects.empty());
    }
  }
  // A filter that is no nest but rubbish.
  for (const size_t size : {0, 1, 3, 5, 400}) {
    SCOPED_TRACE(size);
    const AcctReply reply = peer_.Exchange(
        AcctMessage(NFNL_MSG_ACCT_GET, NLM_F_DUMP)
            .Attribute(NFACCT_FILTER, std::string(size, '\xff')));
    EXPECT_TRUE(reply.objects.empty());
    EXPECT_THAT(reply.error.value_or(0), ::testing::AnyOf(EINVAL, ERANGE));
  }
  ExpectOnlyBystander();
}

TEST_F(AcctMessagesTest, AttributesThatNobodyKnowsAreIgnored) {
  AcctMessage message = New();
  for (const uint16_t type : {77, 1000, 0x3fff}) {
    message.Attribute(type, std::string(40, 'x'));
  }
  message.Name("new").U64(NFACCT_PKTS, 3).Attribute(0, "zero");
  EXPECT_EQ(peer_.Do(message), 0);
  ASSERT_TRUE(peer_.Get("new").has_value());
  EXPECT_EQ(peer_.Get("new")->packets, 3u);
}

TEST_F(AcctMessagesTest, OfRepeatedAttributesTheLastCounts) {
  EXPECT_EQ(peer_.Do(New()
                         .Name("first")
                         .Name("last")
                         .U64(NFACCT_PKTS, 1)
                         .U64(NFACCT_PKTS, 2)),
            0);
  EXPECT_FALSE(peer_.Get("first").has_value());
  ASSERT_TRUE(peer_.Get("last").has_value());
  EXPECT_EQ(peer_.Get("last")->packets, 2u);
}

TEST_F(AcctMessagesTest, NumbersAtTheirLimitsAreKept) {
  EXPECT_EQ(peer_.Do(New()
                         .Name("full")
                         .U64(NFACCT_PKTS, UINT64_MAX)
                         .U64(NFACCT_BYTES, UINT64_MAX)
                         .U32(NFACCT_FLAGS, kQuotaBytes)
                         .U64(NFACCT_QUOTA, UINT64_MAX)),
            0);
  const auto object = peer_.Get("full");
  ASSERT_TRUE(object.has_value());
  EXPECT_EQ(object->packets, UINT64_MAX);
  EXPECT_EQ(object->bytes, UINT64_MAX);
  EXPECT_EQ(object->quota, UINT64_MAX);
}

TEST_F(AcctMessagesTest, ManyMessagesInOneSendAreAnsweredOneByOne) {
  std::string batch;
  for (uint32_t i = 0; i < 50; ++i) {
    // Every third is refused; those behind it are not.
    batch += New()
                 .Name(i % 3 == 0 ? "bystander" : absl::StrCat("n", i))
                 .Sequence(i + 1)
                 .bytes();
  }
  ASSERT_TRUE(peer_.Send(batch));
  AcctReply reply;
  while (peer_.Receive(64 << 10, 0, reply)) continue;
  ASSERT_EQ(reply.errors.size(), 50u);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(reply.errors[i], i % 3 == 0 ? EEXIST : 0) << i;
  }
  EXPECT_EQ(peer_.Dump().objects.size(), 1u + 50 - 17);
}

TEST_F(AcctMessagesTest, RepliesThatNobodyReadsAreForgotten) {
  AcctPeer deaf;
  for (int i = 0; i < 5'000; ++i) {
    deaf.Send(Get().Name("bystander").bytes());
  }
  ExpectOnlyBystander();
}

TEST_F(AcctMessagesTest, DumpsLeftHalfReadAreForgotten) {
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_EQ(peer_.Create(absl::StrCat("n", i)), 0);
  }
  for (int i = 0; i < 20; ++i) {
    AcctPeer gone;
    ASSERT_TRUE(gone.Send(AcctMessage(NFNL_MSG_ACCT_GET, NLM_F_DUMP).bytes()));
    AcctReply reply;
    EXPECT_TRUE(gone.Receive(4096, 1'000, reply));
  }
  EXPECT_EQ(peer_.Dump().objects.size(), 2'001u);
}

}  // namespace
}  // namespace nfmeter::testing
