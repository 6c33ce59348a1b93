// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/conntrack/flow_codec.h"

#include <errno.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/flow_address.h"
#include "tests/unit/kernel/flow_messages.h"

// Bytes as a little-endian Linux 6.18 took and sent them.
namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::AddressOf;
using ::nfmeter::testing::kDumpDone;
using ::nfmeter::testing::kIcmpDeath;
using ::nfmeter::testing::kIcmpv6Flow;
using ::nfmeter::testing::kInvalid;
using ::nfmeter::testing::kTcpFlow;
using ::nfmeter::testing::kUdpFlow;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;
using FlowKind = FlowMessage::Kind;

std::string Request(const FlowDumpFilter& filter) {
  std::string out;
  AppendFlowDump(filter, 4, out);
  return absl::BytesToHexString(out);
}

// All messages of these bytes, which lie at the end of their memory, so that
// AddressSanitizer sees each step beyond it.
std::vector<FlowMessage> ReadBytes(const std::string& bytes) {
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[bytes.size()]);
  memcpy(exact.get(), bytes.data(), bytes.size());
  FlowMessageReader reader(absl::MakeConstSpan(exact.get(), bytes.size()));
  std::vector<FlowMessage> messages;
  while (const FlowMessage* message = reader.Next()) {
    messages.push_back(*message);
  }
  return messages;
}

std::vector<FlowMessage> ReadHex(absl::string_view hex) {
  return ReadBytes(absl::HexStringToBytes(hex));
}

FlowTuple Tuple(const char* address, uint16_t from, uint16_t to) {
  return {.source = AddressOf(address),
          .destination = AddressOf(address),
          .source_port = from,
          .destination_port = to};
}

// Digits of `hex` replaced from a byte on.
std::string Patched(absl::string_view hex, size_t byte,
                    const std::string& digits) {
  std::string patched(hex);
  patched.replace(2 * byte, digits.size(), digits);
  return patched;
}

TEST(FlowRequestTest, AsksForAllFlows) {
  EXPECT_EQ(Request({}), "1400000001010103040000000000000000000000");
}

TEST(FlowRequestTest, AsksForAFamily) {
  EXPECT_EQ(Request({.family = Family::kIpv6}),
            "140000000101010304000000000000000a000000");
}

// A tuple and which of its fields are looked at; numbers of the latter are in
// the byte order of the host.
TEST(FlowRequestTest, AsksForAProtocolOfAFamily) {
  EXPECT_EQ(Request({.family = Family::kIpv4, .protocol = 6}),
            "38000000010101030400000000000000"
            "02000000"
            "10000180"
            "0c000280"
            "0500010006000000"
            "14001980"
            "0800010008000000"
            "0800020000000000");
  // Without a family the kernel refuses it.
  EXPECT_EQ(Request({.protocol = 6}), Request({}));
}

TEST(FlowRequestTest, AsksForAMark) {
  EXPECT_EQ(Request({.mark = FlowBits{0xabcd, 0xffff}}),
            "24000000010101030400000000000000"
            "00000000"
            "080008000000abcd"
            "080015000000ffff");
}

TEST(FlowMessageReaderTest, ReadsAFlow) {
  const std::vector<FlowMessage> messages = ReadHex(kUdpFlow);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kFlow);
  EXPECT_EQ(messages[0].sequence, 0x11223344u);
  EXPECT_FALSE(messages[0].dump_interrupted);
  const FlowRecord& flow = messages[0].flow;
  EXPECT_EQ(flow.family, Family::kIpv4);
  EXPECT_EQ(flow.protocol, 17);
  EXPECT_EQ(flow.original, Tuple("127.0.0.1", 5001, 7001));
  EXPECT_EQ(flow.reply, Tuple("127.0.0.1", 7001, 5001));
  EXPECT_THAT(flow.original_counts, Optional(FlowCounts{2, 200}));
  EXPECT_THAT(flow.reply_counts, Optional(FlowCounts{0, 0}));
  EXPECT_EQ(flow.start_ns, 0x18ec6fb85d83e78du);
  EXPECT_EQ(flow.stop_ns, 0u);
  EXPECT_EQ(flow.timeout_seconds, 29u);
  EXPECT_EQ(flow.status, uint32_t{kFlowConfirmed});
  EXPECT_EQ(flow.mark, 0xabcdu);
  EXPECT_EQ(flow.id, 0x3c1af57bu);
  EXPECT_EQ(flow.zone, 77);
  EXPECT_FALSE(flow.tcp_state.has_value());
  EXPECT_THAT(absl::MakeConstSpan(flow.labels).subspan(0, 2),
              ElementsAre(1 << 3, 0));
}

