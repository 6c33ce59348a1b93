// SPDX-License-Identifier: GPL-3.0-or-later
// What iptables-save prints of rules of ours is read by iptables-restore as it
// was: whatever strings a rule is made of, it is refused, or survives saving
// and restoring byte for byte.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/error.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/rule_law.h"
#include "tests/system/rule_table_fixture.h"
#include "tests/system/xt_tables.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::IpBytes;
using ::nfmeter::testing::Iptc;
using ::nfmeter::testing::MatchLines;
using ::nfmeter::testing::RawRule;
using ::nfmeter::testing::ReadChain;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::Not;

// Rules offered to the server in one test.
constexpr int kRules = 2000;

// Strings and rules that are likely to be misread.
class RandomRules {
 public:
  RandomRules(Family family, uint64_t seed) : family_(family), random_(seed) {}

  bool Chance(int in) { return Below(in) == 0; }
  uint32_t Below(uint32_t bound) { return random_() % bound; }
  template <typename T>
  const T& OneOf(const std::vector<T>& values) {
    return values[Below(static_cast<uint32_t>(values.size()))];
  }

  // Mostly short and special, of any bytes but NUL, up to `longest` and now
  // and then a little more.
  std::string Text(size_t longest) {
    static const std::vector<std::string> kWhole = {"\"+\"-j\"\"ACCEPT",
                                                    "\"",
                                                    "\\",
                                                    "-j ACCEPT",
                                                    "-t",
                                                    "--t",
                                                    "!",
                                                    "! ",
                                                    "#",
                                                    "-",
                                                    "--",
                                                    "+",
                                                    "lo -j DROP",
                                                    "a\n-A INPUT -j DROP",
                                                    "''",
                                                    "\"\"",
                                                    "COMMIT",
                                                    "*filter",
                                                    ":INPUT",
                                                    "[1:2]",
                                                    "$(id)",
                                                    "`id`",
                                                    "%s",
                                                    "eth0"};
    static const std::vector<std::string> kPieces = {
        "\"",   "'",    "\\",   " ",        "\t",
        "\n",   "\r",   "\x01", "\x7f",     "-",
        "!",    "#",    "+",    "\xc3\xa4", "\xe2\x86\x92",
        "\xe9", "\xff", "\xa0", "\x85",     "$",
        ";",    ":",    "/",    ",",        ".",
        "a",    "Z",    "0",    "j",        "ACCEPT",
        "%",    "@",    "="};
    if (Chance(4)) return OneOf(kWhole).substr(0, longest);
    std::string text;
    // A plain beginning lets what follows be looked at.
    if (Chance(2)) text = "x";
    const size_t size = Chance(8) ? longest + Below(3) : 1 + Below(8);
    while (text.size() < size) {
      text += Chance(3) ? std::string(1, static_cast<char>(1 + Below(255)))
                        : OneOf(kPieces);
    }
    return text.substr(0, std::max<size_t>(size, 1));
  }

  // Text that is likely to be taken.
  std::string PlainText(size_t longest) {
    static constexpr absl::string_view kPlain = "abzAZ019._-+@%=,:\xc3\xa4\xe9";
    std::string text = "x";
    const size_t size = 1 + Below(static_cast<uint32_t>(longest));
    while (text.size() < size) {
      text.push_back(kPlain[Below(static_cast<uint32_t>(kPlain.size()))]);
    }
    return text;
  }
  std::string AnyText(size_t longest) {
    return Chance(3) ? PlainText(longest) : Text(longest);
  }

  template <typename T>
  void Maybe(std::optional<Negatable<T>>& field, T value, int in = 6) {
    if (Chance(in)) field = Negatable<T>{std::move(value), Chance(2)};
  }

  // `chains`, `sets`, `paths` and `counters` are there, or were tried.
  RuleSpec Rule(int number, const std::vector<std::string>& chains,
                const std::vector<std::string>& sets,
                const std::vector<std::string>& paths,
                const std::vector<std::string>& counters) {
    RuleSpec rule = {.id = Chance(20) ? Text(kRuleIdMaxBytes)
                                      : absl::StrCat("rule-", number),
                     .chain = OneOf(chains),
                     .counter = OneOf(counters)};
    rule.verdict = OneOf<Verdict>({Verdict::kContinue, Verdict::kAccept,
                                   Verdict::kDrop, Verdict::kReturn});
    RuleMatch& match = rule.match;
    Maybe(match.in_interface, AnyText(15), 2);
    Maybe(match.out_interface, AnyText(15), 2);
    if (Chance(2)) match.comment = AnyText(200);
    if (!sets.empty()) {
      Maybe(match.ip_set, IpSet{OneOf(sets), {IpSetDirection::kSource}}, 3);
    }
    if (!paths.empty()) Maybe(match.cgroup_path, OneOf(paths), 3);
    AddProtocol(match);
    AddNumbers(match);
    return rule;
  }

