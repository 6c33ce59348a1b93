// SPDX-License-Identifier: GPL-3.0-or-later
// What the accounting half relies on in the kernel itself, told by the smallest
// means: requests written by hand. When a kernel answers differently, the code
// named in each test has to be looked at again.
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netlink.h>
#include <string.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/linux/nfacct/acct_codec.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::CountPort;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::SendUdp;
using ::testing::Each;

constexpr uint32_t kSequence = 77;

// A request with the given attributes' bytes.
std::string Request(int command, uint16_t flags, const std::string& body) {
  const nlmsghdr header = {
      .nlmsg_len =
          static_cast<uint32_t>(NLMSG_HDRLEN + sizeof(nfgenmsg) + body.size()),
      .nlmsg_type = static_cast<uint16_t>((NFNL_SUBSYS_ACCT << 8) | command),
      .nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags),
      .nlmsg_seq = kSequence};
  const nfgenmsg family = {};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes.append(reinterpret_cast<const char*>(&family), sizeof(family));
  return bytes + body;
}

std::string Attribute(int type, const std::string& payload) {
  const nlattr header = {
      .nla_len = static_cast<uint16_t>(NLA_HDRLEN + payload.size()),
      .nla_type = static_cast<uint16_t>(type)};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += payload;
  bytes.resize(NLA_ALIGN(bytes.size()));
  return bytes;
}

std::string Name(const std::string& name) {
  return Attribute(NFACCT_NAME, name + '\0');
}

std::string Number(int type, uint64_t value) {
  std::string payload(8, '\0');
  for (int i = 7; i >= 0; --i, value >>= 8) payload[i] = value & 0xff;
  return Attribute(type, payload);
}

class AcctKernelFactsTest : public ::testing::Test {
 protected:
  // The errno of the acknowledgement.
  int Ask(int command, uint16_t flags, const std::string& body) {
    EXPECT_EQ(socket_->Send(Request(command, flags | NLM_F_ACK, body)), 0);
    const NetlinkSocket::Received received = socket_->Receive();
    EXPECT_EQ(received.err, 0);
    AcctMessageReader reader(received.datagram);
    const AcctMessage* const message = reader.Next();
    EXPECT_NE(message, nullptr);
    EXPECT_EQ(message->kind, AcctMessage::Kind::kError);
    return message->err;
  }

  int New(uint16_t flags, const std::string& body) {
    return Ask(NFNL_MSG_ACCT_NEW, flags, body);
  }

  AcctObject Get(const std::string& name) {
    const auto object = table_->Get(name);
    EXPECT_OK(object);
    return object.value_or(AcctObject{});
  }

  size_t ObjectsInDump() {
    const auto outcome = table_->DumpToTail(
        AcctDumpFilter::kAll, [](absl::Span<const AcctRecord>) {});
    EXPECT_OK(outcome);
    return outcome->records;
  }

  const std::unique_ptr<NetlinkSocket> socket_ =
      NetlinkSocket::Open(1 << 20).value();
  const std::unique_ptr<NetlinkAcctTable> table_ =
      NetlinkAcctTable::Open().value();
};

// IsAcctName.
TEST_F(AcctKernelFactsTest, NameOf31BytesFitsAndOf32IsRefused) {
  EXPECT_EQ(New(NLM_F_CREATE, Name(std::string(31, 'x'))), 0);
  EXPECT_EQ(New(NLM_F_CREATE, Name(std::string(32, 'x'))), EINVAL);
  EXPECT_EQ(New(NLM_F_CREATE, Name("")), EINVAL);
}

// ErrnoStatus: kAcctCreate, EEXIST and EBUSY.
TEST_F(AcctKernelFactsTest, ExistingNameIsEexistWithExclAndEbusyWithNothing) {
  ASSERT_EQ(New(NLM_F_CREATE, Name("a")), 0);
  EXPECT_EQ(New(NLM_F_CREATE | NLM_F_EXCL, Name("a")), EEXIST);
  EXPECT_EQ(New(NLM_F_CREATE, Name("a")), EBUSY);
}

// Why quotas can't be changed, and values not be set, in place.
TEST_F(AcctKernelFactsTest, ReplaceOnlyZeroesAndIgnoresTheGivenValues) {
  ASSERT_EQ(New(NLM_F_CREATE,
                Name("a") + Number(NFACCT_PKTS, 5) +
                    Attribute(NFACCT_FLAGS, std::string("\0\0\0\1", 4)) +
                    Number(NFACCT_QUOTA, 100)),
            0);
  ASSERT_EQ(New(NLM_F_REPLACE,
                Name("a") + Number(NFACCT_PKTS, 9) +
                    Attribute(NFACCT_FLAGS, std::string("\0\0\0\1", 4)) +
                    Number(NFACCT_QUOTA, 200)),
            0);
  EXPECT_EQ(Get("a"),
            (AcctObject{.name = "a",
                        .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 100}}));
}

