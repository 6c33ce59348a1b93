// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_codec.h"

#include <errno.h>

#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_table.h"

// Bytes as a little-endian Linux 6.18 took and sent them.
namespace nfmeter::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = AcctMessage::Kind;

// "web", 5 packets, 500 bytes, a quota of 7 packets.
constexpr char kCreate[] =
    "480000000007050601000000000000000000000008000100776562000c0002000000000000"
    "0000050c00030000000000000001f408000500000000010c0006000000000000000007";
constexpr char kAcknowledged[] =
    "240000000200000101000000516000000000000048000000000705060100000000000000";
// EEXIST, with the request after it.
constexpr char kExists[] = "5c000000020000000100000051600000efffffff";
constexpr char kGet[] =
    "1c000000010701000200000000000000000000000800010077656200";
constexpr char kDumpAll[] = "1400000001070103040000000000000000000000";
constexpr char kTwoRecords[] =
    "5000000000070200040000005160000000000000080001007765620"
    "00c00020000000000000000050c00030000000000000001f4080004000000000108000500"
    "000000010c0006000000000000000007"
    "3c0000000007020004000000516000000000000006000100780000000c0002000000000000"
    "00"
    "00000c00030000000000000000000800040000000001";
constexpr char kDone[] = "1400000003000200040000005160000000000000";

const AcctObject& Web() {
  static const AcctObject web = {
      .name = "web",
      .packets = 5,
      .bytes = 500,
      .quota = QuotaLimit{QuotaLimit::Unit::kPackets, 7}};
  return web;
}

std::string Bytes(absl::string_view hex) { return absl::HexStringToBytes(hex); }

template <typename Append>
std::string Hex(Append append) {
  std::string out;
  append(out);
  return absl::BytesToHexString(out);
}

// All messages, read from memory of exactly that size, so that sanitizers see
// any read beyond it.
struct Decoded {
  std::vector<Kind> kinds;
  std::vector<AcctObject> objects;
  std::vector<int> errs;
  bool malformed = false;
};

Decoded Decode(absl::string_view bytes) {
  const auto exact = std::make_unique<uint8_t[]>(bytes.size());
  std::memcpy(exact.get(), bytes.data(), bytes.size());
  AcctMessageReader reader({exact.get(), bytes.size()});
  Decoded decoded;
  while (const AcctMessage* message = reader.Next()) {
    decoded.kinds.push_back(message->kind);
    decoded.errs.push_back(message->err);
    if (message->kind == Kind::kRecord) {
      decoded.objects.push_back(ObjectOf(message->record));
    }
  }
  decoded.malformed = reader.malformed();
  return decoded;
}

// A record message with these attributes' bytes.
std::string Record(const std::string& attributes) {
  std::string bytes = Bytes("0000000000070000010000000000000000000000");
  bytes += attributes;
  bytes[0] = static_cast<char>(bytes.size());
  return bytes;
}

const char kNameX[] = "0600010078000000";

TEST(AcctCodecTest, CreateIsWhatTheKernelTook) {
  EXPECT_EQ(Hex([](std::string& out) { AppendAcctCreate(Web(), 1, out); }),
            kCreate);
}

TEST(AcctCodecTest, CreateLeavesOutWhatIsZero) {
  EXPECT_EQ(
      Hex([](std::string& out) { AppendAcctCreate({.name = "web"}, 2, out); }),
      "1c000000000705060200000000000000000000000800010077656200");
}

TEST(AcctCodecTest, ByteQuotaHasItsFlag) {
  EXPECT_THAT(
      Hex([](std::string& out) {
        AppendAcctCreate(
            {.name = "web", .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 0}},
            1, out);
      }),
      ::testing::EndsWith("0800050000000002"
                          "0c0006000000000000000000"));
}

TEST(AcctCodecTest, GetAndDumpAreWhatTheKernelTook) {
  EXPECT_EQ(Hex([](std::string& out) { AppendAcctGet("web", 2, out); }), kGet);
  EXPECT_EQ(Hex([](std::string& out) {
              AppendAcctDump(AcctDumpFilter::kAll, 4, out);
            }),
            kDumpAll);
}

TEST(AcctCodecTest, ResetIsNeverADump) {
  EXPECT_EQ(Hex([](std::string& out) { AppendAcctGetAndReset("web", 2, out); }),
            "1c000000020701000200000000000000000000000800010077656200");
}

