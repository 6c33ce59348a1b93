// SPDX-License-Identifier: GPL-3.0-or-later
// Entries that no kernel would hand out: refused or read, never beyond their
// bytes (run under AddressSanitizer, each lies in a heap block of its own
// size).
#include <string.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/linux/xtables/xt_ip_part.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/kernel/xt_rules.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::EveryCondition;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::RuleWith;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TwoSets;
using ::testing::ElementsAre;

class XtMalformedTest : public ::testing::TestWithParam<Family> {
 protected:
  absl::StatusOr<DecodedEntry> Decode(const std::vector<uint8_t>& bytes,
                                      size_t size) {
    const auto block = std::make_unique<uint8_t[]>(size);
    std::copy_n(bytes.begin(), size, block.get());
    return DecodeEntry(GetParam(), absl::MakeConstSpan(block.get(), size), "",
                       sets_);
  }

  // One entry for each condition.
  std::vector<std::vector<uint8_t>> Entries() {
    std::vector<std::vector<uint8_t>> entries;
    for (const RuleMatch& match : EveryCondition(GetParam())) {
      auto entry = EncodeEntry(GetParam(), RuleWith(match), sets_);
      EXPECT_OK(entry);
      if (entry.ok()) entries.push_back(*std::move(entry));
    }
    return entries;
  }

  TwoSets sets_;
};

