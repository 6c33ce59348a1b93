// What every RuleTable does, the fake as the real one.
#include "kernel/rule_table.h"

#include <netinet/in.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_table.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/iptc_rule_table.h"
#include "kernel/linux/netlink_acct_table.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::Run;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Code = absl::StatusCode;

// One kernel with both its halves, and another user of its tables.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual AcctTable& acct() = 0;
  virtual RuleTable& rules() = 0;
  virtual void AddUserChain(Family family, Table table, std::string chain) = 0;
  virtual void AddForeignRule(Family family, Table table, std::string text) = 0;
  virtual void Flush(Family family, Table table, std::string chain) = 0;
  virtual void SetPolicy(Family family, Table table, std::string chain,
                         std::string policy) = 0;
};

class FakeKernel : public Kernel {
 public:
  AcctTable& acct() override { return acct_; }
  RuleTable& rules() override { return rules_; }
  void AddUserChain(Family family, Table table, std::string chain) override {
    rules_.AddUserChain(family, table, chain);
  }
  void AddForeignRule(Family family, Table table, std::string text) override {
    rules_.AddForeignRule(family, table, text);
  }
  void Flush(Family family, Table table, std::string chain) override {
    rules_.Flush(family, table, chain);
  }
  void SetPolicy(Family family, Table table, std::string chain,
                 std::string policy) override {
    rules_.SetPolicy(family, table, chain, policy);
  }

 private:
  FakeAcctTable acct_;
  FakeRuleTable rules_{&acct_};
};

class LinuxKernel : public Kernel {
 public:
  AcctTable& acct() override { return *acct_; }
  RuleTable& rules() override { return rules_; }
  void AddUserChain(Family family, Table table, std::string chain) override {
    Iptables(family, table, {"-N", chain});
  }
  void AddForeignRule(Family family, Table table, std::string text) override {
    std::vector<std::string> words = absl::StrSplit(text, ' ');
    Iptables(family, table, words);
  }
  void Flush(Family family, Table table, std::string chain) override {
    Iptables(family, table, {"-F", chain});
  }
  void SetPolicy(Family family, Table table, std::string chain,
                 std::string policy) override {
    Iptables(family, table, {"-P", chain, policy});
  }

 private:
  static void Iptables(Family family, Table table,
                       const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {
        family == Family::kIpv4 ? "iptables-legacy" : "ip6tables-legacy", "-w",
        "-t", std::string(TableName(table))};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const auto result = Run(command);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  std::unique_ptr<NetlinkAcctTable> acct_ = *NetlinkAcctTable::Open();
  IptcRuleTable rules_;
};

absl::Time Soon() { return absl::Now() + absl::Seconds(20); }

RuleSpec Spec(std::string id, std::string chain = "INPUT",
              std::string counter = "web") {
  return {.id = std::move(id),
          .chain = std::move(chain),
          .counter = std::move(counter)};
}

template <typename K>
class RuleTableTest : public ::testing::Test {
 protected:
  RuleTableTest() {
    for (const char* name : {"web", "dns"}) {
      const std::vector<AcctObject> objects = {{.name = name}};
      EXPECT_OK(kernel_.acct().Create(objects)[0]);
    }
  }

  RuleTable& rules() { return kernel_.rules(); }

  absl::StatusOr<EditOutcome> Insert(
      std::vector<RuleSpec> specs,
      RulePlacement placement = RulePlacement::kHead) {
    return rules().Edit(
        {.insertions = std::move(specs), .placement = placement}, Soon());
  }
  absl::StatusOr<EditOutcome> Delete(std::vector<std::string> ids) {
    return rules().Edit({.deletions = std::move(ids)}, Soon());
  }

  TableContents Contents(Family family = Family::kIpv4,
                         Table table = Table::kFilter) {
    auto contents = rules().Read(family, table);
    EXPECT_OK(contents);
    return contents.ok() ? *std::move(contents) : TableContents();
  }
  Chain ChainOf(std::string name, Family family = Family::kIpv4,
                Table table = Table::kFilter) {
    for (Chain& chain : Contents(family, table).chains) {
      if (chain.name == name) return std::move(chain);
    }
    ADD_FAILURE() << "no chain " << name;
    return {};
  }
  std::vector<std::string> Ids(std::string chain, Family family = Family::kIpv4,
                               Table table = Table::kFilter) {
    std::vector<std::string> ids;
    for (const Rule& rule : ChainOf(chain, family, table).rules) {
      ids.push_back(rule.managed ? rule.id : "foreign");
    }
    return ids;
  }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    for (const Chain& chain : Contents().chains) {
      for (const Rule& rule : chain.rules) texts.push_back(rule.text);
    }
    return texts;
  }
  uint32_t UseCount(const std::string& counter) {
    return kernel_.acct().Get(counter)->use_count;
  }