 private:
  void AddProtocol(RuleMatch& match) {
    static const std::vector<uint8_t> kProtocols = {1,  6,   17,  33, 47,
                                                    58, 132, 136, 253};
    if (Chance(3)) return;
    match.protocol = {OneOf(kProtocols), Chance(8)};
    const uint8_t protocol = match.protocol->value;
    if (match.protocol->negated) return;
    if (HasPorts(protocol)) {
      Maybe(match.source_ports, Ports(), 2);
      Maybe(match.destination_ports, Ports(), 2);
    }
    if (protocol == 6) {
      const auto mask = static_cast<uint8_t>(Below(64));
      Maybe(match.tcp_flags,
            TcpFlags{mask, static_cast<uint8_t>(mask & Below(64))}, 2);
    }
    if (protocol == 1 || protocol == 58) {
      Icmp icmp = {.type = static_cast<uint8_t>(Below(256))};
      if (Chance(2)) icmp.code = static_cast<uint8_t>(Below(256));
      Maybe(match.icmp, icmp, 2);
    }
  }

  std::vector<PortRange> Ports() {
    std::vector<PortRange> ports(1 + (Chance(2) ? Below(8) : 0));
    for (PortRange& range : ports) {
      range.first = static_cast<uint16_t>(Chance(4) ? 0 : random_());
      range.last = static_cast<uint16_t>(
          Chance(2)   ? range.first
          : Chance(4) ? 0xffff
                      : range.first + Below(0x10000u - range.first));
    }
    return ports;
  }

  void AddNumbers(RuleMatch& match) {
    static const std::vector<std::string> kV4 = {
        "0.0.0.0/0", "10.0.0.0/8", "192.0.2.1", "10.0.0.1/255.0.0.1"};
    static const std::vector<std::string> kV6 = {"::/0", "2001:db8::/33", "::1",
                                                 "2000::1/f000::1"};
    const auto& prefixes = family_ == Family::kIpv4 ? kV4 : kV6;
    Maybe(match.source, *ParseIpPrefix(OneOf(prefixes)));
    Maybe(match.destination, *ParseIpPrefix(OneOf(prefixes)));
    Maybe(match.conntrack_states, 1 + Below(0x7f));
    const auto mask = static_cast<uint32_t>(Chance(2) ? 0xffffffff : random_());
    Maybe(match.mark, Mark{static_cast<uint32_t>(random_()) & mask, mask});
    const auto first = static_cast<uint32_t>(random_() % 0xffff);
    Maybe(match.owner_uid, IdRange{first, first + Below(2) * Below(9)});
    Maybe(match.owner_gid, IdRange{first, first + Below(2) * Below(9)});
    Maybe(match.dscp, static_cast<uint8_t>(Below(64)));
    Maybe(match.packet_type,
          OneOf<PacketType>({PacketType::kUnicast, PacketType::kBroadcast,
                             PacketType::kMulticast}));
    Maybe(match.source_address_types, AddressTypes());
    Maybe(match.destination_address_types, AddressTypes());
  }
  // Of IPv6 one, as iptables can't ask for any of several.
  uint16_t AddressTypes() {
    return static_cast<uint16_t>(family_ == Family::kIpv4 ? 1 + Below(0x1ff)
                                                          : 1 << Below(9));
  }

  const Family family_;
  std::mt19937_64 random_;
};

// Takes out of `rule` what `field` says is wrong.
void Tame(absl::string_view field, int number, RuleSpec& rule) {
  RuleMatch& match = rule.match;
  if (field == "id") rule.id = absl::StrCat("tamed-", number);
  if (field == "chain") rule.chain = "OUTPUT";
  if (field == "counter") rule.counter = "web";
  if (field == "match.in_interface") match.in_interface.reset();
  if (field == "match.out_interface") match.out_interface.reset();
  if (field == "match.cgroup_path") match.cgroup_path.reset();
  if (field == "match.ip_set.name") match.ip_set.reset();
  if (field == "match.comment") match.comment.clear();
  if (field == "match.protocol") match = {.comment = match.comment};
  if (field == "match.source_address_types") match.source_address_types.reset();
  if (field == "match.destination_address_types") {
    match.destination_address_types.reset();
  }
  if (field == "match.owner_uid") match.owner_uid.reset();
  if (field == "match.owner_gid") match.owner_gid.reset();
}

