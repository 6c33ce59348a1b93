// IptcRuleTable beside the other users of iptables on a host.
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/errno_status.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/iptc_rule_table.h"
#include "kernel/linux/netlink_acct_table.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::Background;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::Run;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Code = absl::StatusCode;

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

RuleSpec Spec(std::string id, std::string chain = "INPUT") {
  return {.id = std::move(id), .chain = std::move(chain), .counter = "web"};
}

absl::Time Soon() { return absl::Now() + absl::Seconds(60); }

std::string Checked(const std::vector<std::string>& command,
                    absl::string_view input = "") {
  const auto result = Run(command, input);
  EXPECT_EQ(result.exit_code, 0)
      << absl::StrJoin(command, " ") << ": " << result.err;
  return result.out;
}

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

class RuleTableSystemTest : public ::testing::Test {
 protected:
  RuleTableSystemTest() {
    const std::vector<AcctObject> objects = {{.name = "web"}};
    EXPECT_OK(acct_->Create(objects)[0]);
  }

  absl::StatusOr<EditOutcome> Insert(std::vector<RuleSpec> specs) {
    return rules_.Edit({.insertions = std::move(specs)}, Soon());
  }
  TableContents Contents(Family family = Family::kIpv4,
                         Table table = Table::kFilter) {
    auto contents = rules_.Read(family, table);
    EXPECT_OK(contents);
    return contents.ok() ? *std::move(contents) : TableContents();
  }
  std::vector<Rule> Rules(Family family = Family::kIpv4,
                          Table table = Table::kFilter) {
    std::vector<Rule> rules;
    for (Chain& chain : Contents(family, table).chains) {
      for (Rule& rule : chain.rules) rules.push_back(std::move(rule));
    }
    return rules;
  }
  std::vector<std::string> ManagedIds() {
    std::vector<std::string> ids;
    for (const Rule& rule : Rules()) {
      if (rule.managed) ids.push_back(rule.id);
    }
    return ids;
  }

  std::unique_ptr<NetlinkAcctTable> acct_ = *NetlinkAcctTable::Open();
  IptcRuleTable rules_;
};