  K kernel_;
};

using Kernels = ::testing::Types<FakeKernel, LinuxKernel>;
TYPED_TEST_SUITE(RuleTableTest, Kernels);

TYPED_TEST(RuleTableTest, ProbesSayThatTablesAndMatchAreThere) {
  for (Family family : kAllFamilies) {
    EXPECT_OK(this->rules().ProbeTables(family));
    EXPECT_OK(this->rules().ProbeMatch(family));
  }
  EXPECT_THAT(this->rules().BackendName(), Not(IsEmpty()));
}

TYPED_TEST(RuleTableTest, AFreshTableHasItsBuiltInChains) {
  const std::map<Table, std::vector<std::string>> expected = {
      {Table::kFilter, {"INPUT", "FORWARD", "OUTPUT"}},
      {Table::kMangle,
       {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
      {Table::kRaw, {"PREROUTING", "OUTPUT"}},
      {Table::kNat, {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}},
      {Table::kSecurity, {"INPUT", "FORWARD", "OUTPUT"}}};
  for (Family family : kAllFamilies) {
    for (const auto& [table, names] : expected) {
      const TableContents contents = this->Contents(family, table);
      EXPECT_EQ(contents.family, family);
      EXPECT_EQ(contents.table, table);
      std::vector<std::string> found;
      for (const Chain& chain : contents.chains) {
        found.push_back(chain.name);
        EXPECT_TRUE(chain.builtin);
        EXPECT_EQ(chain.policy, "ACCEPT");
        EXPECT_EQ(chain.references, 0u);
        EXPECT_THAT(chain.rules, IsEmpty());
      }
      EXPECT_EQ(found, names) << TableName(table);
    }
  }
}

TYPED_TEST(RuleTableTest, ARuleIsReadBackAsItWasGiven) {
  RuleSpec spec = Spec("http-in");
  spec.match.protocol = {IPPROTO_TCP};
  spec.match.source = {*ParseIpPrefix("10.1.0.0/16"), true};
  spec.match.source_ports = {{{80, 80}}};
  spec.match.comment = "the \"user's\" own words";
  const auto outcome = this->Insert({spec});
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->inserted, SizeIs(1));
  EXPECT_THAT(outcome->deleted, IsEmpty());
  EXPECT_FALSE(outcome->rule_counters_lost);

  const std::vector<Rule> read = this->ChainOf("INPUT").rules;
  ASSERT_THAT(read, SizeIs(1));
  for (const Rule& rule : {outcome->inserted[0], read[0]}) {
    EXPECT_EQ(rule.family, Family::kIpv4);
    EXPECT_EQ(rule.table, Table::kFilter);
    EXPECT_EQ(rule.id, "http-in");
    EXPECT_EQ(rule.chain, "INPUT");
    EXPECT_EQ(rule.match, spec.match);
    EXPECT_EQ(rule.counter, "web");
    EXPECT_EQ(rule.verdict, Verdict::kContinue);
    EXPECT_EQ(rule.target, "");
    EXPECT_TRUE(rule.managed);
    EXPECT_EQ(rule.position, 1u);
    EXPECT_EQ(rule.packets, 0u);
    EXPECT_THAT(rule.other_matches, IsEmpty());
    EXPECT_THAT(rule.text,
                AllOf(StartsWith("-A INPUT ! -s 10.1.0.0/16"),
                      HasSubstr("--nfacct-name  web"), HasSubstr("80")));
  }
  EXPECT_EQ(read[0].text, outcome->inserted[0].text);
}

TYPED_TEST(RuleTableTest, EachVerdictIsKept) {
  std::vector<RuleSpec> specs;
  for (Verdict verdict : {Verdict::kContinue, Verdict::kAccept, Verdict::kDrop,
                          Verdict::kReturn}) {
    specs.push_back(Spec(absl::StrCat("v", specs.size())));
    specs.back().verdict = verdict;
  }
  ASSERT_OK(this->Insert(specs));
  const std::vector<Rule> rules = this->ChainOf("INPUT").rules;
  EXPECT_THAT(rules, ElementsAre(Field(&Rule::target, ""),
                                 Field(&Rule::target, "ACCEPT"),
                                 Field(&Rule::target, "DROP"),
                                 Field(&Rule::target, "RETURN")));
  for (size_t i = 0; i < rules.size() && i < specs.size(); ++i) {
    EXPECT_EQ(rules[i].verdict, specs[i].verdict);
  }
}

TYPED_TEST(RuleTableTest, HeadPutsABatchInFrontInItsOrder) {
  ASSERT_OK(this->Insert({Spec("c")}));
  const auto outcome = this->Insert({Spec("a"), Spec("b")});
  ASSERT_OK(outcome);
  EXPECT_THAT(
      outcome->inserted,
      ElementsAre(AllOf(Field(&Rule::id, "a"), Field(&Rule::position, 1u)),
                  AllOf(Field(&Rule::id, "b"), Field(&Rule::position, 2u))));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "b", "c"));
}