TEST(FlowMessageReaderTest, ReadsTcpOverIpv6) {
  const std::vector<FlowMessage> messages = ReadHex(kTcpFlow);
  ASSERT_THAT(messages, SizeIs(1));
  const FlowRecord& flow = messages[0].flow;
  EXPECT_EQ(flow.family, Family::kIpv6);
  EXPECT_EQ(flow.protocol, 6);
  EXPECT_EQ(flow.original, Tuple("::1", 5002, 8080));
  EXPECT_EQ(flow.reply, Tuple("::1", 8080, 5002));
  EXPECT_THAT(flow.tcp_state, Optional(TcpState::kEstablished));
  EXPECT_THAT(flow.original_counts, Optional(FlowCounts{3, 229}));
  EXPECT_THAT(flow.reply_counts, Optional(FlowCounts{2, 152}));
  EXPECT_EQ(flow.status,
            uint32_t{kFlowSeenReply | kFlowAssured | kFlowConfirmed});
  EXPECT_EQ(flow.timeout_seconds, 431'999u);
  EXPECT_EQ(flow.zone, 0);
}

TEST(FlowMessageReaderTest, ReadsIcmp) {
  const std::vector<FlowMessage> messages = ReadHex(kIcmpv6Flow);
  ASSERT_THAT(messages, SizeIs(1));
  const FlowRecord& flow = messages[0].flow;
  EXPECT_EQ(flow.protocol, 58);
  EXPECT_EQ(flow.original.icmp_id, 0x4321);
  EXPECT_EQ(flow.original.icmp_type, 128);
  EXPECT_EQ(flow.original.icmp_code, 0);
  EXPECT_EQ(flow.reply.icmp_type, 129);
  EXPECT_EQ(flow.original.source_port, 0);
}

TEST(FlowMessageReaderTest, ReadsTheEndOfAFlow) {
  const std::vector<FlowMessage> messages = ReadHex(kIcmpDeath);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kDeath);
  const FlowRecord& flow = messages[0].flow;
  EXPECT_EQ(flow.protocol, 1);
  EXPECT_EQ(flow.original.icmp_id, 0x1234);
  EXPECT_THAT(flow.original_counts, Optional(FlowCounts{1, 32}));
  EXPECT_THAT(flow.reply_counts, Optional(FlowCounts{1, 32}));
  EXPECT_EQ(flow.start_ns, 0x18ec6fbd8a63f5d1u);
  EXPECT_EQ(flow.stop_ns, 0x18ec6fbd8e21ed18u);
  EXPECT_TRUE(flow.status & kFlowDying);
}

TEST(FlowMessageReaderTest, ReadsManyAndTheEndOfTheDump) {
  const std::vector<FlowMessage> messages =
      ReadHex(absl::StrCat(kTcpFlow, kUdpFlow, kDumpDone));
  ASSERT_THAT(messages, SizeIs(3));
  EXPECT_EQ(messages[0].kind, FlowKind::kFlow);
  EXPECT_EQ(messages[1].kind, FlowKind::kFlow);
  // Nothing of the one before is left.
  EXPECT_FALSE(messages[1].flow.tcp_state.has_value());
  EXPECT_EQ(messages[1].flow.family, Family::kIpv4);
  EXPECT_EQ(messages[2].kind, FlowKind::kDone);
  EXPECT_EQ(messages[2].err, 0);
}

