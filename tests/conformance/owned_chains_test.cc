// SPDX-License-Identifier: GPL-3.0-or-later
// Chains of an owner: made, kept, mended and taken away, and nothing else.
#include "kernel/owned_chains.h"

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "kernel/ip_prefix.h"
#include "kernel/owned_diff.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kOwner[] = "1a2b3c4d-";
constexpr char kRoot[] = "NFM-1a2b3c4d-in";
constexpr char kLeaf[] = "NFM-1a2b3c4d-leaf";

OwnedTable Wanted(std::string counter = "web") {
  OwnedTable table;
  table.hooks = {{"INPUT", kRoot}};
  RuleMatch ten;
  ten.source = {.value = *ParseIpPrefix("10.0.0.0/8")};
  table.chains = {
      {kRoot, {{.match = ten, .action = OwnedAction::kGoto, .chain = kLeaf}}},
      {kLeaf, {{.counter = std::move(counter)}}}};
  return table;
}

template <typename K>
class OwnedChainsTest : public RuleTableTest<K> {
 protected:
  // Packets come to chains of owners by jumps from those of the kernel; else
  // the first one is a chain of the kernel's itself.
  static constexpr bool kJumps = K::kUserChains;
  // What Wanted() is told of as missing: two chains, and the jump.
  static size_t Places() { return kJumps ? 3 : 2; }

  absl::StatusOr<OwnedOutcome> Apply(std::vector<OwnedTable> wanted,
                                     bool dry_run = false,
                                     std::string owner = kOwner) {
    return this->rules().ApplyOwned({.owner = std::move(owner),
                                     .wanted = std::move(wanted),
                                     .dry_run = dry_run},
                                    Patience(Soon()));
  }
  std::vector<std::string> TextsOf(std::string chain) {
    std::vector<std::string> texts;
    for (const Rule& rule : this->ChainOf(std::move(chain)).rules) {
      texts.push_back(rule.text);
    }
    return texts;
  }
  bool HasChain(const std::string& name) {
    for (const Chain& chain : this->Contents().chains) {
      if (chain.name == name) return true;
    }
    return false;
  }
};

TYPED_TEST_SUITE(OwnedChainsTest, Kernels, KernelNames);

TYPED_TEST(OwnedChainsTest, AreMadeWithTheirJumps) {
  const auto outcome = this->Apply({Wanted()});
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->commits, 1u);
  EXPECT_THAT(outcome->differences, SizeIs(this->Places()));
  if (this->kJumps) {
    EXPECT_THAT(this->TextsOf("INPUT"),
                ElementsAre("-A INPUT -j NFM-1a2b3c4d-in"));
    EXPECT_THAT(this->TextsOf(kRoot),
                ElementsAre("-A NFM-1a2b3c4d-in -s 10.0.0.0/8 -g "
                            "NFM-1a2b3c4d-leaf"));
  } else {
    EXPECT_THAT(this->TextsOf("INPUT"), IsEmpty());
    EXPECT_THAT(this->TextsOf(kRoot),
                ElementsAre("ip saddr 10.0.0.0/8 goto "
                            "ip-filter-NFM-1a2b3c4d-leaf"));
  }
  EXPECT_EQ(this->ChainOf(kRoot).rules[0].target, kLeaf);
  EXPECT_EQ(this->UseCount("web"), 1u);
}

TYPED_TEST(OwnedChainsTest, TheSameAgainCommitsNothing) {
  ASSERT_OK(this->Apply({Wanted()}));
  const auto again = this->Apply({Wanted()});
  ASSERT_OK(again);
  EXPECT_EQ(again->commits, 0u);
  EXPECT_THAT(again->differences, IsEmpty());
}

TYPED_TEST(OwnedChainsTest, ADryRunSaysWhatDiffersAndChangesNothing) {
  const auto outcome = this->Apply({Wanted()}, /*dry_run=*/true);
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->differences, SizeIs(this->Places()));
  EXPECT_EQ(outcome->commits, 0u);
  EXPECT_FALSE(this->HasChain(kRoot));
}

TYPED_TEST(OwnedChainsTest, AChangedRuleIsSeenAndReplaced) {
  ASSERT_OK(this->Apply({Wanted("web")}));
  const auto outcome = this->Apply({Wanted("dns")});
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->differences, SizeIs(1));
  EXPECT_THAT(outcome->differences[0].missing, ElementsAre(HasSubstr("dns")));
  EXPECT_THAT(outcome->differences[0].unwanted, ElementsAre(HasSubstr("web")));
  // They differ by what was changed, and by nothing else.
  std::string text = outcome->differences[0].missing[0];
  text.replace(text.find("dns"), 3, "web");
  EXPECT_EQ(outcome->differences[0].unwanted[0], text);
  EXPECT_EQ(this->UseCount("web"), 0u);
  EXPECT_EQ(this->UseCount("dns"), 1u);
}

