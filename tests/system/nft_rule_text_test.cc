// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of nf_tables as nft itself prints and reads them.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nftables/nft_acct_table.h"
#include "kernel/linux/nftables/nft_rule.h"
#include "kernel/linux/nftables/nft_rule_table.h"
#include "kernel/rule_law.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/unit/kernel/xt_rules.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::EveryCondition;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kCounterName[] = "web+traffic";

// A plain table, so that nft may restore it.
class NftRuleTextTest : public ::testing::TestWithParam<Family> {
 protected:
  NftRuleTextTest() : table_(Open()), acct_(*table_), rules_(*table_, acct_) {
    EXPECT_OK(table_->Probe());
    EXPECT_THAT(acct_.Create({{.name = kCounterName}}), Each(IsOk()));
  }

  ~NftRuleTextTest() override { testing::Run({"nft", "flush ruleset"}); }

  static std::unique_ptr<NftTable> Open() {
    NftTable::Options options;
    options.own = false;
    return NftTable::Open(options).value();
  }

  // All conditions that may be in a rule and that nf_tables has.
  std::vector<RuleSpec> EveryRule() {
    std::vector<RuleSpec> specs;
    for (const RuleMatch& match : EveryCondition(GetParam())) {
      RuleSpec spec = {.id = absl::StrCat("r", specs.size()),
                       .chain = "INPUT",
                       .match = match,
                       .counter = kCounterName};
      if (match.out_interface.has_value() || match.owner_uid.has_value() ||
          match.owner_gid.has_value()) {
        spec.chain = "OUTPUT";
      }
      if (!FaultsOfRule(spec, GetParam(), Table::kFilter).empty()) continue;
      if (match.ip_set.has_value() || match.cgroup_path.has_value()) continue;
      if (match.conntrack_states.has_value() &&
          match.conntrack_states->value == 0x7f) {
        continue;
      }
      specs.push_back(spec);
    }
    for (const Verdict verdict :
         {Verdict::kAccept, Verdict::kDrop, Verdict::kReturn}) {
      specs.push_back({.id = absl::StrCat("r", specs.size()),
                       .chain = "INPUT",
                       .counter = kCounterName,
                       .verdict = verdict});
    }
    return specs;
  }

  std::vector<Rule> Rules(const std::string& chain) {
    const auto contents = rules_.Read(GetParam(), Table::kFilter);
    EXPECT_OK(contents);
    if (!contents.ok()) return {};
    for (const Chain& each : contents->chains) {
      if (each.name == chain) return each.rules;
    }
    return {};
  }

  // The lines that nft prints of a chain's rules.
  std::vector<std::string> Listed(const std::string& chain) {
    const auto result =
        testing::Run({"nft", "-s", "list", "chain", "inet", "nfmeter",
                      NftChainName(GetParam(), Table::kFilter, chain)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::vector<std::string> lines;
    for (const absl::string_view line : absl::StrSplit(result.out, '\n')) {
      if (absl::StartsWith(line, "\t\t") &&
          !absl::StartsWith(line, "\t\ttype ")) {
        lines.emplace_back(absl::StripAsciiWhitespace(line));
      }
    }
    return lines;
  }

  // The kernel's expressions of a chain's rules, as nft shows them.
  std::string Program(const std::string& chain) {
    const auto result = testing::Run(
        {"nft", "--debug=netlink", "list", "chain", "inet", "nfmeter",
         NftChainName(GetParam(), Table::kFilter, chain)});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::string program;
    for (const absl::string_view line : absl::StrSplit(result.out, '\n')) {
      // Sets are numbered as they are made.
      if (absl::StartsWith(line, "  [ ") &&
          !absl::StartsWith(line, "  [ lookup ")) {
        absl::StrAppend(&program, line, "\n");
      }
    }
    return program;
  }

  absl::StatusOr<TableOutcome> Insert(std::vector<RuleSpec> specs) {
    return testing::Edit(
        rules_, {.family = GetParam(), .insertions = std::move(specs)},
        Patience(SystemClock().BootTime() + absl::Seconds(20)));
  }

  const std::unique_ptr<NftTable> table_;
  NftAcctTable acct_;
  NftRuleTable rules_;
};

INSTANTIATE_TEST_SUITE_P(Families, NftRuleTextTest,
                         ::testing::ValuesIn(kAllFamilies),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(NftRuleTextTest, EveryConditionIsReadBackAsItWasGiven) {
  const std::vector<RuleSpec> specs = EveryRule();
  const auto outcome = Insert(specs);
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->inserted, SizeIs(specs.size()));
  for (size_t i = 0; i < specs.size(); ++i) {
    const Rule& rule = outcome->inserted[i];
    EXPECT_EQ(rule.match, specs[i].match) << rule.text;
    EXPECT_EQ(rule.counter, kCounterName);
    EXPECT_EQ(rule.verdict, specs[i].verdict);
    EXPECT_THAT(rule.other_matches, SizeIs(0)) << rule.text;
  }
}

TEST_P(NftRuleTextTest, ItsTextIsWhatNftPrints) {
  ASSERT_OK(Insert(EveryRule()));
  for (const char* chain : {"INPUT", "OUTPUT"}) {
    std::vector<std::string> texts;
    for (const Rule& rule : Rules(chain)) texts.push_back(rule.text);
    const std::vector<std::string> lines = Listed(chain);
    ASSERT_EQ(texts.size(), lines.size());
    for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], lines[i]);
  }
}

TEST_P(NftRuleTextTest, NftSavesAndRestoresItAsItIs) {
  ASSERT_OK(Insert(EveryRule()));
  const std::vector<Rule> before = Rules("INPUT");
  const std::string program = Program("INPUT");
  const auto saved = testing::Run({"nft", "list", "ruleset"});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const auto restored = testing::Run(
      {"nft", "-f", "-"}, absl::StrCat("flush ruleset\n", saved.out));
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  const std::vector<Rule> after = Rules("INPUT");
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].id, before[i].id);
    EXPECT_EQ(after[i].text, before[i].text);
  }
  EXPECT_EQ(Program("INPUT"), program);
}

TEST_P(NftRuleTextTest, WhatNftablesHasNotIsSaid) {
  RuleSpec set = {.id = "set", .chain = "INPUT", .counter = kCounterName};
  set.match.ip_set = {{"hosts", {IpSetDirection::kSource}}};
  EXPECT_THAT(Insert({set}),
              AllOf(testing::StatusIs(absl::StatusCode::kUnimplemented,
                                      HasSubstr("ipsets")),
                    HasReason("MATCH_UNAVAILABLE")));
  RuleSpec states = {.id = "states", .chain = "INPUT", .counter = kCounterName};
  states.match.conntrack_states = {kCtNew | kCtSnat};
  EXPECT_THAT(Insert({states}), HasReason("RULE_NOT_EXPRESSIBLE"));
  RuleSpec cgroup = {.id = "cgroup", .chain = "INPUT", .counter = kCounterName};
  cgroup.match.cgroup_path = {"there/is/none"};
  EXPECT_THAT(Insert({cgroup}),
              AllOf(testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("there/is/none")),
                    HasReason("RULE_REFUSED")));
  EXPECT_TRUE(Rules("INPUT").empty());
}

}  // namespace
}  // namespace nfmeter::kernel