TEST(FlowMessageReaderTest, ReadsErrors) {
  const std::vector<FlowMessage> messages = ReadHex(kInvalid);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kError);
  EXPECT_EQ(messages[0].err, EINVAL);
  // A dump that ends with one (-ENOMEM).
  const std::vector<FlowMessage> done =
      ReadHex(Patched(kDumpDone, 16, "f4ffffff"));
  ASSERT_THAT(done, SizeIs(1));
  EXPECT_EQ(done[0].kind, FlowKind::kDone);
  EXPECT_EQ(done[0].err, ENOMEM);
}

TEST(FlowMessageReaderTest, NoticesThatADumpWasInterrupted) {
  const std::vector<FlowMessage> messages =
      ReadHex(Patched(kUdpFlow, 6, "1200"));
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_TRUE(messages[0].dump_interrupted);
}

// A flow that began while accounting was off has no counters, which is not 0.
TEST(FlowMessageReaderTest, AFlowWithoutCountersHasNone) {
  // Attributes of types that do not exist in place of the counters.
  std::string bytes = absl::HexStringToBytes(kUdpFlow);
  for (size_t at = 0; at + 4 < bytes.size(); at += 4) {
    if (bytes.substr(at, 4) == absl::HexStringToBytes("1c000980") ||
        bytes.substr(at, 4) == absl::HexStringToBytes("1c000a80")) {
      bytes[at + 2] = 0x7f;
    }
  }
  const std::vector<FlowMessage> messages = ReadBytes(bytes);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kFlow);
  EXPECT_EQ(messages[0].flow.original_counts, std::nullopt);
  EXPECT_EQ(messages[0].flow.reply_counts, std::nullopt);
  EXPECT_EQ(messages[0].flow.mark, 0xabcdu);
}

TEST(FlowMessageReaderTest, AnAddressOfAnotherSizeIsNoFlow) {
  // The first address' attribute says that it has 3 bytes.
  const std::vector<FlowMessage> messages =
      ReadHex(Patched(kUdpFlow, 28, "07"));
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kOther);
}

TEST(FlowMessageReaderTest, AStateThatDoesNotExistIsNone) {
  std::string bytes = absl::HexStringToBytes(kTcpFlow);
  const size_t state = bytes.find(absl::HexStringToBytes("0500010003000000"));
  ASSERT_NE(state, std::string::npos);
  bytes[state + 4] = 10;
  const std::vector<FlowMessage> messages = ReadBytes(bytes);
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kFlow);
  EXPECT_FALSE(messages[0].flow.tcp_state.has_value());
}

TEST(FlowMessageReaderTest, MessagesOfOthersAreNotRead) {
  // Of the nfacct subsystem.
  const std::vector<FlowMessage> messages = ReadHex(Patched(kUdpFlow, 5, "07"));
  ASSERT_THAT(messages, SizeIs(1));
  EXPECT_EQ(messages[0].kind, FlowKind::kOther);
}

TEST(FlowMessageReaderTest, StopsAtAnImpossibleLength) {
  for (const char* length : {"00000000", "0f000000", "ffffffff"}) {
    EXPECT_THAT(ReadHex(absl::StrCat(Patched(kUdpFlow, 0, length), kUdpFlow)),
                IsEmpty())
        << length;
  }
}

// Wherever a message is cut, nothing beyond it is read, and a whole one before
// it is not lost.
TEST(FlowMessageReaderTest, SurvivesEveryCut) {
  const std::string whole = absl::HexStringToBytes(kTcpFlow);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(ReadBytes(whole + whole.substr(0, size)), SizeIs(1)) << size;
    // The message's own length is right, and its attributes are cut.
    std::string cut = whole.substr(0, size);
    if (size < 16) continue;
    const auto length = static_cast<uint32_t>(size);
    memcpy(cut.data(), &length, sizeof(length));
    EXPECT_THAT(ReadBytes(cut), SizeIs(1)) << size;
  }
}

}  // namespace
}  // namespace nfmeter::kernel