TYPED_TEST(OwnedChainsTest, ARuleThatEndsItsChainReadsBackAsItIs) {
  OwnedTable wanted = Wanted();
  wanted.chains[1].rules.insert(
      wanted.chains[1].rules.begin(),
      {.counter = "dns", .action = OwnedAction::kReturn});
  ASSERT_OK(this->Apply({wanted}));
  EXPECT_THAT(this->TextsOf(kLeaf)[0],
              ::testing::EndsWith(this->kJumps ? " -j RETURN" : " return"));
  const auto again = this->Apply({wanted});
  ASSERT_OK(again);
  EXPECT_EQ(again->commits, 0u);
}

// What is lost is told rule by rule; what counts into a stand-in is not.
TYPED_TEST(OwnedChainsTest, OnlyWhatIsLackingIsLost) {
  const std::string stand_in = StandInName("web");
  ASSERT_OK(this->acct().Create({AcctObject{.name = stand_in}})[0]);
  ASSERT_OK(this->Apply({Wanted(stand_in)}));
  OwnedTable wanted = Wanted("web");
  wanted.chains[1].rules.push_back({.counter = "dns"});
  const auto outcome = this->Apply({wanted}, /*dry_run=*/true);
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->differences, SizeIs(1));
  ASSERT_TRUE(outcome->differences[0].lost.has_value());
  EXPECT_THAT(outcome->differences[0].lost->counters, ElementsAre("dns"));
}

TYPED_TEST(OwnedChainsTest, BehindARuleThatIsNotPassedAllIsLost) {
  OwnedTable other = Wanted("web");
  RuleMatch ten;
  ten.source = {.value = *ParseIpPrefix("10.0.0.0/8")};
  other.chains[1].rules.insert(other.chains[1].rules.begin(),
                               {.match = ten, .action = OwnedAction::kReturn});
  ASSERT_OK(this->Apply({other}));
  const auto outcome = this->Apply({Wanted("web")}, /*dry_run=*/true);
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->differences, SizeIs(1));
  EXPECT_FALSE(outcome->differences[0].lost.has_value());
}

// A rule that was made by hand before the jump: only what it lets through comes
// to the jump, which is all if it counts and nothing else.
TYPED_TEST(OwnedChainsTest, ARuleOfOursBeforeTheJumpIsInItsWayWithAVerdict) {
  ASSERT_OK(this->Apply({Wanted()}));
  ASSERT_OK(this->Insert({Spec("counts")}));
  EXPECT_THAT(this->Apply({Wanted()}, /*dry_run=*/true)->differences,
              IsEmpty());
  RuleSpec accepts = Spec("accepts");
  accepts.verdict = Verdict::kAccept;
  ASSERT_OK(this->Insert({accepts}));
  EXPECT_THAT(this->Apply({Wanted()}, /*dry_run=*/true)->differences,
              SizeIs(this->kJumps ? 1 : 0));
}

TYPED_TEST(OwnedChainsTest, WhatOthersFlushedComesBack) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 192.0.2.1/32 -j ACCEPT");
  ASSERT_OK(this->Apply({Wanted()}));
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  this->host_.Flush(Family::kIpv4, Table::kFilter, kLeaf);
  EXPECT_EQ(this->UseCount("web"), 0u);
  const auto outcome = this->Apply({Wanted()});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->differences, SizeIs(this->Places() - 1));
  EXPECT_EQ(this->UseCount("web"), 1u);
  EXPECT_THAT(this->TextsOf("INPUT"), SizeIs(this->kJumps ? 1 : 0));
}

TYPED_TEST(OwnedChainsTest, AJumpBehindOthersRulesIsMovedToTheHead) {
  if (!this->kJumps) GTEST_SKIP() << "there are no jumps";
  ASSERT_OK(this->Apply({Wanted()}));
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 192.0.2.1/32 -j ACCEPT");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -j NFM-1a2b3c4d-in");
  ASSERT_OK(this->Apply({Wanted()}));
  EXPECT_THAT(this->TextsOf("INPUT"), ElementsAre("-A INPUT -j NFM-1a2b3c4d-in",
                                                  HasSubstr("192.0.2.1")));
}