TYPED_TEST(RuleTableTest, TailPutsABatchBehindInItsOrder) {
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -s 10.0.0.1/32 -j ACCEPT");
  ASSERT_OK(this->Insert({Spec("a"), Spec("b")}, RulePlacement::kTail));
  ASSERT_OK(this->Insert({Spec("c")}, RulePlacement::kTail));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("foreign", "a", "b", "c"));
}

TYPED_TEST(RuleTableTest, ABatchMayConcernSeveralChains) {
  this->kernel_.AddUserChain(Family::kIpv4, Table::kFilter, "mine");
  ASSERT_OK(this->Insert({Spec("i1"), Spec("o1", "OUTPUT"), Spec("i2"),
                          Spec("m1", "mine", "dns"), Spec("o2", "OUTPUT")}));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("i1", "i2"));
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("o1", "o2"));
  EXPECT_THAT(this->Ids("mine"), ElementsAre("m1"));
  EXPECT_THAT(this->Ids("FORWARD"), IsEmpty());
}

TYPED_TEST(RuleTableTest, AllTablesOfBothFamiliesTakeRules) {
  for (Family family : kAllFamilies) {
    for (Table table : kAllTables) {
      const TableEdit edit = {.family = family,
                              .table = table,
                              .insertions = {Spec("r", "OUTPUT")}};
      const auto outcome = this->rules().Edit(edit, Soon());
      ASSERT_OK(outcome);
      EXPECT_EQ(outcome->inserted[0].family, family);
      EXPECT_EQ(outcome->inserted[0].table, table);
      EXPECT_THAT(this->Ids("OUTPUT", family, table), ElementsAre("r"));
    }
  }
  EXPECT_EQ(this->UseCount("web"), 10u);
}

TYPED_TEST(RuleTableTest, FamiliesAreApart) {
  RuleSpec spec = Spec("six");
  spec.match.source = {*ParseIpPrefix("2001:db8::/32")};
  ASSERT_OK(this->rules().Edit({.family = Family::kIpv6, .insertions = {spec}},
                               Soon()));
  EXPECT_THAT(this->Ids("INPUT", Family::kIpv6), ElementsAre("six"));
  EXPECT_THAT(this->Ids("INPUT", Family::kIpv4), IsEmpty());
  EXPECT_EQ(this->ChainOf("INPUT", Family::kIpv6).rules[0].match, spec.match);
}

TYPED_TEST(RuleTableTest, RulesGoAwayByTheirIds) {
  ASSERT_OK(this->Insert(
      {Spec("a"), Spec("b"), Spec("c"), Spec("d"), Spec("o", "OUTPUT")}));
  const auto outcome = this->Delete({"o", "d", "b"});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted,
              ElementsAre(Field(&Rule::id, "o"), Field(&Rule::id, "d"),
                          Field(&Rule::id, "b")));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "c"));
  EXPECT_THAT(this->Ids("OUTPUT"), IsEmpty());
  EXPECT_EQ(this->UseCount("web"), 2u);
}

TYPED_TEST(RuleTableTest, EveryPatternOfDeletionsLeavesTheRightRules) {
  for (unsigned pattern = 1; pattern < 128; pattern += 3) {
    std::vector<RuleSpec> specs;
    std::vector<std::string> gone;
    std::vector<std::string> left;
    for (unsigned i = 0; i < 7; ++i) {
      specs.push_back(Spec(absl::StrCat("r", i)));
      ((pattern >> i) & 1 ? gone : left).push_back(specs.back().id);
    }
    ASSERT_OK(this->Insert(specs));
    ASSERT_OK(this->Delete(gone));
    EXPECT_EQ(this->Ids("INPUT"), left);
    ASSERT_OK(this->Delete(left));
  }
}