TEST_F(AcctKernelFactsTest, CreateFlagIsNotNeeded) {
  EXPECT_EQ(New(0, Name("a")), 0);
}

// Why AppendAcctDelete must never write an empty request.
TEST_F(AcctKernelFactsTest, DeletingWithoutANameDeletesAllThatIsFree) {
  ASSERT_THAT(table_->Create({{.name = "a"}, {.name = "b"}, {.name = "held"}}),
              Each(IsOk()));
  CountPort("-A", 20000, "held");
  EXPECT_EQ(Ask(NFNL_MSG_ACCT_DEL, 0, ""), 0);
  EXPECT_EQ(ObjectsInDump(), 1u);
  EXPECT_EQ(Get("held").use_count, 1u);
}

TEST_F(AcctKernelFactsTest, DeletingSaysWhy) {
  EXPECT_EQ(Ask(NFNL_MSG_ACCT_DEL, 0, Name("a")), ENOENT);
  ASSERT_OK(table_->Create({{.name = "a"}}).front());
  CountPort("-A", 20000, "a");
  EXPECT_EQ(Ask(NFNL_MSG_ACCT_DEL, 0, Name("a")), EBUSY);
}

// ExchangeAcct reads one answer a request.
TEST_F(AcctKernelFactsTest, GetAnswersOneMessageWithMultiAndNoDone) {
  ASSERT_OK(table_->Create({{.name = "a"}}).front());
  ASSERT_EQ(socket_->Send(Request(NFNL_MSG_ACCT_GET, 0, Name("a"))), 0);
  const NetlinkSocket::Received received = socket_->Receive();
  ASSERT_EQ(received.err, 0);
  nlmsghdr header;
  memcpy(&header, received.datagram.data(), sizeof(header));
  EXPECT_EQ(header.nlmsg_len, received.datagram.size());
  EXPECT_EQ(header.nlmsg_seq, kSequence);
  EXPECT_NE(header.nlmsg_flags & NLM_F_MULTI, 0);
  EXPECT_EQ(header.nlmsg_type, (NFNL_SUBSYS_ACCT << 8) | NFNL_MSG_ACCT_NEW);
  EXPECT_EQ(socket_->Receive().err, EAGAIN);
}

// NetlinkSocket::Receive treats EAGAIN as a lost answer.
TEST_F(AcctKernelFactsTest, AnswersAreThereWhenSendReturns) {
  std::string requests;
  for (uint32_t i = 0; i < 100; ++i) AppendAcctGet("none", i + 1, requests);
  ASSERT_EQ(socket_->Send(requests), 0);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(socket_->Receive().err, 0) << i;
  EXPECT_EQ(socket_->Receive().err, EAGAIN);
}

// AcctDumpEnd: full messages are of nearly 32 KiB, and of a page less the
// bookkeeping for the first one on a socket.
TEST_F(AcctKernelFactsTest, DumpFillsMessagesOfTheSizesThatAreTakenForGranted) {
  std::vector<AcctObject> objects;
  for (int i = 0; i < 2000; ++i) objects.push_back({.name = absl::StrCat(i)});
  ASSERT_THAT(table_->Create(objects), Each(IsOk()));
  std::vector<size_t> sizes;
  std::vector<size_t> queued;
  const auto fresh = NetlinkSocket::Open(1 << 20).value();
  std::string request;
  AppendAcctDump(AcctDumpFilter::kAll, 1, request);
  ASSERT_EQ(fresh->Send(request), 0);
  for (;;) {
    queued.push_back(fresh->QueuedBytes());
    const NetlinkSocket::Received received = fresh->Receive();
    if (received.err != 0) break;
    sizes.push_back(received.datagram.size());
  }
  ASSERT_GE(sizes.size(), 4u);
  EXPECT_LT(sizes[0], 8192u);
  EXPECT_LT(queued[0], 17u << 10);
  // All but the first, the last with records and the DONE alone.
  for (size_t i = 1; i + 2 < sizes.size(); ++i) {
    EXPECT_GT(sizes[i] + kAcctRecordMaxBytes, (32u << 10) - 1024);
    EXPECT_LT(sizes[i], 32u << 10);
    EXPECT_GE(queued[i], 31u << 10);
  }
  EXPECT_LT(sizes.back(), 32u);
}