TYPED_TEST(OwnedChainsTest, NothingWantedTakesEverythingAwayAndNothingElse) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 192.0.2.1/32 -j ACCEPT");
  ASSERT_OK(this->Insert({Spec("a")}));
  const std::vector<std::string> before = this->Texts();
  ASSERT_OK(this->Apply({Wanted()}));
  const auto outcome = this->Apply({});
  ASSERT_OK(outcome);
  EXPECT_EQ(this->Texts(), before);
  EXPECT_FALSE(this->HasChain(kRoot));
  EXPECT_FALSE(this->HasChain(kLeaf));
}

TYPED_TEST(OwnedChainsTest, OwnersDoNotTouchEachOther) {
  ASSERT_OK(this->Apply({Wanted()}));
  OwnedTable other;
  other.hooks = {{"INPUT", "NFM-99999999-in"}};
  other.chains = {{"NFM-99999999-in", {{.counter = "dns"}}}};
  ASSERT_OK(this->Apply({other}, false, "99999999-"));
  const auto first = this->Apply({Wanted()}, /*dry_run=*/true);
  ASSERT_OK(first);
  EXPECT_THAT(first->differences, IsEmpty());
  ASSERT_OK(this->Apply({}, false, "99999999-"));
  EXPECT_TRUE(this->HasChain(kRoot));
  EXPECT_FALSE(this->HasChain("NFM-99999999-in"));
}

TYPED_TEST(OwnedChainsTest, RulesThatActOnAnExceededQuotaReadBackAsTheyAre) {
  OwnedTable table;
  table.hooks = {{"INPUT", kRoot}};
  table.chains = {{kRoot,
                   {{.counter = "web", .action = OwnedAction::kDrop},
                    {.counter = "dns", .action = OwnedAction::kReject}}}};
  ASSERT_OK(this->Apply({table}));
  const auto again = this->Apply({table});
  ASSERT_OK(again);
  EXPECT_THAT(again->differences, IsEmpty());
  OwnedTable mangle = table;
  mangle.table = Table::kMangle;
  mangle.chains[0].rules[1] = {.counter = "dns",
                               .action = OwnedAction::kMark,
                               .mark = {.value = 7, .mask = 0xff}};
  ASSERT_OK(this->Apply({mangle}));
  EXPECT_FALSE(this->HasChain(kRoot));  // it went from the filter table
  const auto marked = this->Apply({mangle});
  ASSERT_OK(marked);
  EXPECT_THAT(marked->differences, IsEmpty());
}

// Maps, where there are some.
class OwnedMapsTest : public OwnedChainsTest<NftHost> {
 protected:
  static NftTable::Options Plain() {
    NftTable::Options options;
    options.own = false;
    return options;
  }
  static std::string Address(uint32_t number) {
    std::string key;
    for (int shift = 24; shift >= 0; shift -= 8) {
      key.push_back(static_cast<char>(number >> shift));
    }
    return key;
  }
  static OwnedTable ByAddress(std::vector<OwnedMap::Element> elements,
                              uint8_t bits = 32) {
    OwnedTable table;
    table.hooks = {{"INPUT", kRoot}};
    table.chains = {{kRoot, {{.map = "NFM-1a2b3c4d-map"}}}};
    table.maps = {{.name = "NFM-1a2b3c4d-map",
                   .key = MapKey::kSource,
                   .bits = bits,
                   .elements = std::move(elements)}};
    return table;
  }
  static std::string Ruleset() {
    return testing::Run({"nft", "list", "ruleset"}).out;
  }
  // What `nft` lists is flushed and loaded again, as at a boot of the node.
  static void ReloadRuleset() {
    const testing::TemporaryDirectory dir;
    const std::string saved = dir / "saved";
    std::ofstream(saved) << Ruleset();
    ASSERT_EQ(testing::Run({"nft", "flush", "ruleset"}).exit_code, 0);
    const testing::RunResult loaded = testing::Run({"nft", "-f", saved});
    ASSERT_EQ(loaded.exit_code, 0) << loaded.err;
  }
};

