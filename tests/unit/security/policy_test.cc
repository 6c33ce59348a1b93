// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/policy.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "security/access/policy_check.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::security {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

Policy Parsed(const std::string& text) {
  auto policy = ParsePolicy(text, "p.yaml");
  EXPECT_OK(policy);
  return policy.ok() ? *policy : Policy();
}

// With the version in line 1 and 'rules:' in line 2.
Policy WithRules(const std::string& rules) {
  return Parsed("version: 1\nrules:\n" + rules);
}

Principal Named(const std::string& name) { return {.names = {name}}; }

TEST(PolicyTest, ReadsAllThatARuleCanHave) {
  const Policy policy = WithRules(
      "  - name: tenant a\n"
      "    principals: [spiffe://example.org/a/*, 'cn:Alice']\n"
      "    role: operator\n"
      "    methods: [nfmeter.v1.CounterService/*]\n"
      "    counter_prefixes: [a-, 'a:']\n"
      "  - {principals: ['*'], role: viewer}\n");
  ASSERT_EQ(policy.rules.size(), 2u);
  const PolicyRule& rule = policy.rules[0];
  EXPECT_EQ(rule.name, "tenant a");
  EXPECT_EQ(rule.line, 3);
  EXPECT_THAT(rule.principals,
              ElementsAre("spiffe://example.org/a/*", "cn:Alice"));
  EXPECT_EQ(rule.grant.role, Role::kOperator);
  EXPECT_THAT(rule.grant.methods, ElementsAre("nfmeter.v1.CounterService/*"));
  EXPECT_THAT(rule.grant.counter_prefixes, ElementsAre("a-", "a:"));
  EXPECT_EQ(policy.rules[1].name, "rule 2");
}

TEST(PolicyTest, APrincipalHasWhatItsNamesAreGrantedAndNothingElse) {
  const Policy policy = WithRules(
      "  - {principals: ['spiffe://a/*'], role: viewer}\n"
      "  - {principals: ['cn:Bob', 'dns:b'], role: admin}\n");
  EXPECT_THAT(policy.GrantsOf(Named("spiffe://a/x")),
              ElementsAre(Grant{.role = Role::kViewer}));
  EXPECT_THAT(
      policy.GrantsOf({.names = {"spiffe://a/x", "cn:Bob"}}),
      ElementsAre(Grant{.role = Role::kViewer}, Grant{.role = Role::kAdmin}));
  EXPECT_THAT(policy.GrantsOf(Named("spiffe://b/x")), IsEmpty());
  EXPECT_THAT(policy.GrantsOf(Named("cn:bob")), IsEmpty());
}

struct BadPolicy {
  std::string text;
  const char* message;
};

class BadPolicyTest : public ::testing::TestWithParam<BadPolicy> {};

