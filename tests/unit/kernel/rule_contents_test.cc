// SPDX-License-Identifier: GPL-3.0-or-later
// Reading tables of libiptc's, with a handle in memory in its place.
#include <linux/netfilter_ipv4/ip_tables.h>
#include <string.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/xtables/iptc_rule_table_contents.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class NoSets : public IpSetIndex {
 public:
  absl::StatusOr<uint16_t> IndexOf(absl::string_view) override {
    return absl::NotFoundError("no sets");
  }
  absl::StatusOr<std::string> NameOf(uint16_t) override {
    return absl::NotFoundError("no sets");
  }
};

// One chain, INPUT, that remembers what is done to it.
class ListHandle : public IptcHandle {
 public:
  explicit ListHandle(std::vector<std::vector<uint8_t>> entries)
      : entries_(std::move(entries)) {}

  void ForEachChain(
      absl::FunctionRef<void(const IptcChain&)> on_chain) override {
    on_chain({.name = "INPUT", .builtin = true, .policy = "ACCEPT"});
  }
  void ForEachRule(absl::string_view,
                   absl::FunctionRef<void(const IptcRule&)> on_rule) override {
    for (const auto& entry : entries_) {
      on_rule({.entry = entry, .target = "LOG", .packets = 7, .bytes = 700});
    }
  }
  int Insert(const std::string&, uint32_t, const uint8_t*) override {
    return 0;
  }
  int Append(const std::string&, const uint8_t*) override { return 0; }
  int Delete(const std::string&, uint32_t position) override {
    deleted_.push_back(position);
    return 0;
  }
  int CreateChain(const std::string&) override { return 0; }
  int DeleteChain(const std::string&) override { return 0; }
  int Flush(const std::string&) override { return 0; }
  int Commit() override { return 0; }

  const std::vector<uint32_t>& deleted() const { return deleted_; }

 private:
  const std::vector<std::vector<uint8_t>> entries_;
  std::vector<uint32_t> deleted_;
};

std::vector<uint8_t> GoodEntry() {
  NoSets sets;
  return *EncodeEntry(Family::kIpv4,
                      {.id = "good", .chain = "INPUT", .counter = "web"}, sets);
}

TEST(RuleContentsTest, ARuleThatCannotBeReadHidesNoOther) {
  std::vector<uint8_t> broken = GoodEntry();
  ipt_entry entry;
  memcpy(&entry, broken.data(), sizeof(entry));
  entry.target_offset = 60000;
  memcpy(broken.data(), &entry, sizeof(entry));
  ListHandle handle({GoodEntry(), broken, {}, {1, 2, 3}, broken});
  NoSets sets;
  const TableContents contents =
      ReadContents(handle, Family::kIpv4, Table::kFilter, sets);
  ASSERT_THAT(contents.chains, SizeIs(1));
  const std::vector<Rule>& rules = contents.chains[0].rules;
  ASSERT_THAT(rules, SizeIs(5));
  EXPECT_EQ(rules[0].id, "good");
  EXPECT_TRUE(rules[0].managed);
  for (size_t i = 1; i < rules.size(); ++i) {
    EXPECT_FALSE(rules[i].managed);
    EXPECT_THAT(rules[i].text, StartsWith("-A INPUT ["));
    EXPECT_THAT(rules[i].text, HasSubstr(" -j LOG"));
    EXPECT_THAT(rules[i].other_matches, ElementsAre("unreadable"));
    EXPECT_EQ(rules[i].packets, 7u);
    EXPECT_EQ(rules[i].position, i + 1);
  }
  EXPECT_NE(rules[1].id, rules[4].id);
}

TEST(RuleContentsTest, DeletionsStartFromTheNearerEnd) {
  const Chain chain = {.name = "INPUT", .rules = std::vector<Rule>(10)};
  const TableContents contents = {.chains = {chain}};
  EditPlan plan;
  plan.deletions = {{.chain = 0, .positions = {1, 2, 5, 6, 9, 10}}};
  ListHandle handle({});
  EXPECT_EQ(ApplyEdit(contents, plan, {}, {}, handle), 0);
  // 1, 2 and 5 as they move up; then 10, 9 and 6 after three have gone.
  EXPECT_THAT(handle.deleted(), ElementsAre(1, 1, 3, 7, 6, 3));
}

}  // namespace
}  // namespace nfmeter::kernel