TEST_F(OwnedMapsTest, TheSameAgainCommitsNothing) {
  const OwnedTable table = ByAddress(
      {{Address(0x0a000001), "web"}, {Address(0x0a000002), "dns", true}});
  // The quota of a counter stands beside it.
  const std::vector<std::string> names = {"dns"};
  ASSERT_OK(acct().Delete(names)[0]);
  const std::vector<AcctObject> dns = {
      {.name = "dns", .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 1000}}};
  ASSERT_OK(acct().Create(dns)[0]);
  ASSERT_OK(Apply({table}));
  EXPECT_EQ(UseCount("web"), 1u);
  const auto again = Apply({table});
  ASSERT_OK(again);
  EXPECT_THAT(again->differences, IsEmpty());
  // Also for a process that has not made it.
  const auto other = NftKernel::Open(Plain());
  ASSERT_OK(other);
  const auto seen = (*other)->rules().ApplyOwned(
      {.owner = kOwner, .wanted = {table}}, Patience(Soon()));
  ASSERT_OK(seen);
  EXPECT_THAT(seen->differences, IsEmpty());
}

TEST_F(OwnedMapsTest, AChangedElementIsAllThatChanges) {
  ASSERT_OK(Apply({ByAddress(
      {{Address(0x0a000001), "web"}, {Address(0x0a000002), "web"}})}));
  const auto outcome = Apply({ByAddress(
      {{Address(0x0a000001), "dns"}, {Address(0x0a000002), "web"}})});
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->differences, SizeIs(1));
  EXPECT_THAT(outcome->differences[0].missing,
              ElementsAre("0x0a000001 : \"c.dns\""));
  EXPECT_THAT(outcome->differences[0].unwanted,
              ElementsAre("0x0a000001 : \"c.web\""));
  EXPECT_EQ(UseCount("web"), 1u);
  EXPECT_EQ(UseCount("dns"), 1u);
}

TEST_F(OwnedMapsTest, WhatOthersTookOutOfAMapComesBack) {
  const OwnedTable table = ByAddress({{Address(0x0a000000), "web"}}, 8);
  ASSERT_OK(Apply({table}));
  ASSERT_EQ(testing::Run({"nft", "flush", "map", "inet", "nfmeter",
                          "ip-filter-NFM-1a2b3c4d-map"})
                .exit_code,
            0);
  EXPECT_EQ(UseCount("web"), 0u);
  const auto outcome = Apply({table});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->differences, SizeIs(1));
  EXPECT_EQ(UseCount("web"), 1u);
}

TEST_F(OwnedMapsTest, OnlyElementsThatAreLackingAreLost) {
  const std::string stand_in = StandInName("web");
  ASSERT_OK(acct().Create({AcctObject{.name = stand_in}})[0]);
  ASSERT_OK(Apply({ByAddress({{Address(1), stand_in}, {Address(2), "web"}})}));
  const auto outcome =
      Apply({ByAddress({{Address(1), "web"}, {Address(2), "dns"}})},
            /*dry_run=*/true);
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->differences, SizeIs(1));
  ASSERT_TRUE(outcome->differences[0].lost.has_value());
  EXPECT_THAT(outcome->differences[0].lost->counters, ElementsAre("dns"));
}

// Their keys do not lie in the register as they are given.
TEST_F(OwnedMapsTest, ElementsOfUidsAreLostByTheirCounters) {
  const auto by_uid = [](std::vector<OwnedMap::Element> elements) {
    OwnedTable table = ByAddress(std::move(elements));
    table.hooks = {{"OUTPUT", kRoot}};
    table.maps[0].key = MapKey::kUid;
    return table;
  };
  ASSERT_OK(Apply({by_uid({{Address(1), "web"}})}));
  const auto outcome =
      Apply({by_uid({{Address(1), "web"}, {Address(256), "dns"}})},
            /*dry_run=*/true);
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->differences, SizeIs(1));
  ASSERT_TRUE(outcome->differences[0].lost.has_value());
  EXPECT_THAT(outcome->differences[0].lost->counters, ElementsAre("dns"));
}

TEST_F(OwnedMapsTest, AMissingCounterChangesNothing) {
  const auto outcome = Apply({ByAddress({{Address(1), "nobody"}})});
  EXPECT_THAT(outcome, HasReason("PLAN_REFUSED"));
  EXPECT_FALSE(HasChain(kRoot));
}