TEST_F(RuleTableSystemTest, ForeignRulesPoliciesAndCountersStayByteForByte) {
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

TEST_F(RuleTableSystemTest, OneTableIsTheSameButForOurLines) {
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

TEST_F(RuleTableSystemTest, AWholeTableIsShownAsIptablesSaveShowsIt) {
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

TEST_F(RuleTableSystemTest, AllThatIptablesListShowsIsRead) {
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

TEST_F(RuleTableSystemTest, EveryPacketIsCountedWhileTablesAreReplaced) {
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

TEST_F(RuleTableSystemTest, AConcurrentWriterAndWeLoseNothing) {
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

// Puts `on_commit` in the place of the commit.
class Interposed : public IptcHandle {
 public:
  using OnCommit = std::function<int(IptcHandle&)>;
  Interposed(std::unique_ptr<IptcHandle> handle, OnCommit on_commit)
      : handle_(std::move(handle)), on_commit_(std::move(on_commit)) {}

  void ForEachChain(
      absl::FunctionRef<void(const IptcChain&)> on_chain) override {
    handle_->ForEachChain(on_chain);
  }
  void ForEachRule(absl::string_view chain,
                   absl::FunctionRef<void(const IptcRule&)> on_rule) override {
    handle_->ForEachRule(chain, on_rule);
  }
  int Insert(const std::string& chain, uint32_t position,
             const uint8_t* entry) override {
    return handle_->Insert(chain, position, entry);
  }
  int Append(const std::string& chain, const uint8_t* entry) override {
    return handle_->Append(chain, entry);
  }
  int Delete(const std::string& chain, uint32_t position) override {
    return handle_->Delete(chain, position);
  }
  int Commit() override { return on_commit_(*handle_); }

 private:
  const std::unique_ptr<IptcHandle> handle_;
  const OnCommit on_commit_;
};

IptcRuleTable Interpose(Interposed::OnCommit on_commit) {
  return IptcRuleTable(
      [on_commit](Family family,
                  Table table) -> absl::StatusOr<std::unique_ptr<IptcHandle>> {
        auto handle = IptcHandle::Open(family, table);
        if (!handle.ok()) return handle.status();
        return std::make_unique<Interposed>(*std::move(handle), on_commit);
      });
}

// What a program that does not care for the lock does.
void ChangeWithoutLock(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"env", "XTABLES_LOCKFILE=/run/other",
                                      "iptables-legacy"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Checked(command);
}

TEST_F(RuleTableSystemTest, ATableThatChangedBeforeTheCommitIsReadAgain) {
  int commits = 0;
  IptcRuleTable table = Interpose([&](IptcHandle& handle) {
    if (++commits <= 2) {
      ChangeWithoutLock(
          {"-A", "INPUT", "-s", absl::StrCat("10.0.0.", commits)});
    }
    return handle.Commit();
  });
  const auto outcome =
      table.Edit({.insertions = {Spec("a"), Spec("b")}}, Soon());
  ASSERT_OK(outcome);
  EXPECT_FALSE(outcome->rule_counters_lost);
  EXPECT_EQ(commits, 3);
  EXPECT_THAT(Rules(), SizeIs(4));
  EXPECT_THAT(ManagedIds(), ElementsAre("a", "b"));
}

TEST_F(RuleTableSystemTest, ATableThatKeepsChangingIsGivenUpAtTheDeadline) {
  int commits = 0;
  IptcRuleTable table = Interpose([&](IptcHandle& handle) {
    ChangeWithoutLock({"-A", "INPUT", "-c", "1", absl::StrCat(++commits)});
    return handle.Commit();
  });
  const auto outcome = table.Edit({.insertions = {Spec("a")}},
                                  absl::Now() + absl::Milliseconds(100));
  EXPECT_THAT(outcome, StatusIs(Code::kUnavailable));
  EXPECT_THAT(outcome, HasReason("TABLE_CHANGED"));
  EXPECT_THAT(ManagedIds(), IsEmpty());
  EXPECT_THAT(Rules(), SizeIs(commits));
}

TEST_F(RuleTableSystemTest, AFailureOfTheCountersHalfIsToldWithoutAnError) {
  ASSERT_OK(Insert({Spec("old")}));
  IptcRuleTable table = Interpose([](IptcHandle& handle) {
    EXPECT_EQ(handle.Commit(), 0);
    return EINVAL;
  });
  const auto outcome =
      table.Edit({.deletions = {"old"}, .insertions = {Spec("a")}}, Soon());
  ASSERT_OK(outcome);
  EXPECT_TRUE(outcome->rule_counters_lost);
  EXPECT_THAT(outcome->inserted, SizeIs(1));
  EXPECT_THAT(ManagedIds(), ElementsAre("a"));
}

TEST_F(RuleTableSystemTest, ARefusedReplacementIsNotTakenForADoneOne) {
  ASSERT_OK(Insert({Spec("a")}));
  IptcRuleTable table = Interpose([](IptcHandle&) { return EINVAL; });
  RuleSpec renewed = Spec("a");
  renewed.verdict = Verdict::kAccept;
  const auto outcome =
      table.Edit({.deletions = {"a"}, .insertions = {renewed}}, Soon());
  EXPECT_THAT(outcome, HasReason("RULE_REFUSED"));
  EXPECT_EQ(Rules()[0].verdict, Verdict::kContinue);
}

TEST_F(RuleTableSystemTest, AFlushRightAfterTheCommitIsNotCalledSuccess) {
  IptcRuleTable table = Interpose([](IptcHandle& handle) {
    const int err = handle.Commit();
    ChangeWithoutLock({"-F"});
    return err;
  });
  const auto outcome = table.Edit({.insertions = {Spec("a")}}, Soon());
  EXPECT_THAT(outcome, StatusIs(Code::kUnavailable));
  EXPECT_THAT(outcome, HasReason("TABLE_OVERWRITTEN"));
}

// A table whose first `failures` reads after a commit fail.
IptcRuleTable NotReadBack(int failures, int err, int* commits) {
  const auto left = std::make_shared<int>(0);
  return IptcRuleTable(
      [=](Family family,
          Table table) -> absl::StatusOr<std::unique_ptr<IptcHandle>> {
        if (*left > 0) {
          --*left;
          return ErrnoStatus(Operation::kRuleRead, err, "the table");
        }
        auto handle = IptcHandle::Open(family, table);
        if (!handle.ok()) return handle.status();
        return std::make_unique<Interposed>(*std::move(handle),
                                            [=](IptcHandle& opened) {
                                              ++*commits;
                                              *left = failures;
                                              return opened.Commit();
                                            });
      });
}

TEST_F(RuleTableSystemTest, APassingErrorAfterTheCommitIsReadPast) {
  for (const int err : {EINTR, ENOBUFS, ENOMEM, EBUSY, EAGAIN}) {
    int commits = 0;
    const std::string id = absl::StrCat("a", err);
    const auto outcome =
        NotReadBack(2, err, &commits).Edit({.insertions = {Spec(id)}}, Soon());
    ASSERT_OK(outcome);
    EXPECT_THAT(outcome->inserted, SizeIs(1));
    EXPECT_EQ(commits, 1);
  }
}

TEST_F(RuleTableSystemTest, AnErrorAfterTheCommitDoesNotRunTheEditAgain) {
  int commits = 0;
  const auto outcome = NotReadBack(3, EAGAIN, &commits)
                           .Edit({.insertions = {Spec("a")}}, Soon());
  EXPECT_THAT(outcome, StatusIs(Code::kUnavailable,
                                HasSubstr("may have been committed")));
  EXPECT_THAT(outcome, HasReason("TABLE_NOT_READ_BACK"));
  EXPECT_EQ(commits, 1);
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
  EXPECT_OK(rules_.Edit({.insertions = {there}, .dry_run = true}, Soon()));
  for (const bool dry_run : {true, false}) {
    const auto outcome = rules_.Edit(
        {.insertions = {there, missing}, .dry_run = dry_run}, Soon());
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
  ASSERT_OK(rules_.Edit({.table = Table::kNat,
                         .insertions = {Spec("a", "OUTPUT")},
                         .dry_run = true},
                        Soon()));
  for (const char* path :
       {"/proc/self/net/ip_tables_names", "/proc/self/net/ip6_tables_names"}) {
    std::ifstream names(path);
    ASSERT_TRUE(names.is_open());
    std::string name;
    EXPECT_FALSE(std::getline(names, name)) << name;
  }
}

TEST_F(RuleTableSystemTest, TablesOfNfTablesAreNoticed) {
  EXPECT_THAT(rules_.Notices(), IsEmpty());
  Checked({"nft", "add", "table", "inet", "fw"});
  Checked({"nft", "add", "table", "ip", "shop"});
  EXPECT_THAT(rules_.Notices(),
              ElementsAre(AllOf(HasSubstr("inet fw"), HasSubstr("ip shop"))));
}

}  // namespace
}  // namespace nfmeter::kernel
