// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of others in a chain of ours, which may have anything in them.
#include <linux/netfilter/nf_tables.h>

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nftables/nft_rule.h"

namespace nfmeter::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Rule Read(const std::vector<NftExpression>& expressions,
          const std::string& userdata = "") {
  std::string bytes;
  AttributeWriter writer(bytes);
  AppendNftExpressions(expressions, writer);
  const auto span = [](const std::string& text) {
    return ByteSpan(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  };
  constexpr size_t kHeader = 4;
  const NftRuleInfo info = {.chain = "ip-filter-INPUT",
                            .handle = 1,
                            .expressions = span(bytes).subspan(kHeader),
                            .userdata = span(userdata)};
  return ReadNftRuleOf(
      Family::kIpv4, Table::kFilter, "INPUT", info,
      [](const std::string&) -> std::optional<std::vector<NftElement>> {
        return std::nullopt;
      });
}

TEST(NftRuleReadTest, AnInterfaceWithoutANameIsNotOurs) {
  const Rule rule =
      Read({NftMeta{NFT_META_IIFNAME},
            NftCompare{NFT_CMP_EQ, std::string(16, '\0')}, NftCounter{3, 300}});
  EXPECT_FALSE(rule.match.in_interface.has_value());
  EXPECT_THAT(rule.other_matches, ElementsAre("condition"));
  EXPECT_EQ(rule.packets, 3u);
}

TEST(NftRuleReadTest, WhatWeNeverMakeIsNamedAndTheRestIsRead) {
  const Rule rule =
      Read({NftMeta{NFT_META_LEN}, NftCompare{NFT_CMP_GTE, "\x01\x02\x03\x04"},
            NftMeta{NFT_META_L4PROTO}, NftCompare{NFT_CMP_EQ, "\x06"},
            NftObject{1, "c.web"}});
  EXPECT_THAT(rule.other_matches, ElementsAre("condition"));
  ASSERT_TRUE(rule.match.protocol.has_value());
  EXPECT_EQ(rule.match.protocol->value, 6);
  EXPECT_EQ(rule.counter, "web");
  EXPECT_FALSE(rule.managed);
}

TEST(NftRuleReadTest, OurMarkAloneMakesNoRuleOurs) {
  const std::string mark = std::string("\0\x0bnfmeter:id", 12) + '\0';
  EXPECT_FALSE(Read({NftCounter{}}, mark).managed);
  const Rule ours = Read({NftCounter{}, NftObject{1, "c.web"}}, mark);
  EXPECT_TRUE(ours.managed);
  EXPECT_EQ(ours.id, "id");
  EXPECT_THAT(ours.match.comment, IsEmpty());
}

// The kernel is asked for the level below the root, whatever the slashes are.
TEST(NftRuleWordsTest, TheLevelOfACgroupIsThatOfItsNames) {
  for (const char* path : {"a.slice/b", "/a.slice/b", "a.slice//b/"}) {
    const Rule rule = {.match = {.cgroup_path = Negatable<std::string>{path}}};
    EXPECT_THAT(NftRuleText(Family::kIpv4, rule, {}),
                HasSubstr("socket cgroupv2 level 2 \"a.slice/b\""));
  }
}

}  // namespace
}  // namespace nfmeter::kernel