TEST(AcctCodecTest, DeleteAlwaysHasAName) {
  EXPECT_EQ(Hex([](std::string& out) { AppendAcctDelete("web", 2, out); }),
            "1c000000030705000200000000000000000000000800010077656200");
}

TEST(AcctCodecTest, DumpOfExceededAsksForTheOverquotaBit) {
  EXPECT_EQ(Hex([](std::string& out) {
              AppendAcctDump(AcctDumpFilter::kQuotaExceeded, 4, out);
            }),
            "2800000001070103040000000000000000000000"
            "140007800800010000000004"
            "0800020000000004");
}

TEST(AcctCodecTest, RequestsAfterEachOtherKeepTheirLengths) {
  std::string out;
  AppendAcctGet("web", 2, out);
  AppendAcctGet("web", 2, out);
  EXPECT_EQ(absl::BytesToHexString(out), absl::StrCat(kGet, kGet));
}

TEST(AcctCodecTest, RecordsOfADumpAreRead) {
  const Decoded decoded = Decode(Bytes(absl::StrCat(kTwoRecords, kDone)));
  EXPECT_THAT(decoded.objects, ElementsAre(Web(), AcctObject{.name = "x"}));
  EXPECT_THAT(decoded.kinds,
              ElementsAre(Kind::kRecord, Kind::kRecord, Kind::kDone));
  EXPECT_FALSE(decoded.malformed);
}

TEST(AcctCodecTest, AcknowledgementsAndErrorsAreRead) {
  const Decoded decoded =
      Decode(Bytes(absl::StrCat(kAcknowledged, kExists, kCreate)));
  EXPECT_THAT(decoded.kinds, ElementsAre(Kind::kError, Kind::kError));
  EXPECT_THAT(decoded.errs, ElementsAre(0, EEXIST));
}

TEST(AcctCodecTest, SequenceAndInterruptionAreRead) {
  std::string bytes = Bytes(kDone);
  AcctMessageReader plain(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  const AcctMessage* const message = plain.Next();
  EXPECT_EQ(message->sequence, 4u);
  EXPECT_FALSE(message->dump_interrupted);
  bytes[6] |= 0x10;
  AcctMessageReader interrupted(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  EXPECT_TRUE(interrupted.Next()->dump_interrupted);
}

TEST(AcctCodecTest, OwnReferenceIsNotCounted) {
  for (const auto& [hex, count] :
       std::vector<std::pair<std::string, uint32_t>>{{"0800040000000000", 0},
                                                     {"0800040000000001", 0},
                                                     {"0800040000000003", 2}}) {
    EXPECT_THAT(Decode(Record(Bytes(kNameX + hex))).objects,
                ElementsAre(AcctObject{.name = "x", .use_count = count}));
  }
}

TEST(AcctCodecTest, ExceededIsRead) {
  EXPECT_THAT(
      Decode(Record(Bytes(absl::StrCat(kNameX, "0800050000000006",
                                       "0c0006000000000000000009"))))
          .objects,
      ElementsAre(AcctObject{.name = "x",
                             .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 9},
                             .quota_exceeded = true}));
}

TEST(AcctCodecTest, UnknownAndPaddingAttributesArePassedOver) {
  for (const char* attribute :
       {"04000800", "0800630012345678", "0500630012000000", "04006380"}) {
    EXPECT_THAT(
        Decode(Record(Bytes(absl::StrCat(attribute, kNameX, attribute))))
            .objects,
        ElementsAre(AcctObject{.name = "x"}))
        << attribute;
  }
}

TEST(AcctCodecTest, AttributesOfUnexpectedSizeArePassedOver) {
  for (const char* attribute : {"0800020000000001", "0c000400000000000000000f",
                                "060005000004", "0800060000000001"}) {
    EXPECT_THAT(Decode(Record(Bytes(absl::StrCat(kNameX, attribute)))).objects,
                ElementsAre(AcctObject{.name = "x"}))
        << attribute;
  }
}

TEST(AcctCodecTest, NameWithoutNulEndsWithItsAttribute) {
  EXPECT_THAT(Decode(Record(Bytes("0700010061626300"))).objects,
              ElementsAre(AcctObject{.name = "abc"}));
  EXPECT_THAT(Decode(Record(Bytes("0800010061006300"))).objects,
              ElementsAre(AcctObject{.name = "a"}));
}

TEST(AcctCodecTest, RecordWithoutANameIsNone) {
  for (const char* attributes :
       {"", "04000100", "0500010000000000", "0800040000000001"}) {
    EXPECT_THAT(Decode(Record(Bytes(attributes))).kinds,
                ElementsAre(Kind::kOther))
        << attributes;
  }
}

TEST(AcctCodecTest, AttributeLongerThanItsMessageMakesItNone) {
  EXPECT_THAT(Decode(Record(Bytes("f000010061626300"))).kinds,
              ElementsAre(Kind::kOther));
  EXPECT_THAT(Decode(Record(Bytes("0300010061626300"))).kinds,
              ElementsAre(Kind::kOther));
  EXPECT_THAT(Decode(Record(Bytes("0000010061626300"))).kinds,
              ElementsAre(Kind::kOther));
}

TEST(AcctCodecTest, MessagesOfOthersAreOther) {
  std::string other_subsystem = Bytes(kTwoRecords).substr(0, 0x50);
  other_subsystem[5] = 1;
  EXPECT_THAT(Decode(other_subsystem).kinds, ElementsAre(Kind::kOther));
  // NLMSG_NOOP.
  EXPECT_THAT(Decode(Bytes("10000000010000000000000000000000")).kinds,
              ElementsAre(Kind::kOther));
  // An error without its number.
  EXPECT_THAT(Decode(Bytes("10000000020000000000000000000000")).kinds,
              ElementsAre(Kind::kOther));
}

TEST(AcctCodecTest, ImpossibleLengthsEndTheWalk) {
  for (const char* length : {"00000000", "0f000000", "ffffffff", "51000000"}) {
    std::string bytes = Bytes(kTwoRecords).substr(0, 0x50);
    bytes.replace(0, 4, Bytes(length));
    const Decoded decoded = Decode(bytes);
    EXPECT_THAT(decoded.kinds, IsEmpty()) << length;
    EXPECT_TRUE(decoded.malformed);
  }
}

TEST(AcctCodecTest, TruncatedAnywhereItReadsNothingThatIsNotThere) {
  const std::string bytes = Bytes(absl::StrCat(kTwoRecords, kDone));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Decoded decoded = Decode(bytes.substr(0, size));
    EXPECT_EQ(decoded.objects.size(), size < 0x50 ? 0u : size < 0x8c ? 1u : 2u);
    EXPECT_EQ(decoded.malformed, size != 0 && size != 0x50 && size != 0x8c)
        << size;
  }
}

