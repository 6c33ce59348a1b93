// SPDX-License-Identifier: GPL-3.0-or-later
// IptcRuleTable beside the other users of iptables on a host.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/system/rule_table_fixture.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::Background;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

using RuleTableNeighboursTest = RuleTableFixture;

// Rules of many kinds with counters of their own, of matches that we know and
// of matches that we don't.
constexpr char kForeignRules[] = R"(*mangle
:PREROUTING ACCEPT [11:1111]
:INPUT ACCEPT [12:1212]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [13:1313]
:POSTROUTING ACCEPT [14:1414]
[5:500] -A PREROUTING -p tcp -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*nat
:PREROUTING ACCEPT [1:60]
:INPUT ACCEPT [2:120]
:OUTPUT ACCEPT [3:180]
:POSTROUTING ACCEPT [4:240]
[7:777] -A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [1001:100100]
:FORWARD DROP [17:1700]
:OUTPUT ACCEPT [2002:200200]
:alpha - [0:0]
:omega - [0:0]
[3:300] -A INPUT -m u32 --u32 "0x0=0x1"
[4:400] -A INPUT -p udp -m hashlimit --hashlimit-above 1/sec --hashlimit-burst 5 --hashlimit-name one
[5:500] -A INPUT -m recent --set --name two --mask 255.255.255.255 --rsource
[6:600] -A INPUT -m string --string "a \"b" --algo bm --to 65535
[7:700] -A INPUT -m time --timestart 10:00:00 --timestop 11:00:00 --datestop 2038-01-19T03:14:07
[8:800] -A INPUT -s 192.0.2.0/24 -i eth+ -p tcp -m tcp --dport 1:1023 -m comment --comment "not ours" -j DROP
[9:900] -A INPUT -m limit --limit 5/min -j LOG --log-prefix "hello "
[10:1000] -A INPUT -p tcp -j REJECT --reject-with tcp-reset
[11:1100] -A FORWARD -j alpha
[12:1200] -A OUTPUT -m statistic --mode nth --every 7 --packet 0 -g omega
[18446744073709551615:18446744073709551615] -A alpha -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[13:1300] -A alpha -j omega
[14:1400] -A omega -p tcp -m multiport --dports 80,443
[15:1500] -A omega -m nfacct --nfacct-name  web
[16:1600] -A omega -j RETURN
COMMIT
)";

constexpr char kForeignRules6[] = R"(*filter
:INPUT DROP [5:500]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [6:600]
:chain6 - [0:0]
[1:100] -A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT
[2:200] -A INPUT -m rt --rt-type 0 -j DROP
[3:300] -A OUTPUT -s 2001:db8::/32 -m hl --hl-gt 3 -j chain6
COMMIT
)";

// iptables-save with counters, without our rules and without dates.
std::vector<std::string> SavedByOthers(Family family) {
  const std::string saved =
      Checked({family == Family::kIpv4 ? "iptables-legacy-save"
                                       : "ip6tables-legacy-save",
               "-c"});
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(saved, '\n')) {
    if (absl::StrContains(line, "nfmeter:") || absl::StartsWith(line, "#")) {
      continue;
    }
    lines.emplace_back(line);
  }
  return lines;
}

