// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of ours in the kernel: who they are, and what is wrong with them.
#include <netinet/in.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/linux/linux_kernel.h"
#include "kernel/owned_chains.h"
#include "tests/system/rule_table_fixture.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Code = absl::StatusCode;

using RuleTableSystemTest = RuleTableFixture;

TEST_F(RuleTableSystemTest, RulesKeepTheirIdentityOverSaveAndRestore) {
  RuleSpec full = Spec("full");
  full.match.protocol = {IPPROTO_TCP, false};
  full.match.source = {*ParseIpPrefix("10.0.0.0/8"), true};
  full.match.in_interface = {"eth+", true};
  full.match.destination_ports = {{{80, 80}, {443, 443}}};
  full.match.conntrack_states = {kCtNew | kCtEstablished, false};
  full.match.mark = {{0x10, 0xff}, true};
  full.match.comment = R"(quotes " and \ and 'more')";
  full.verdict = Verdict::kAccept;
  ASSERT_OK(Insert({full, Spec("plain"), Spec("out", "OUTPUT")}));
  const std::vector<Rule> before = Rules();
  const std::string saved = Checked({"iptables-legacy-save", "-c"});
  Checked({"iptables-legacy", "-w", "-F"});
  EXPECT_THAT(Rules(), IsEmpty());
  Checked({"iptables-legacy-restore", "-c"}, saved);
  const std::vector<Rule> after = Rules();
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].id, before[i].id);
    EXPECT_TRUE(after[i].managed);
    EXPECT_EQ(after[i].match, before[i].match);
    EXPECT_EQ(after[i].text, before[i].text);
    EXPECT_EQ(after[i].counter, before[i].counter);
  }
  EXPECT_OK(rules_.Edit({.deletions = {"full", "plain", "out"}}, Soon()));
}

TEST_F(RuleTableSystemTest, ACopyOfARuleOfOursIsAForeignRule) {
  ASSERT_OK(Insert({Spec("a")}));
  const std::string saved = Checked({"iptables-legacy-save"});
  Checked({"iptables-legacy-restore", "--noflush"}, saved);
  const std::vector<Rule> rules = Rules();
  ASSERT_THAT(rules, SizeIs(2));
  EXPECT_TRUE(rules[0].managed);
  EXPECT_FALSE(rules[1].managed);
  EXPECT_EQ(rules[1].id[0], '~');
  ASSERT_OK(rules_.Edit({.deletions = {"a"}}, Soon()));
  EXPECT_THAT(ManagedIds(), ElementsAre("a"));
}

TEST_F(RuleTableSystemTest, AnErrorOfARuleSaysWhatIsWrongWithoutItsId) {
  RuleSpec spec = Spec("made-up-id");
  spec.match.ip_set = {
      {.name = "nope", .directions = {IpSetDirection::kSource}}};
  const auto no_set = rules_.Edit({.insertions = {spec}}, Soon());
  EXPECT_THAT(no_set, HasReason("IPSET_NOT_FOUND"));
  EXPECT_THAT(
      std::string(no_set.status().message()),
      AllOf(HasSubstr("chain INPUT"), HasSubstr("': set 'nope' does not exist"),
            Not(HasSubstr("made-up-id")), Not(HasSubstr(": :"))));
  EXPECT_EQ(GetErrorDetails(no_set.status()).metadata["rule"], "made-up-id");
}

TEST_F(RuleTableSystemTest, ARuleThatTheKernelRefusesChangesNothing) {
  ASSERT_OK(Insert({Spec("before")}));
  RuleSpec spec = Spec("a", "OUTPUT");
  spec.match.cgroup_path = {"no/such/group"};
  const auto outcome = rules_.Edit(
      {.deletions = {"before"}, .insertions = {Spec("b"), spec}}, Soon());
  EXPECT_THAT(outcome, StatusIs(Code::kInvalidArgument,
                                AllOf(HasSubstr("'no/such/group'"),
                                      HasSubstr("must exist"))));
  EXPECT_THAT(outcome, HasReason("RULE_REFUSED"));
  EXPECT_THAT(ManagedIds(), ElementsAre("before"));
}