TEST_P(BadPolicyTest, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(
      ParsePolicy(GetParam().text, "p.yaml"),
      StatusIs(absl::StatusCode::kInvalidArgument, Eq(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Policies, BadPolicyTest,
    ::testing::Values(
        BadPolicy{"",
                  "p.yaml:1:1: is empty; a policy has 'version: 1' and "
                  "'rules'"},
        BadPolicy{"# nothing\n",
                  "p.yaml:1:1: is empty; a policy has 'version: "
                  "1' and 'rules'"},
        BadPolicy{"[1]",
                  "p.yaml:1:1: must be a map with 'version' and "
                  "'rules'"},
        BadPolicy{"rules: []\n",
                  "p.yaml:1:1: has no 'version'; write: version: 1"},
        BadPolicy{"version: 1\n",
                  "p.yaml:1:1: has no 'rules'; write 'rules: []' for none"},
        BadPolicy{"version: 2\nrules: []\n",
                  "p.yaml:1:10: 'version' must be 1, the only one that there "
                  "is"},
        BadPolicy{"version: 1\nrules:\n",
                  "p.yaml:2:1: 'rules' must be a list; write 'rules: []' for "
                  "none"},
        BadPolicy{"version: 1\nrule: []\n",
                  "p.yaml:2:1: unknown key 'rule'; did you mean 'rules'?\n"
                  "p.yaml:1:1: has no 'rules'; write 'rules: []' for none"},
        BadPolicy{"version: 1\nrules:\n  - admin\n",
                  "p.yaml:3:5: a rule must be a map with: principals, role, "
                  "and perhaps name, methods, counter_prefixes, flows, "
                  "flow_prefixes"},
        BadPolicy{"version: 1\nrules:\n  - role: viewer\n",
                  "p.yaml:3:5: a rule needs 'principals'"},
        BadPolicy{"version: 1\nrules:\n  - principals: [a]\n    roles: x\n",
                  "p.yaml:4:5: unknown key 'roles'; did you mean 'role'?\n"
                  "p.yaml:3:5: a rule needs 'role'"},
        BadPolicy{"version: 1\nrules:\n  - principals: []\n    role: none\n",
                  "p.yaml:3:5: 'principals' must be a list of at least one\n"
                  "p.yaml:4:11: 'role' must be viewer, operator or admin, not "
                  "'none'"},
        BadPolicy{"version: 1\nrules:\n  - principals: alice\n    role: "
                  "viewer\n    methods:\n",
                  "p.yaml:3:5: 'principals' must be a list of at least one\n"
                  "p.yaml:5:5: 'methods' must be a list of at least one"},
        BadPolicy{"version: 1\nrules:\n  - principals: [a, '']\n    role: "
                  "viewer\n",
                  "p.yaml:3:21: each of 'principals' must be a text"},
        BadPolicy{"version: 1\nrules:\n  - principals: [a]\n    role: viewer\n"
                  "    role: admin\n",
                  "p.yaml:5:5: 'role' is there twice"},
        BadPolicy{"version: 1\nrules:\n  - principals: [a]\n    role: viewer\n"
                  "    counter_prefixes: [" +
                      std::string(254, 'x') + "]\n",
                  "p.yaml:5:24: each of 'counter_prefixes' may have at most "
                  "253 bytes"},
        BadPolicy{
            "version: 1\nrules:\n  - principals: [a]\n    role: viewer\n"
            "    flows: summary\n    flow_prefixes: {ipv4: 33, ipv5: 1}\n",
            "p.yaml:6:21: 'flow_prefixes.ipv4' must be a number from 0 "
            "to 32\n"
            "p.yaml:6:31: unknown key 'flow_prefixes.ipv5'; did you mean "
            "'ipv4'?"},
        BadPolicy{"version: 1\n---\nrules: []\n",
                  "p.yaml:3:1: only one document is allowed"}));

TEST(PolicyTest, WhatIsNotYamlIsRefusedWithItsLine) {
  EXPECT_THAT(ParsePolicy("version: 1\nrules: [\n", "p.yaml"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("p.yaml:3:1: not YAML: ")));
}

// yaml-cpp 0.7 reads these as documents without end.
TEST(PolicyTest, ABracketThatNobodyOpenedIsRefused) {
  for (const char* text : {"]", "}", "version: 1\nrules: []\n}", "a: [b]]"}) {
    EXPECT_THAT(ParsePolicy(text, "p.yaml"),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(PolicyTest, AFileThatCannotBeReadIsNamed) {
  EXPECT_THAT(ReadPolicy("/nonexistent"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Eq("/nonexistent: cannot be read: No such file or "
                          "directory")));
}

constexpr char kAdmin[] = "  - {principals: ['cn:root'], role: admin}\n";

TEST(PolicyWarningsTest, AGoodPolicyHasNone) {
  EXPECT_THAT(
      FindWarnings(WithRules(
          std::string(kAdmin) +
          "  - {principals: ['spiffe://a.b/*', 'dns:*.x', 'socket:/run/*', "
          "loopback, 'uri:urn:x', '*'], role: viewer, methods: "
          "['*Service/Get*'], counter_prefixes: [a]}\n")),
      IsEmpty());
}

TEST(PolicyWarningsTest, APolicyThatLocksEverybodyOutIsToldOf) {
  EXPECT_THAT(FindWarnings(Parsed("version: 1\nrules: []\n")),
              ElementsAre("p.yaml: has no rules: nobody gets in but over "
                          "sockets that have a role of their own"));
  EXPECT_THAT(
      FindWarnings(WithRules("  - {principals: ['cn:a'], role: operator}\n"
                             "  - {principals: ['cn:b'], role: admin, "
                             "counter_prefixes: [b]}\n")),
      ElementsAre(HasSubstr("no rule makes anybody admin of everything")));
}

TEST(PolicyWarningsTest, NamesThatNobodyCanHaveAreToldOf) {
  const char* form =
      "has no form that a principal has: spiffe://DOMAIN/PATH, uri:URI, "
      "dns:NAME, cn:NAME, socket:/PATH, loopback or web";
  const char* spiffe =
      "is not a SPIFFE ID: spiffe://DOMAIN/PATH, the domain in lower case, no "
      "query, no fragment";
  const char* dns =
      "has capitals, and DNS names of certificates are in lower case here";
  const char* uri = "is a SPIFFE ID, which has no 'uri:' before it";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"alice", form},        {"CN:alice", form},
      {"loopback2", form},    {"socket:run", form},
      {"spiffe:/a/b", form},  {"spiffe://A/*", spiffe},
      {"spiffe://a", spiffe}, {"spiffe://a/b?*", spiffe},
      {"dns:Web.*", dns},     {"uri:spiffe://a/b", uri},
  };
  for (const auto& [name, why] : cases) {
    EXPECT_THAT(
        FindWarnings(WithRules(std::string(kAdmin) + "  - {principals: ['" +
                               name + "'], role: viewer}\n")),
        ElementsAre("p.yaml:4: rule 2: nobody can be '" + name + "': it " +
                    why));
  }
}

TEST(PolicyWarningsTest, RulesThatAddNothingAreToldOf) {
  EXPECT_THAT(
      FindWarnings(WithRules(
          "  - {principals: ['cn:*'], role: admin}\n"
          "  - {principals: ['cn:a*'], role: viewer, counter_prefixes: [a]}\n"
          "  - {principals: ['dns:a'], role: viewer}\n"
          "  - {principals: ['dns:a'], role: viewer}\n")),
      ElementsAre("p.yaml:4: rule 2: adds nothing to rule 1 in line 3",
                  "p.yaml:6: rule 4: adds nothing to rule 3 in line 5"));
}

TEST(PolicyWarningsTest, MethodsThatTheRoleDoesNotHaveAreToldOf) {
  EXPECT_THAT(
      FindWarnings(WithRules(
          std::string(kAdmin) +
          "  - {principals: ['cn:a'], role: viewer, methods: ['*/Reset*']}\n"
          "  - {principals: ['cn:b'], role: viewer, methods: [GetCounter]}\n"
          "  - {principals: ['cn:c'], role: viewer, methods: "
          "['*/ListChains'], counter_prefixes: [x]}\n")),
      ElementsAre(HasSubstr("p.yaml:4: rule 2: '*/Reset*' has only methods "
                            "that need the role operator, and the rule's is "
                            "viewer"),
                  HasSubstr("p.yaml:5: rule 3: no method is called "
                            "'GetCounter'"),
                  HasSubstr("p.yaml:6: rule 4: '*/ListChains' has only methods "
                            "that show the whole host")));
}

TEST(PolicyWarningsTest, PrefixesThatNoCounterOfOursHasAreToldOf) {
  EXPECT_THAT(
      FindWarnings(WithRules(
          std::string(kAdmin) +
          "  - {principals: ['cn:a'], role: viewer, counter_prefixes: ['a-*', "
          "'ok-', 'b c', '\\x20d']}\n")),
      ElementsAre(
          "p.yaml:4: rule 2: no counter that nfmeter makes can begin with "
          "'a-*'; a prefix is no pattern, and names are of "
          "[A-Za-z0-9._:/@+-]",
          "p.yaml:4: rule 2: no counter that nfmeter makes can begin with "
          "'b c'; a prefix is no pattern, and names are of "
          "[A-Za-z0-9._:/@+-]"));
}

TEST(PolicyWarningsTest, FlowPrefixesThatShortenNothingAreToldOf) {
  EXPECT_THAT(
      FindWarnings(WithRules(
          std::string(kAdmin) +
          "  - {principals: ['cn:a'], role: viewer, flows: full, "
          "flow_prefixes: {ipv4: 8}}\n"
          "  - {principals: ['cn:b'], role: viewer, flow_prefixes: {ipv4: 8}}\n"
          "  - {principals: ['cn:c'], role: viewer, flows: summary, "
          "flow_prefixes: {ipv4: 8}}\n")),
      ElementsAre(HasSubstr("p.yaml:4: rule 2: 'flow_prefixes' shorten the "
                            "addresses of 'flows: summary', and 'flows: full'"),
                  HasSubstr("p.yaml:5: rule 3: 'flow_prefixes' shorten the "
                            "addresses of 'flows: summary', and the rule shows "
                            "no flows")));
}

// A listener on a socket with that role, one on insecure loopback, one with
// TLS.
std::vector<ListenerGrant> Socket(Role role) {
  return {
      {.principal = "socket:/run/s", .role = role, .address = "unix:/run/s"}};
}
std::vector<ListenerGrant> Loopback() {
  return {
      {.principal = kLoopback, .role = Role::kAdmin, .address = "127.0.0.1:7"}};
}
std::vector<ListenerGrant> Tls() { return {{.address = "127.0.0.1:7"}}; }

TEST(ClosedListenersTest, AListenerWhoseCallersHaveNothingIsToldOf) {
  EXPECT_THAT(FindClosedListeners(Socket(Role::kViewer), nullptr), IsEmpty());
  EXPECT_THAT(FindClosedListeners(Loopback(), nullptr), IsEmpty());
  EXPECT_THAT(FindClosedListeners(Socket(Role::kNone), nullptr),
              ElementsAre("nobody can call over unix:/run/s: its role is none, "
                          "and there is no policy that says who may do what; "
                          "give one with policy or --policy"));
  EXPECT_THAT(FindClosedListeners(Tls(), nullptr),
              ElementsAre("nobody can call over TLS: there is no policy that "
                          "says who may do what; give one with policy or "
                          "--policy"));
}

TEST(ClosedListenersTest, APolicyOpensListenersForThoseWhomItNames) {
  const Policy for_sockets =
      WithRules("  - {principals: ['socket:/run/*'], role: viewer}\n");
  EXPECT_THAT(FindClosedListeners(Socket(Role::kNone), &for_sockets),
              IsEmpty());
  EXPECT_THAT(FindClosedListeners(Tls(), &for_sockets),
              ElementsAre("nobody can call over TLS: no rule of p.yaml is for "
                          "a name that a certificate can have"));
  const Policy for_certificates =
      WithRules("  - {principals: ['dns:*'], role: viewer}\n");
  EXPECT_THAT(FindClosedListeners(Tls(), &for_certificates), IsEmpty());
  EXPECT_THAT(FindClosedListeners(Socket(Role::kNone), &for_certificates),
              ElementsAre("nobody can call over unix:/run/s: its role is none, "
                          "and no rule of p.yaml is for socket:/run/s"));
  const Policy for_all = WithRules("  - {principals: ['*'], role: viewer}\n");
  EXPECT_THAT(FindClosedListeners(Tls(), &for_all), IsEmpty());
  EXPECT_THAT(FindClosedListeners(Socket(Role::kNone), &for_all), IsEmpty());
}

TEST(PolicyTest, IsShownAsATable) {
  // How many methods a role has is not repeated here.
  EXPECT_THAT(
      DescribePolicy(WithRules(
          "  - {name: all, principals: ['cn:root'], role: admin}\n"
          "  - {principals: ['dns:a', 'dns:b'], role: viewer, methods: "
          "['*/GetCounter'], counter_prefixes: [x-, y]}\n")),
      MatchesRegex(
          "RULE    PRINCIPALS    ROLE    METHODS               COUNTERS\n"
          "all     cn:root       admin   all of the role \\([0-9]+\\)  all\n"
          "rule 2  dns:a, dns:b  viewer  \\*/GetCounter \\(1\\)      "
          "x-\\*, y\\*\n"));
}

}  // namespace
}  // namespace nfmeter::security