// kAcctRecordMaxBytes.
TEST_F(AcctKernelFactsTest, LongestRecordIsWithinTheBound) {
  ASSERT_OK(table_
                ->Create({{.name = std::string(31, 'x'),
                           .packets = UINT64_MAX,
                           .bytes = UINT64_MAX,
                           .quota = QuotaLimit{QuotaLimit::Unit::kBytes,
                                               UINT64_MAX}}})
                .front());
  std::string request;
  AppendAcctGet(std::string(31, 'x'), 1, request);
  ASSERT_EQ(socket_->Send(request), 0);
  EXPECT_LE(socket_->Receive().datagram.size(), kAcctRecordMaxBytes);
}

// Why every dump has to prove its end: the walk below is cut by one deletion,
// and the kernel says that all went well. (A kernel in which this test fails
// has been mended; then only the comment in acct_dump_end.h is out of date.)
TEST_F(AcctKernelFactsTest, DumpIsCutSilentlyWhenTheObjectAtItsCursorGoes) {
  std::vector<AcctObject> objects;
  for (int i = 0; i < 2000; ++i) objects.push_back({.name = absl::StrCat(i)});
  ASSERT_THAT(table_->Create(objects), Each(IsOk()));
  std::string request;
  AppendAcctDump(AcctDumpFilter::kAll, 1, request);
  ASSERT_EQ(socket_->Send(request), 0);
  size_t records = 0;
  bool done = false;
  while (!done) {
    const NetlinkSocket::Received received = socket_->Receive();
    ASSERT_EQ(received.err, 0);
    AcctMessageReader reader(received.datagram);
    while (const AcctMessage* message = reader.Next()) {
      EXPECT_FALSE(message->dump_interrupted);
      EXPECT_EQ(message->err, 0);
      done |= message->kind == AcctMessage::Kind::kDone;
      records += message->kind == AcctMessage::Kind::kRecord ? 1 : 0;
    }
    // One message is always ahead; the cursor stands behind that one.
    std::vector<std::string> next;
    for (size_t i = records; i < records + 1000 && i < objects.size(); ++i) {
      next.push_back(objects[i].name);
    }
    if (!done) table_->Delete(next);
  }
  const size_t left = ObjectsInDump();
  EXPECT_GT(left, 0u);
  EXPECT_LT(records, 2000u);
}

// Why resets go object by object: a zeroing dump loses what does not fit.
TEST_F(AcctKernelFactsTest, ZeroingDumpLosesCounts) {
  std::vector<AcctObject> objects;
  for (int i = 0; i < 2000; ++i) {
    objects.push_back({.name = absl::StrCat(i), .packets = 1});
  }
  ASSERT_THAT(table_->Create(objects), Each(IsOk()));
  ASSERT_EQ(socket_->Send(Request(NFNL_MSG_ACCT_GET_CTRZERO, NLM_F_DUMP, "")),
            0);
  uint64_t returned = 0;
  for (;;) {
    const NetlinkSocket::Received received = socket_->Receive();
    if (received.err != 0) break;
    AcctMessageReader reader(received.datagram);
    while (const AcctMessage* message = reader.Next()) {
      if (message->kind != AcctMessage::Kind::kRecord) continue;
      returned += message->record.packets;
    }
  }
  EXPECT_LT(returned, 2000u);
}

// NetlinkQuotaEvents.
TEST_F(AcctKernelFactsTest, QuotaEventHasTheTypeOfANewObjectAndSequenceZero) {
  ASSERT_EQ(socket_->Join(NFNLGRP_ACCT_QUOTA), 0);
  ASSERT_OK(table_
                ->Create({{.name = "cap",
                           .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 1}}})
                .front());
  CountPort("-A", 20000, "cap");
  SendUdp(20000, 3);
  const NetlinkSocket::Received received = socket_->Receive();
  ASSERT_EQ(received.err, 0);
  nlmsghdr header;
  memcpy(&header, received.datagram.data(), sizeof(header));
  EXPECT_EQ(header.nlmsg_type, (NFNL_SUBSYS_ACCT << 8) | NFNL_MSG_ACCT_NEW);
  EXPECT_EQ(header.nlmsg_seq, 0u);
  EXPECT_EQ(socket_->Receive().err, EAGAIN);
}

// ErrnoStatus: what a kernel without nfnetlink_acct answers.
TEST_F(AcctKernelFactsTest, UnknownSubsystemIsEinval) {
  nlmsghdr header = {.nlmsg_len = NLMSG_HDRLEN + sizeof(nfgenmsg),
                     .nlmsg_type = (NFNL_SUBSYS_COUNT - 1) << 8 | 0xff,
                     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                     .nlmsg_seq = kSequence};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes.append(sizeof(nfgenmsg), '\0');
  ASSERT_EQ(socket_->Send(bytes), 0);
  const NetlinkSocket::Received received = socket_->Receive();
  ASSERT_EQ(received.err, 0);
  EXPECT_EQ(AcctMessageReader(received.datagram).Next()->err, EINVAL);
}

}  // namespace
}  // namespace nfmeter::kernel