TYPED_TEST(RuleTableTest, OneEditDeletesAndInserts) {
  ASSERT_OK(this->Insert({Spec("old"), Spec("kept")}));
  RuleSpec renewed = Spec("old", "OUTPUT", "dns");
  const auto outcome = this->rules().Edit(
      {.deletions = {"old"}, .insertions = {renewed, Spec("new")}}, Soon());
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted, ElementsAre(Field(&Rule::chain, "INPUT")));
  EXPECT_THAT(outcome->inserted, ElementsAre(Field(&Rule::counter, "dns"),
                                             Field(&Rule::id, "new")));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("new", "kept"));
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("old"));
}

TYPED_TEST(RuleTableTest, AnEmptyEditDoesNothing) {
  const auto outcome = this->rules().Edit({}, Soon());
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->inserted, IsEmpty());
  EXPECT_THAT(outcome->deleted, IsEmpty());
}

TYPED_TEST(RuleTableTest, RulesHoldTheirCounters) {
  EXPECT_EQ(this->UseCount("web"), 0u);
  ASSERT_OK(this->Insert({Spec("a"), Spec("b"), Spec("c", "INPUT", "dns")}));
  EXPECT_EQ(this->UseCount("web"), 2u);
  EXPECT_EQ(this->UseCount("dns"), 1u);
  const std::vector<std::string> names = {"web"};
  EXPECT_THAT(this->kernel_.acct().Delete(names)[0],
              StatusIs(Code::kFailedPrecondition));
  ASSERT_OK(this->Delete({"a", "b"}));
  EXPECT_OK(this->kernel_.acct().Delete(names)[0]);
}