// cgroups that go away with this object.
class Cgroups {
 public:
  ~Cgroups() {
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) {
      rmdir(path->c_str());
    }
  }
  // Whether there is such a cgroup now.
  bool Make(const std::string& path) {
    if (root_.empty()) return false;
    made_.push_back(absl::StrCat(root_, "/", path));
    return mkdir(made_.back().c_str(), 0755) == 0 || errno == EEXIST;
  }

 private:
  const std::string root_ = CgroupPaths::Find().root();
  std::vector<std::string> made_;
};

template <Family family>
int MakeChainOf(const std::string& chain) {
  using Tc = Iptc<family>;
  xtc_handle* handle = Tc::Init("filter");
  if (handle == nullptr) return errno;
  int err = 0;
  if (Tc::Create(chain.c_str(), handle) == 0 || Tc::Commit(handle) == 0) {
    err = errno;
  }
  Tc::Free(handle);
  return err;
}

class RuleSaveTest : public RuleTableFixture,
                     public ::testing::WithParamInterface<Family> {
 protected:
  RuleSaveTest() {
    const char* given = getenv("NFMETER_TEST_SEED");
    if (given == nullptr || !absl::SimpleAtoi(given, &seed_)) {
      seed_ = std::random_device()();
    }
    std::cerr << "again with NFMETER_TEST_SEED=" << seed_ << "\n";
  }

  std::string Program(absl::string_view suffix = "") const {
    return absl::StrCat(testing::IptablesProgram(family_), suffix);
  }

  // What iptables-save prints, without the lines that say when.
  std::string Save() const {
    std::string text;
    for (const absl::string_view line :
         absl::StrSplit(Checked({Program("-save"), "-c"}), '\n')) {
      if (!absl::StartsWith(line, "# ")) absl::StrAppend(&text, line, "\n");
    }
    return text;
  }

  // Everything of every rule that the kernel acts on.
  std::vector<std::string> Entries() {
    std::vector<std::string> lines;
    for (const Chain& chain : Contents(family_).chains) {
      for (const RawRule& rule : ReadChain(family_, "filter", chain.name)) {
        const std::vector<uint8_t> ip = IpBytes(family_, rule.bytes);
        lines.push_back(absl::StrCat(
            absl::CHexEscape(chain.name), " ",
            absl::BytesToHexString(
                {reinterpret_cast<const char*>(ip.data()), ip.size()}),
            " -> ", rule.target));
        for (std::string& line : MatchLines(family_, rule.bytes)) {
          lines.push_back(std::move(line));
        }
      }
    }
    return lines;
  }

  bool MakeChain(const std::string& chain) const {
    return (family_ == Family::kIpv4 ? MakeChainOf<Family::kIpv4>(chain)
                                     : MakeChainOf<Family::kIpv6>(chain)) == 0;
  }

  const Family family_ = GetParam();
  uint64_t seed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Families, RuleSaveTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(RuleSaveTest, WhatIsTakenIsRestoredAsItWas) {
  RandomRules random(family_, seed_);
  // A chain, a set and a counter that a rule may use must be there. iptables
  // itself makes no chain that it can't restore, but others may; such a one
  // would spoil the whole table, so only its refusal is looked at.
  std::vector<std::string> chains = {"FORWARD", "OUTPUT"};
  std::vector<std::string> sets;
  std::vector<std::string> counters = {"web"};
  std::vector<std::string> paths;
  Cgroups cgroups;
  const std::string folder = absl::StrCat("-nfmeter-", getpid(), "-t");
  if (cgroups.Make(folder)) paths = {folder, absl::StrCat("/", folder)};
  for (int i = 0; i < 30; ++i) {
    const std::string chain = random.AnyText(28);
    if (testing::Run({Program(), "-w", "-N", chain}).exit_code == 0) {
      chains.push_back(chain);
    }
    const std::string set = random.AnyText(31);
    if (testing::Run({"ipset", "create", set, "hash:ip", "family",
                      family_ == Family::kIpv4 ? "inet" : "inet6"})
            .exit_code == 0) {
      sets.push_back(set);
    }
    const std::vector<AcctObject> objects = {{.name = random.AnyText(31)}};
    if (acct_->Create(objects)[0].ok()) counters.push_back(objects[0].name);
    const std::string path = absl::StrCat(folder, "/", random.AnyText(200));
    if (cgroups.Make(path)) paths.push_back(absl::StrCat("/", path));
  }
  ASSERT_THAT(sets, Not(IsEmpty()));

  std::map<std::string, int> refusals;
  std::vector<RuleSpec> taken;
  std::set<std::string> ids;
  for (int i = 0; i < kRules; ++i) {
    RuleSpec rule = random.Rule(i, chains, sets, paths, counters);
    // What is refused is named; the rest of the rule is worth a try.
    constexpr int kTries = 3;
    for (int tries = 0; tries < kTries; ++tries) {
      const auto outcome =
          rules_.Rehearse({.family = family_, .insertions = {rule}});
      if (outcome.ok()) {
        if (ids.insert(rule.id).second) taken.push_back(rule);
        break;
      }
      const ErrorDetails details = GetErrorDetails(outcome.status());
      ASSERT_EQ(details.reason, "RULE_REFUSED") << outcome.status();
      ASSERT_THAT(details.violations, Not(IsEmpty())) << outcome.status();
      for (const FieldViolation& violation : details.violations) {
        ++refusals[violation.field];
        Tame(violation.field, i, rule);
      }
    }
  }
  // Neither is the exception.
  EXPECT_GT(taken.size(), size_t{kRules / 2});
  EXPECT_GT(refusals["match.in_interface"], 0);
  ASSERT_OK(rules_.Edit({.family = family_,
                         .insertions = taken,
                         .placement = RulePlacement::kTail},
                        Soon()));

  const std::string saved = Save();
  const std::vector<std::string> entries = Entries();
  // Ours is what iptables-save prints.
  for (const Rule& rule : Rules(family_)) {
    EXPECT_THAT(saved, ::testing::HasSubstr(absl::StrCat(" ", rule.text, "\n")))
        << rule.text;
  }
  Checked({Program("-restore"), "-c", "--test"}, saved);
  // The host's other iptables reads them alike.
  Checked({family_ == Family::kIpv4 ? "iptables-nft-restore"
                                    : "ip6tables-nft-restore",
           "-c", "--test"},
          saved);
  Checked({Program("-restore"), "-c"}, saved);
  EXPECT_EQ(Save(), saved);
  EXPECT_THAT(Entries(), ElementsAreArray(entries));
}

// Whoever has CAP_NET_ADMIN may make what we don't. It is shown, and our
// commits leave it as it is.
TEST_P(RuleSaveTest, RulesOfOthersKeepTheirStrings) {
  const std::string chain = "a\"b -j x";
  ASSERT_TRUE(MakeChain(chain));
  const std::string set = "my \"set\"";
  Checked({"ipset", "create", set, "hash:ip", "family",
           family_ == Family::kIpv4 ? "inet" : "inet6"});
  for (const std::string& interface :
       {std::string("\"+\"-j\"\"ACCEPT"), std::string("\""),
        std::string("caf\xe9 \\"), std::string("a\nb")}) {
    Checked({Program(), "-w", "-A", "FORWARD", "-i", interface, "-o", interface,
             "-m", "set", "--match-set", set, "src", "-m", "comment",
             "--comment", interface});
  }
  Checked({Program(), "-w", "-A", "FORWARD", "!", "-i", "+", "-j", "ACCEPT"});
  const std::vector<std::string> before = Entries();
  const std::string saved = Save();
  ASSERT_OK(rules_.Edit({.family = family_,
                         .insertions = {Spec("ours", "FORWARD")},
                         .placement = RulePlacement::kTail},
                        Soon()));
  const std::vector<Rule> rules = Rules(family_);
  ASSERT_EQ(rules.size(), 6u);
  EXPECT_EQ(rules[0].match.in_interface->value, "\"+\"-j\"\"ACCEPT");
  EXPECT_EQ(rules[0].match.ip_set->value.name, set);
  ASSERT_OK(rules_.Edit({.family = family_, .deletions = {"ours"}}, Soon()));
  EXPECT_THAT(Entries(), ElementsAreArray(before));
  EXPECT_EQ(Save(), saved);
  for (const std::string& bad : {chain, set}) {
    RuleSpec spec = Spec("bad", bad == chain ? chain : "FORWARD");
    if (bad == set) spec.match.ip_set = {{set, {IpSetDirection::kSource}}};
    EXPECT_THAT(rules_.Edit({.family = family_, .insertions = {spec}}, Soon()),
                testing::HasReason("RULE_REFUSED"));
  }
}

}  // namespace
}  // namespace nfmeter::kernel