// Sends UDP packets of 28 + 100 bytes to ourselves, one after the other; each
// passes OUTPUT, then INPUT. Nothing answers.
void SendPackets(int count) {
  const int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(to);
  ASSERT_EQ(bind(receiver, reinterpret_cast<sockaddr*>(&to), size), 0);
  ASSERT_EQ(getsockname(receiver, reinterpret_cast<sockaddr*>(&to), &size), 0);
  const int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const std::string payload(100, 'x');
  for (int i = 0; i < count; ++i) {
    ASSERT_EQ(sendto(sender, payload.data(), payload.size(), 0,
                     reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(payload.size()));
  }
  close(sender);
  close(receiver);
}

TEST_F(RuleTableNeighboursTest,
       ForeignRulesPoliciesAndCountersStayByteForByte) {
  Checked({"iptables-legacy-restore", "-c"}, kForeignRules);
  Checked({"ip6tables-legacy-restore", "-c"}, kForeignRules6);
  for (Family family : kAllFamilies) {
    const std::vector<std::string> before = SavedByOthers(family);
    for (Table table : kAllTables) {
      for (RulePlacement placement :
           {RulePlacement::kHead, RulePlacement::kTail}) {
        const TableEdit edit = {
            .family = family,
            .table = table,
            .insertions = {Spec("a", "OUTPUT"), Spec("b", "OUTPUT")},
            .placement = placement};
        ASSERT_OK(rules_.Edit(edit, Soon()));
        ASSERT_OK(rules_.Edit({.family = family,
                               .table = table,
                               .deletions = {"a"},
                               .insertions = {Spec("c", "OUTPUT")}},
                              Soon()));
        ASSERT_OK(rules_.Edit(
            {.family = family, .table = table, .deletions = {"b", "c"}},
            Soon()));
      }
    }
    // Tables that came into being by our edits add their empty chains.
    std::vector<std::string> after = SavedByOthers(family);
    std::vector<std::string> kept;
    for (const std::string& line : before) {
      if (std::find(after.begin(), after.end(), line) != after.end()) {
        kept.push_back(line);
      }
    }
    EXPECT_EQ(kept, before) << absl::StrJoin(after, "\n");
  }
}

TEST_F(RuleTableNeighboursTest, OneTableIsTheSameButForOurLines) {
  Checked({"iptables-legacy-restore", "-c"}, kForeignRules);
  const std::vector<std::string> before = SavedByOthers(Family::kIpv4);
  ASSERT_OK(Insert({Spec("a"), Spec("b", "omega"), Spec("c", "FORWARD")}));
  EXPECT_EQ(SavedByOthers(Family::kIpv4), before);
  ASSERT_OK(rules_.Edit({.deletions = {"b"}}, Soon()));
  EXPECT_EQ(SavedByOthers(Family::kIpv4), before);
  // Rules of ours keep theirs as well.
  Checked({"iptables-legacy", "-w", "-R", "omega", "3", "-c", "77", "7700",
           "-j", "RETURN"});
  EXPECT_THAT(ManagedIds(), ElementsAre("a", "c"));
}

TEST_F(RuleTableNeighboursTest, AWholeTableIsShownAsIptablesSaveShowsIt) {
  Checked({"iptables-legacy-restore", "-c"}, kForeignRules);
  RuleSpec spec = Spec("mine", "alpha");
  spec.match.protocol = {IPPROTO_TCP};
  spec.match.destination_ports = {{{80, 80}, {8000, 8080}}, true};
  spec.match.comment = "user's comment";
  ASSERT_OK(Insert({spec, Spec("plain")}));

  std::vector<std::string> saved;
  for (absl::string_view line : absl::StrSplit(
           Checked({"iptables-legacy-save", "-t", "filter"}), '\n')) {
    if (absl::StartsWith(line, "-A")) saved.emplace_back(line);
  }
  const std::vector<Rule> rules = Rules();
  ASSERT_EQ(rules.size(), saved.size());
  for (size_t i = 0; i < saved.size(); ++i) {
    const Rule& rule = rules[i];
    // Those whose options nobody but their own extension can print are named.
    if (rule.text != saved[i]) {
      EXPECT_THAT(rule.text, HasSubstr("[")) << saved[i];
      ASSERT_THAT(rule.other_matches, Not(IsEmpty())) << rule.text;
      EXPECT_THAT(saved[i],
                  HasSubstr(absl::StrCat("-m ", rule.other_matches.front())));
      EXPECT_THAT(rule.text, HasSubstr(rule.other_matches.front()));
    }
  }
}

TEST_F(RuleTableNeighboursTest, AllThatIptablesListShowsIsRead) {
  Checked({"iptables-legacy-restore", "-c"}, kForeignRules);
  ASSERT_OK(Insert({Spec("a"), Spec("o", "OUTPUT")}));
  SendPackets(3);

  std::vector<std::string> shown;
  for (const Chain& chain : Contents().chains) {
    shown.push_back(chain.builtin
                        ? absl::StrCat("Chain ", chain.name, " (policy ",
                                       chain.policy, " ", chain.packets,
                                       " packets, ", chain.bytes, " bytes)")
                        : absl::StrCat("Chain ", chain.name, " (",
                                       chain.references, " references)"));
    for (const Rule& rule : chain.rules) {
      shown.push_back(absl::StrCat(rule.packets, " ", rule.bytes));
    }
  }
  std::vector<std::string> listed;
  for (absl::string_view line : absl::StrSplit(
           Checked({"iptables-legacy", "-w", "-L", "-n", "-v", "-x"}), '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.empty() || words[0] == "pkts") continue;
    listed.push_back(words[0] == "Chain"
                         ? std::string(absl::StripAsciiWhitespace(line))
                         : absl::StrCat(words[0], " ", words[1]));
  }
  EXPECT_EQ(shown, listed);
  const std::vector<Rule> rules = Rules();
  EXPECT_EQ(rules[0].id, "a");
  EXPECT_EQ(rules[0].packets, 3u);
  EXPECT_EQ(rules[0].bytes, 3u * 128);
  // Both rules of ours, and the one in omega, where the first packet of seven
  // is sent.
  const auto counter = acct_->Get("web");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets, 7u);
}

TEST_F(RuleTableNeighboursTest, ARuleThatCountsNothingIsNotOurs) {
  Checked({"iptables-legacy", "-w", "-A", "INPUT", "-p", "udp", "-m", "comment",
           "--comment", "nfmeter:forged"});
  const std::vector<Rule> rules = Rules();
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_FALSE(rules[0].managed);
  EXPECT_NE(rules[0].id, "forged");
  EXPECT_THAT(rules[0].text, HasSubstr("--comment \"nfmeter:forged\""));
  EXPECT_FALSE(rules_.Edit({.deletions = {"forged"}}, Soon()).ok());
  EXPECT_EQ(Rules().size(), 1u);
}

TEST_F(RuleTableNeighboursTest, EveryPacketIsCountedWhileTablesAreReplaced) {
  Checked({"iptables-legacy", "-w", "-A", "INPUT", "-p", "udp"});
  ASSERT_OK(Insert({Spec("stays")}));
  constexpr int kPackets = 50000;
  std::thread traffic([] { SendPackets(kPackets); });
  std::vector<RuleSpec> batch;
  std::vector<std::string> ids;
  for (int i = 0; i < 300; ++i) {
    ids.push_back(absl::StrCat("r", i));
    batch.push_back(Spec(ids.back(), "FORWARD"));
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(Insert(batch));
    ASSERT_OK(rules_.Edit({.deletions = ids}, Soon()));
  }
  traffic.join();
  const TableContents contents = Contents();
  for (const Chain& chain : contents.chains) {
    if (chain.name == "FORWARD") continue;
    EXPECT_EQ(chain.packets, kPackets) << chain.name;
    EXPECT_EQ(chain.bytes, kPackets * 128u) << chain.name;
    for (const Rule& rule : chain.rules) {
      EXPECT_EQ(rule.packets, kPackets) << rule.text;
      EXPECT_EQ(rule.bytes, kPackets * 128u) << rule.text;
    }
  }
  EXPECT_EQ(acct_->Get("web")->packets, kPackets);
}

// The kernel keeps the budgets of these matches to itself: whoever replaces the
// table fills them up. That is told; rules of ours, and tables without such
// rules, are not concerned.
TEST_F(RuleTableNeighboursTest, BudgetsThatAChangeFillsUpAreTold) {
  const auto add = [](std::vector<std::string> match) {
    std::vector<std::string> command = {"iptables-legacy", "-w", "-A",
                                        "INPUT",           "-p", "udp"};
    command.insert(command.end(), match.begin(), match.end());
    Checked(command);
  };
  const auto ours = Insert({Spec("before")});
  ASSERT_OK(ours);
  EXPECT_EQ(ours->budgets_refilled, 0u);
  add({"-m", "quota", "--quota", "256"});  // two packets
  add({"-m", "limit", "--limit", "1/hour", "--limit-burst", "2"});
  add({"-m", "statistic", "--mode", "nth", "--every", "1000", "--packet", "0"});
  add({"-m", "statistic", "--mode", "random", "--probability", "0.5"});
  const auto counted = [&] {
    std::vector<uint64_t> packets;
    for (const Rule& rule : Rules()) {
      if (!rule.managed) packets.push_back(rule.packets);
    }
    packets.pop_back();  // who knows
    return packets;
  };
  SendPackets(10);
  EXPECT_THAT(counted(), ElementsAre(2, 2, 1));
  const auto outcome = Insert({Spec("after")});
  ASSERT_OK(outcome);
  EXPECT_EQ(outcome->budgets_refilled, 3u);
  SendPackets(10);
  EXPECT_THAT(counted(), ElementsAre(4, 4, 2));
}

TEST_F(RuleTableNeighboursTest, AConcurrentWriterAndWeLoseNothing) {
  constexpr int kRounds = 40;
  const TemporaryDirectory folder;
  Background writer(
      {"sh", "-e", "-c",
       absl::StrCat("i=0; while [ $i -lt ", kRounds,
                    " ]; do iptables-legacy -w 60 -A INPUT -s 10.0.0.$i -c "
                    "$((i + 1)) $((i + 1)); i=$((i + 1)); done")},
      folder / "log");
  std::vector<std::string> expected;
  for (int i = 0; i < kRounds; ++i) {
    const std::string id = absl::StrCat("ours-", i);
    ASSERT_OK(Insert({Spec(id), Spec(absl::StrCat("gone-", i), "OUTPUT")}));
    ASSERT_OK(rules_.Edit({.deletions = {absl::StrCat("gone-", i)}}, Soon()));
    expected.insert(expected.begin(), id);
  }
  ASSERT_EQ(writer.Wait(absl::Seconds(60)), 0);
  EXPECT_EQ(ManagedIds(), expected);
  std::vector<uint64_t> theirs;
  for (const Rule& rule : Rules()) {
    if (!rule.managed) theirs.push_back(rule.packets);
  }
  ASSERT_THAT(theirs, SizeIs(kRounds));
  for (int i = 0; i < kRounds; ++i) EXPECT_EQ(theirs[i], i + 1u);
}

}  // namespace
}  // namespace nfmeter::kernel