INSTANTIATE_TEST_SUITE_P(Families, XtMalformedTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(XtMalformedTest, CutEntriesAreRefused) {
  const std::vector<std::vector<uint8_t>> entries = Entries();
  for (size_t i = 0; i < entries.size(); i += 7) {
    for (size_t size = 0; size < entries[i].size(); ++size) {
      const auto decoded = Decode(entries[i], size);
      ASSERT_THAT(decoded, StatusIs(absl::StatusCode::kInvalidArgument))
          << size;
      ASSERT_THAT(decoded, HasReason("MALFORMED_ENTRY"));
    }
  }
}

TEST_P(XtMalformedTest, BytesAfterTheEntryAreNotPartOfIt) {
  const RuleMatch match = {.dscp = Negatable<uint8_t>{3}};
  auto entry = EncodeEntry(GetParam(), RuleWith(match), sets_);
  ASSERT_OK(entry);
  entry->resize(entry->size() + 50, 0xff);
  const auto decoded = Decode(*entry, entry->size());
  ASSERT_OK(decoded);
  EXPECT_TRUE(decoded->match == match);
}

TEST_P(XtMalformedTest, OverwrittenWordsNeverReachOutside) {
  std::vector<std::vector<uint8_t>> entries = Entries();
  for (std::vector<uint8_t>& entry : entries) {
    for (size_t at = 0; at + 1 < entry.size(); at += 2) {
      const uint8_t first = entry[at];
      const uint8_t second = entry[at + 1];
      for (const uint8_t byte : {0x00, 0xff}) {
        entry[at] = entry[at + 1] = byte;
        const auto decoded = Decode(entry, entry.size());
        if (!decoded.ok()) {
          ASSERT_THAT(decoded, HasReason("MALFORMED_ENTRY"));
        }
      }
      entry[at] = first;
      entry[at + 1] = second;
    }
  }
}

// A match or target by name; the sizes are those of the kernel's structs.
struct Extension {
  const char* name;
  uint8_t revision;
  size_t size;
};

constexpr Extension kMatches[] = {
    {"tcp", 0, 16},       {"udp", 0, 16},       {"sctp", 0, 296},
    {"dccp", 0, 16},      {"multiport", 1, 48}, {"icmp", 0, 8},
    {"icmp6", 0, 8},      {"mark", 1, 16},      {"dscp", 0, 8},
    {"pkttype", 0, 8},    {"addrtype", 1, 8},   {"conntrack", 3, 168},
    {"owner", 1, 24},     {"cgroup", 2, 528},   {"set", 4, 48},
    {"comment", 0, 256},  {"nfacct", 1, 40},    {"limit", 0, 40},
    {"statistic", 0, 24}, {"iprange", 1, 72},   {"mac", 0, 16},
    {"ttl", 0, 8},        {"hl", 0, 8},         {"recent", 1, 232},
    {"length", 0, 8},     {"quota", 0, 24},     {"esp", 0, 16},
    {"tos", 1, 8},        {"tcpmss", 0, 8},     {"connmark", 1, 16},
    {"nonsense", 9, 80}};

constexpr Extension kTargets[] = {
    {"LOG", 0, 32},      {"NFLOG", 0, 80},      {"NFQUEUE", 3, 8},
    {"REJECT", 0, 8},    {"MARK", 2, 8},        {"CONNMARK", 2, 16},
    {"CLASSIFY", 0, 8},  {"DSCP", 0, 8},        {"TCPMSS", 0, 8},
    {"CT", 2, 72},       {"DNAT", 2, 48},       {"DNAT", 0, 24},
    {"SNAT", 0, 24},     {"SNAT", 1, 40},       {"REDIRECT", 0, 24},
    {"REDIRECT", 0, 40}, {"MASQUERADE", 0, 24}, {"MASQUERADE", 0, 40},
    {"NONSENSE", 9, 80}};

std::vector<uint8_t> Noise(const Extension& extension, std::mt19937& random) {
  xt_entry_match header{};
  header.u.user.match_size =
      static_cast<uint16_t>(sizeof(header) + extension.size);
  strcpy(header.u.user.name, extension.name);
  header.u.user.revision = extension.revision;
  std::vector<uint8_t> bytes(sizeof(header) + extension.size);
  for (uint8_t& byte : bytes) {
    // Few bits set: more of the flags' own combinations.
    byte = static_cast<uint8_t>(random() & random());
  }
  memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

template <typename Entry>
std::vector<uint8_t> EntryOf(const std::vector<uint8_t>& match,
                             const std::vector<uint8_t>& target) {
  Entry entry{};
  entry.target_offset = static_cast<uint16_t>(sizeof(entry) + match.size());
  entry.next_offset =
      static_cast<uint16_t>(entry.target_offset + target.size());
  std::vector<uint8_t> bytes(sizeof(entry));
  memcpy(bytes.data(), &entry, sizeof(entry));
  bytes.insert(bytes.end(), match.begin(), match.end());
  bytes.insert(bytes.end(), target.begin(), target.end());
  return bytes;
}

TEST_P(XtMalformedTest, ExtensionsFilledWithNoiseAreReadOrNamed) {
  std::mt19937 random(1);
  std::set<std::string> strangers;  // shown by their size only
  const Extension standard = {"", 0, 8};
  const auto check = [&](const Extension& match, const Extension& target) {
    const auto match_bytes = Noise(match, random);
    const auto target_bytes = Noise(target, random);
    const std::vector<uint8_t> entry =
        GetParam() == Family::kIpv4
            ? EntryOf<ipt_entry>(match_bytes, target_bytes)
            : EntryOf<ip6t_entry>(match_bytes, target_bytes);
    const auto decoded = Decode(entry, entry.size());
    ASSERT_OK(decoded) << match.name << target.name;
    EXPECT_THAT(decoded->match_text, ::testing::StartsWith(" -m "));
    if (absl::StrContains(decoded->match_text, " bytes]")) {
      strangers.insert(match.name);
    }
    if (absl::StrContains(decoded->target_options, " bytes]")) {
      strangers.insert(absl::StrCat(target.name, " ", target.size));
    }
  };
  for (int round = 0; round < 500; ++round) {
    for (const Extension& match : kMatches) check(match, standard);
    for (const Extension& target : kTargets) check(kMatches[0], target);
  }
  if (GetParam() == Family::kIpv4) {
    EXPECT_THAT(strangers,
                ElementsAre("MASQUERADE 40", "NONSENSE 80", "REDIRECT 40",
                            "SNAT 40", "hl", "icmp6", "nonsense"));
  } else {
    EXPECT_THAT(strangers, ElementsAre("DNAT 24", "MASQUERADE 24",
                                       "NONSENSE 80", "REDIRECT 24", "SNAT 24",
                                       "icmp", "nonsense", "ttl"));
  }
}

}  // namespace
}  // namespace nfmeter::kernel