TYPED_TEST(RuleTableTest, AnUnknownChainIsNamedWithThoseThatExist) {
  const auto outcome = this->Insert({Spec("a"), Spec("b", "INPTU")});
  EXPECT_THAT(outcome, StatusIs(Code::kNotFound,
                                AllOf(HasSubstr("'INPTU'"),
                                      HasSubstr("INPUT, FORWARD, OUTPUT"))));
  EXPECT_THAT(outcome, HasReason("CHAIN_NOT_FOUND"));
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(RuleTableTest, AMissingCounterIsNamedAndNothingChanges) {
  ASSERT_OK(this->Insert({Spec("before")}));
  const std::vector<std::string> texts = this->Texts();
  const auto outcome = this->rules().Edit(
      {.deletions = {"before"},
       .insertions = {Spec("a"), Spec("b", "INPUT", "nobody"), Spec("c")}},
      Soon());
  EXPECT_THAT(outcome, StatusIs(Code::kNotFound, HasSubstr("nobody")));
  EXPECT_THAT(outcome, HasReason("COUNTER_NOT_FOUND"));
  EXPECT_EQ(this->Texts(), texts);
  EXPECT_EQ(this->UseCount("web"), 1u);
}

TYPED_TEST(RuleTableTest, AnIdThatIsThereIsRefusedInAnyChain) {
  ASSERT_OK(this->Insert({Spec("a")}));
  const std::vector<std::string> texts = this->Texts();
  const auto outcome = this->Insert({Spec("new"), Spec("a", "OUTPUT")});
  EXPECT_THAT(outcome, StatusIs(Code::kAlreadyExists, HasSubstr("INPUT")));
  EXPECT_THAT(outcome, HasReason("RULE_EXISTS"));
  EXPECT_EQ(this->Texts(), texts);
}

TYPED_TEST(RuleTableTest, ContradictoryBatchesAreRefused) {
  ASSERT_OK(this->Insert({Spec("a")}));
  EXPECT_THAT(this->Insert({Spec("b"), Spec("b")}),
              HasReason("RULE_NAMED_TWICE"));
  EXPECT_THAT(this->Delete({"a", "a"}), HasReason("RULE_NAMED_TWICE"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a"));
}

TYPED_TEST(RuleTableTest, AnUnknownIdIsNotFoundAndNothingIsDeleted) {
  ASSERT_OK(this->Insert({Spec("a")}));
  const auto outcome = this->Delete({"a", "gone"});
  EXPECT_THAT(outcome, StatusIs(Code::kNotFound, HasSubstr("'gone'")));
  EXPECT_THAT(outcome, HasReason("RULE_NOT_FOUND"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a"));
}

TYPED_TEST(RuleTableTest, ForeignRulesAreShownAndNeverDeleted) {
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -s 10.0.0.1/32 -j DROP");
  ASSERT_OK(this->Insert({Spec("a")}));
  const Rule foreign = this->ChainOf("INPUT").rules[1];
  EXPECT_FALSE(foreign.managed);
  EXPECT_EQ(foreign.text, "-A INPUT -s 10.0.0.1/32 -j DROP");
  EXPECT_EQ(foreign.target, "DROP");
  EXPECT_EQ(foreign.verdict, Verdict::kDrop);
  EXPECT_THAT(foreign.id, ::testing::MatchesRegex("~[0-9a-f]+"));
  EXPECT_THAT(foreign.id, SizeIs(17));
  const auto outcome = this->Delete({"a", foreign.id});
  EXPECT_THAT(outcome, StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(outcome, HasReason("FOREIGN_RULE"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "foreign"));
}

TYPED_TEST(RuleTableTest, IdsOfForeignRulesAreStableAndDistinct) {
  for (const char* text :
       {"-A INPUT -s 10.0.0.1/32 -j DROP", "-A INPUT -s 10.0.0.1/32 -j DROP",
        "-A INPUT -s 10.0.0.2/32 -j DROP",
        "-A OUTPUT -s 10.0.0.1/32 -j DROP"}) {
    this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter, text);
  }
  const auto ids = [&] {
    std::vector<std::string> found;
    for (const Chain& chain : this->Contents().chains) {
      for (const Rule& rule : chain.rules) {
        if (!rule.managed) found.push_back(rule.id);
      }
    }
    return found;
  };
  const std::vector<std::string> before = ids();
  EXPECT_THAT(std::set<std::string>(before.begin(), before.end()), SizeIs(4));
  ASSERT_OK(this->Insert({Spec("a"), Spec("b", "OUTPUT")}));
  EXPECT_EQ(ids(), before);
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -s 10.0.0.1/32 -j DROP");
  const std::vector<std::string> after = ids();
  EXPECT_THAT(after, SizeIs(5));
  for (const std::string& id : before) EXPECT_THAT(after, Contains(id));
}

TYPED_TEST(RuleTableTest, IdsOfForeignRulesAreTheSameOnEveryMachine) {
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -s 10.0.0.1/32 -j DROP");
  EXPECT_EQ(this->ChainOf("INPUT").rules[0].id, "~908f4bcdc671c4d5");
}

TYPED_TEST(RuleTableTest, ForeignUsersOfACounterAreSeen) {
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -m nfacct --nfacct-name web");
  const Rule rule = this->ChainOf("INPUT").rules[0];
  EXPECT_EQ(rule.counter, "web");
  EXPECT_FALSE(rule.managed);
  EXPECT_EQ(this->UseCount("web"), 1u);
}

TYPED_TEST(RuleTableTest, AFlushBySomebodyElseIsSeen) {
  ASSERT_OK(this->Insert({Spec("a"), Spec("b", "OUTPUT")}));
  this->kernel_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  EXPECT_THAT(this->Ids("INPUT"), IsEmpty());
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("b"));
  EXPECT_EQ(this->UseCount("web"), 1u);
  EXPECT_THAT(this->Delete({"a"}), HasReason("RULE_NOT_FOUND"));
  EXPECT_OK(this->Insert({Spec("a")}));
}

TYPED_TEST(RuleTableTest, PoliciesAndReferencesOfChainsAreRead) {
  this->kernel_.AddUserChain(Family::kIpv4, Table::kFilter, "zone");
  this->kernel_.AddUserChain(Family::kIpv4, Table::kFilter, "area");
  for (const char* text :
       {"-A INPUT -j zone", "-A OUTPUT -j zone", "-A zone -j area"}) {
    this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter, text);
  }
  this->kernel_.SetPolicy(Family::kIpv4, Table::kFilter, "FORWARD", "DROP");
  ASSERT_OK(this->Insert({Spec("a", "zone")}));
  EXPECT_EQ(this->ChainOf("FORWARD").policy, "DROP");
  EXPECT_EQ(this->ChainOf("INPUT").policy, "ACCEPT");
  const Chain zone = this->ChainOf("zone");
  EXPECT_FALSE(zone.builtin);
  EXPECT_EQ(zone.policy, "");
  EXPECT_EQ(zone.references, 2u);
  EXPECT_EQ(this->ChainOf("area").references, 1u);
  EXPECT_EQ(this->ChainOf("INPUT").rules[0].verdict, Verdict::kOther);
  EXPECT_EQ(this->ChainOf("INPUT").rules[0].target, "zone");
  std::vector<std::string> names;
  for (const Chain& chain : this->Contents().chains) {
    names.push_back(chain.name);
  }
  EXPECT_THAT(names, ElementsAre("INPUT", "FORWARD", "OUTPUT", "area", "zone"));
}

TYPED_TEST(RuleTableTest, ADryRunShowsTheRulesAndChangesNothing) {
  ASSERT_OK(this->Insert({Spec("a")}));
  const std::vector<std::string> texts = this->Texts();
  const TableEdit edit = {.deletions = {"a"},
                          .insertions = {Spec("b"), Spec("c", "OUTPUT")},
                          .dry_run = true};
  const auto rehearsed = this->rules().Edit(edit, Soon());
  ASSERT_OK(rehearsed);
  EXPECT_THAT(
      rehearsed->inserted,
      ElementsAre(AllOf(Field(&Rule::id, "b"), Field(&Rule::position, 0u),
                        Field(&Rule::managed, true)),
                  Field(&Rule::id, "c")));
  EXPECT_THAT(rehearsed->deleted, ElementsAre(Field(&Rule::id, "a")));
  EXPECT_EQ(this->Texts(), texts);
  EXPECT_EQ(this->UseCount("web"), 1u);

  TableEdit real = edit;
  real.dry_run = false;
  const auto done = this->rules().Edit(real, Soon());
  ASSERT_OK(done);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(rehearsed->inserted[i].text, done->inserted[i].text);
    EXPECT_EQ(rehearsed->inserted[i].match, done->inserted[i].match);
  }
}

TYPED_TEST(RuleTableTest, ADryRunFindsEveryFault) {
  const auto rehearse = [&](TableEdit edit) {
    edit.dry_run = true;
    return this->rules().Edit(edit, Soon());
  };
  ASSERT_OK(this->Insert({Spec("a")}));
  EXPECT_THAT(rehearse({.insertions = {Spec("x", "NOWHERE")}}),
              HasReason("CHAIN_NOT_FOUND"));
  EXPECT_THAT(rehearse({.insertions = {Spec("a")}}), HasReason("RULE_EXISTS"));
  EXPECT_THAT(rehearse({.insertions = {Spec("x", "INPUT", "nobody")}}),
              HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(rehearse({.deletions = {"x"}}), HasReason("RULE_NOT_FOUND"));
}

TYPED_TEST(RuleTableTest, RulesThatCannotBeInAChainAreRefused) {
  RuleSpec out = Spec("out");
  out.match.out_interface = {"eth0"};
  RuleSpec in = Spec("in", "OUTPUT");
  in.match.in_interface = {"eth0"};
  RuleSpec owner = Spec("owner", "FORWARD");
  owner.match.owner_uid = {{0, 0}};
  RuleSpec cgroup = Spec("cgroup", "FORWARD");
  cgroup.match.cgroup_path = {"system.slice"};
  for (const RuleSpec& spec : {out, in, owner, cgroup}) {
    const auto outcome = this->Insert({Spec("good"), spec});
    EXPECT_THAT(outcome,
                StatusIs(Code::kInvalidArgument,
                         AllOf(HasSubstr(spec.id), HasSubstr("use "))));
    EXPECT_THAT(outcome, HasReason("RULE_REFUSED"));
  }
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(RuleTableTest, AUserChainIsJudgedByWhereItIsReachedFrom) {
  this->kernel_.AddUserChain(Family::kIpv4, Table::kFilter, "outer");
  this->kernel_.AddUserChain(Family::kIpv4, Table::kFilter, "inner");
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A outer -j inner");
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A OUTPUT -j outer");
  RuleSpec owner = Spec("owner", "inner");
  owner.match.owner_gid = {{5, 9}};
  ASSERT_OK(this->Insert({owner}));
  ASSERT_OK(this->Delete({"owner"}));
  this->kernel_.AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -j outer");
  EXPECT_THAT(this->Insert({owner}),
              StatusIs(Code::kInvalidArgument, HasSubstr("from INPUT")));
}

TYPED_TEST(RuleTableTest, AThousandRulesInOneBatch) {
  std::vector<RuleSpec> specs;
  std::vector<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    specs.push_back(Spec(absl::StrCat("r", i)));
    ids.push_back(specs.back().id);
  }
  ASSERT_OK(this->Insert(specs));
  EXPECT_EQ(this->Ids("INPUT"), ids);
  const auto outcome = this->Delete(ids);
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted, SizeIs(1000));
  EXPECT_THAT(this->Ids("INPUT"), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::kernel