TEST(AcctCodecTest, AnyBytesAreSurvived) {
  std::mt19937 random(1);
  const std::string good =
      Bytes(absl::StrCat(kTwoRecords, kAcknowledged, kExists, kCreate, kDone));
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good;
    for (int flips = random() % 8 + 1; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    Decode(bytes);
  }
}

// As nfmeter's own module took and sent them (kmod/): all of its features.
constexpr char kGetFeatures[] =
    "18000000010701000500000000000000000000000400"
    "1e00";
constexpr char kFeatures[] =
    "1c000000000700000500000051600000000000000800"
    "1e000000003f";

TEST(AcctCodecTest, FeaturesAreAskedForWithoutAName) {
  EXPECT_EQ(Hex([](std::string& out) { AppendAcctGetFeatures(5, out); }),
            kGetFeatures);
}

TEST(AcctCodecTest, FeaturesAreRead) {
  const std::string bytes = Bytes(kFeatures);
  AcctMessageReader reader(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  const AcctMessage* const message = reader.Next();
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(message->kind, Kind::kFeatures);
  EXPECT_EQ(message->sequence, 5u);
  EXPECT_EQ(message->features, (AcctFeatures{.constant_lookup = true,
                                             .per_cpu = true,
                                             .stable_dump = true,
                                             .lossless_reset = true,
                                             .replace = true}));
}

TEST(AcctCodecTest, WhatIsNotQuiteFeaturesIsNone) {
  for (size_t cut = 21; cut < 28; ++cut) {
    std::string bytes = Bytes(kFeatures).substr(0, cut);
    bytes[0] = static_cast<char>(cut);
    AcctMessageReader reader(absl::MakeConstSpan(
        reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
    const AcctMessage* const message = reader.Next();
    ASSERT_NE(message, nullptr) << cut;
    EXPECT_EQ(message->kind, Kind::kOther) << cut;
  }
}

}  // namespace
}  // namespace nfmeter::kernel