TEST_F(RuleTableSystemTest, ADryRunKnowsWhichCgroupsThereAre) {
  RuleSpec there = Spec("there", "OUTPUT");
  there.match.cgroup_path = {"/"};
  RuleSpec missing = Spec("missing", "OUTPUT");
  missing.match.cgroup_path = {"no/such/group"};
  EXPECT_OK(rules_.Rehearse({.insertions = {there}}));
  for (const bool dry_run : {true, false}) {
    const TableEdit edit = {.insertions = {there, missing}};
    const auto outcome =
        dry_run ? rules_.Rehearse(edit) : rules_.Edit(edit, Soon());
    EXPECT_THAT(outcome,
                StatusIs(Code::kInvalidArgument, HasSubstr("no/such/group")));
    EXPECT_THAT(outcome, HasReason("RULE_REFUSED"));
    const ErrorDetails details = GetErrorDetails(outcome.status());
    ASSERT_THAT(details.violations, SizeIs(1));
    EXPECT_EQ(details.violations[0].field, "match.cgroup_path");
    EXPECT_EQ(details.metadata.at("rule"), "missing");
  }
  EXPECT_OK(rules_.Edit({.insertions = {there}}, Soon()));
}

// A commit has the kernel check the whole table anew.
TEST_F(RuleTableSystemTest, ARuleWhoseCgroupIsGoneIsNamed) {
  const std::string root = CgroupPaths::Find().root();
  if (root.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy";
  const std::string path = absl::StrCat("nfmeter-stale-", getpid());
  ASSERT_EQ(mkdir(absl::StrCat(root, "/", path).c_str(), 0755), 0);
  RuleSpec spec = Spec("stale", "OUTPUT");
  spec.match.cgroup_path = {path};
  EXPECT_OK(Insert({spec}));
  ASSERT_EQ(rmdir(absl::StrCat(root, "/", path).c_str()), 0);
  const auto refused = Insert({Spec("new")});
  EXPECT_THAT(refused, StatusIs(Code::kFailedPrecondition,
                                AllOf(HasSubstr("rule stale"),
                                      HasSubstr("OUTPUT"), HasSubstr(path),
                                      HasSubstr("nfmeter rule delete"))));
  EXPECT_THAT(refused, HasReason("STALE_RULE"));
  EXPECT_THAT(ManagedIds(), ElementsAre("stale"));
  EXPECT_OK(rules_.Edit({.deletions = {"stale"}, .insertions = {Spec("new")}},
                        Soon()));
}

TEST_F(RuleTableSystemTest, OfOwnedChainsItIsNamedAsWell) {
  const std::string root = CgroupPaths::Find().root();
  if (root.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy";
  const std::string path = absl::StrCat("nfmeter-owned-", getpid());
  const auto owned = [](const std::string& owner, const RuleMatch& match) {
    const std::string chain = absl::StrCat(OwnedChainsOf(owner), "out");
    return OwnedEdit{
        .owner = owner,
        .wanted = {
            {.hooks = {{.from = "OUTPUT", .to = chain}},
             .chains = {{.name = chain,
                         .rules = {{.match = match, .counter = "web"}}}}}}};
  };
  const OwnedEdit plain = owned("00000001-", {});
  const OwnedEdit follows = owned("00000002-", {.cgroup_path = {{path}}});
  // It is not there yet.
  auto refused = rules_.ApplyOwned(follows, Soon());
  EXPECT_THAT(refused, StatusIs(Code::kInvalidArgument,
                                AllOf(HasSubstr("NFM-00000002-out"),
                                      HasSubstr("'web'"), HasSubstr(path))));
  EXPECT_THAT(refused, HasReason("RULE_REFUSED"));
  // That of a rule of somebody else's is gone.
  ASSERT_EQ(mkdir(absl::StrCat(root, "/", path).c_str(), 0755), 0);
  RuleSpec spec = Spec("stale", "OUTPUT");
  spec.match.cgroup_path = {path};
  EXPECT_OK(Insert({spec}));
  EXPECT_OK(rules_.ApplyOwned(follows, Soon()));
  ASSERT_EQ(rmdir(absl::StrCat(root, "/", path).c_str()), 0);
  refused = rules_.ApplyOwned(plain, Soon());
  EXPECT_THAT(refused, StatusIs(Code::kFailedPrecondition, HasSubstr(path)));
  EXPECT_THAT(refused, HasReason("STALE_RULE"));
  // What an owner has of it is no reason that its chains stay as they are.
  refused = rules_.ApplyOwned({.owner = follows.owner}, Soon());
  EXPECT_THAT(refused,
              StatusIs(Code::kFailedPrecondition, HasSubstr("rule stale")));
  ASSERT_EQ(mkdir(absl::StrCat(root, "/", path).c_str(), 0755), 0);
  EXPECT_OK(rules_.Edit({.deletions = {"stale"}}, Soon()));
  ASSERT_EQ(rmdir(absl::StrCat(root, "/", path).c_str()), 0);
  // Nobody is to delete by hand what a plan has.
  EXPECT_THAT(Insert({Spec("new")}),
              StatusIs(Code::kFailedPrecondition,
                       AllOf(HasSubstr("one of a plan"),
                             Not(HasSubstr("iptables-legacy -D")))));
  EXPECT_OK(rules_.ApplyOwned({.owner = follows.owner}, Soon()));
  EXPECT_OK(Insert({Spec("new")}));
}

// What becomes of a rule for `owner` in a namespace of user 0 alone; empty: as
// it should, else what is wrong.
std::string RefusedOwner(std::optional<Negatable<IdRange>> RuleMatch::*owner,
                         const std::string& field) {
  const auto acct = NetlinkAcctTable::Open();
  if (!acct.ok()) return acct.status().ToString();
  const std::vector<AcctObject> objects = {{.name = "web"}};
  const absl::Status created = (*acct)->Create(objects)[0];
  if (!created.ok() && !absl::IsAlreadyExists(created)) {
    return created.ToString();
  }
  IptcRuleTable rules(**acct);
  RuleSpec spec = Spec("known", "OUTPUT");
  spec.match.*owner = {{0, 0}};
  const TableEdit known = {.insertions = {spec}};
  if (const auto done = rules.Edit(known, Soon()); !done.ok()) {
    return done.status().ToString();
  }
  if (const auto gone = rules.Edit({.deletions = {"known"}}, Soon());
      !gone.ok()) {
    return gone.status().ToString();
  }
  spec.match.*owner = {{0, 1234}};
  const TableEdit unknown = {.insertions = {spec}};
  for (const absl::Status& status : {rules.Rehearse(unknown).status(),
                                     rules.Edit(unknown, Soon()).status()}) {
    const ErrorDetails details = GetErrorDetails(status);
    if (details.reason != "RULE_REFUSED" || details.violations.size() != 1 ||
        details.violations[0].field != field ||
        !absl::StrContains(status.message(), "1234 in the user namespace")) {
      return status.ToString();
    }
  }
  return "";
}

std::string InAUserNamespaceOfRootAlone() {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return "unshare";
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 0 1";
  std::ofstream("/proc/self/gid_map") << "0 0 1";
  std::string wrong = RefusedOwner(&RuleMatch::owner_uid, "match.owner_uid");
  if (wrong.empty()) {
    wrong = RefusedOwner(&RuleMatch::owner_gid, "match.owner_gid");
  }
  return wrong;
}

// owner_check() in xt_owner.c.
TEST_F(RuleTableSystemTest, AnOwnerThatTheUserNamespaceLacksIsNamed) {
  // A child, as there is no way back out of a user namespace.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::string why = InAUserNamespaceOfRootAlone();
    if (!why.empty()) std::cerr << why << "\n";
    _exit(why.empty() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(RuleTableSystemTest, SetsAreFoundByNameAndShownByName) {
  RuleSpec spec = Spec("a");
  spec.match.ip_set = {
      {.name = "hosts", .directions = {IpSetDirection::kSource}}};
  const auto missing = Insert({spec});
  EXPECT_THAT(missing, StatusIs(Code::kNotFound, HasSubstr("'hosts'")));
  EXPECT_THAT(missing, HasReason("IPSET_NOT_FOUND"));
  Checked({"ipset", "create", "other", "hash:ip"});
  Checked({"ipset", "create", "hosts", "hash:ip"});
  ASSERT_OK(Insert({spec}));
  EXPECT_EQ(Rules()[0].match, spec.match);
}

TEST_F(RuleTableSystemTest, ReadingATableDoesNotBringItIntoBeing) {
  for (Family family : kAllFamilies) {
    for (Table table : kAllTables) {
      if (table != Table::kFilter) Contents(family, table);
    }
  }
  ASSERT_OK(rules_.Rehearse(
      {.table = Table::kNat, .insertions = {Spec("a", "OUTPUT")}}));
  for (const char* path :
       {"/proc/self/net/ip_tables_names", "/proc/self/net/ip6_tables_names"}) {
    std::ifstream names(path);
    ASSERT_TRUE(names.is_open());
    std::string name;
    EXPECT_FALSE(std::getline(names, name)) << name;
  }
}

TEST_F(RuleTableSystemTest, TablesOfNfTablesAreNoticed) {
  EXPECT_THAT((*LinuxKernel::Open())->Notices(), IsEmpty());
  Checked({"nft", "add", "table", "inet", "fw"});
  Checked({"nft", "add", "table", "ip", "shop"});
  EXPECT_THAT((*LinuxKernel::Open())->Notices(),
              ElementsAre(AllOf(HasSubstr("inet fw"), HasSubstr("ip shop"))));
}

}  // namespace
}  // namespace nfmeter::kernel