TEST_F(OwnedMapsTest, AMapLargerThanATransactionIsFilledBefore) {
  NftTable::Options small = Plain();
  small.send_buffer_bytes = 32 << 10;
  const auto other = NftKernel::Open(small);
  ASSERT_OK(other);
  const auto apply = [&](uint32_t elements) {
    std::vector<OwnedMap::Element> all;
    for (uint32_t i = 0; i < elements; ++i) all.push_back({Address(i), "web"});
    return (*other)->rules().ApplyOwned(
        {.owner = kOwner, .wanted = {ByAddress(all)}}, Patience(Soon()));
  };
  ASSERT_OK(apply(10'000));
  EXPECT_EQ(UseCount("web"), 10'000u);
  // A map that counts already is replaced by another.
  ASSERT_OK(apply(30'000));
  EXPECT_EQ(UseCount("web"), 30'000u);
}

// A plain table that others flush may come back as one that is ours; what was
// seen in the old one is gone all the same.
TEST_F(OwnedMapsTest, WhatWasInATableThatIsOursOnlyNowIsReadAgain) {
  ASSERT_EQ(testing::Run({"nft", "flush", "ruleset"}).exit_code, 0);
  ASSERT_EQ(
      testing::Run({"nft", "add table inet nfmeter { comment \"nfmeter\"; }"})
          .exit_code,
      0);
  const auto owning = NftKernel::Open();
  ASSERT_OK(owning);
  ASSERT_OK((*owning)->Probe()->acct);
  ASSERT_OK((*owning)->acct().Create({AcctObject{.name = "web"}})[0]);
  const auto look = [&](bool dry_run) {
    return (*owning)->rules().ApplyOwned(
        {.owner = kOwner,
         .wanted = {ByAddress({{Address(1), "web"}})},
         .dry_run = dry_run},
        Patience(Soon()));
  };
  ASSERT_OK(look(/*dry_run=*/false));
  ASSERT_EQ(testing::Run({"nft", "flush", "ruleset"}).exit_code, 0);
  // As each minute.
  ASSERT_OK((*owning)->Probe()->acct);
  ASSERT_OK((*owning)->acct().Create({AcctObject{.name = "web"}})[0]);
  ASSERT_TRUE((*owning)->table().owned());
  const auto outcome = look(/*dry_run=*/true);
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->differences, Not(IsEmpty()));
}

TEST_F(OwnedMapsTest, NftListsAndLoadsThem) {
  ASSERT_OK(Apply({ByAddress({{Address(0x0a010200), "web"}}, 24)}));
  const std::string listed = Ruleset();
  EXPECT_THAT(listed, HasSubstr("10.1.2.0 : \"c.web\""));
  ASSERT_NO_FATAL_FAILURE(ReloadRuleset());
  EXPECT_EQ(Ruleset(), listed);
  const auto outcome = Apply({ByAddress({{Address(0x0a010200), "web"}}, 24)});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->differences, IsEmpty());
}

// Both ends lie in registers side by side, as nft has it.
TEST_F(OwnedMapsTest, NftListsAndLoadsWhatLeavesPairsOut) {
  for (const Family family : kAllFamilies) {
    for (const bool whole : {true, false}) {
      const bool ipv4 = family == Family::kIpv4;
      const std::string key =
          ipv4 ? Address(0x0a010200) : Address(0x20010db8) + std::string(12, 0);
      const uint8_t bits = static_cast<uint8_t>(8 * key.size());
      OwnedTable table = ByAddress({{key, "web"}}, whole ? bits : bits - 8);
      table.family = family;
      table.maps[0].key = MapKey::kDestination;
      table.maps[0].from_elsewhere = true;
      ASSERT_OK(Apply({table}));
      const std::string listed = Ruleset();
      EXPECT_THAT(listed, HasSubstr(" != @ip"));
      EXPECT_THAT(listed, HasSubstr(ipv4 ? "10.1.2.0 . 10.1.2.0"
                                         : "2001:db8:: . 2001:db8::"));
      ASSERT_NO_FATAL_FAILURE(ReloadRuleset());
      EXPECT_EQ(Ruleset(), listed);
      const auto same = Apply({table});
      ASSERT_OK(same);
      EXPECT_THAT(same->differences, IsEmpty());
      // A pair that is lacking would count twice.
      ASSERT_EQ(testing::Run({"nft", "flush", "set", "inet", "nfmeter",
                              std::string(ipv4 ? "ip" : "ip6") +
                                  "-filter-NFM-1a2b3c4d-map-pairs"})
                    .exit_code,
                0);
      const auto mended = Apply({table});
      ASSERT_OK(mended);
      EXPECT_THAT(mended->differences, SizeIs(1));
      EXPECT_EQ(Ruleset(), listed);
      ASSERT_OK(Apply({}));
    }
  }
}

}  // namespace
}  // namespace nfmeter::kernel
