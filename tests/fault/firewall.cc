// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/firewall.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "tests/fault/iptables.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {
namespace {

// The number behind `before` in the one of these rules that has `text` in it.
uint64_t NumberIn(const std::vector<std::string>& rules, absl::string_view text,
                  absl::string_view before) {
  for (const std::string& rule : rules) {
    if (!absl::StrContains(rule, text)) continue;
    uint64_t number = UINT64_MAX;
    const std::vector<std::string> parts = absl::StrSplit(rule, before);
    const std::vector<std::string> words =
        absl::StrSplit(parts.back(), absl::ByAnyChar(": ]"));
    (void)absl::SimpleAtoi(words[0], &number);
    return number;
  }
  return UINT64_MAX;
}

// --- Legacy iptables --------------------------------------------------------

class LegacyIptables : public Firewall {
 public:
  uint64_t RulePackets(absl::string_view text) const override {
    return NumberIn(ForeignRules(/*with_counters=*/true), text, "[");
  }
  absl::Status Load(const std::string& counter) override {
    return RestoreIptables(
        absl::StrCat("*filter\n:INPUT ACCEPT [5:500]\n:FORWARD ACCEPT [0:0]\n"
                     ":OUTPUT ACCEPT [6:600]\n:others - [0:0]\n"
                     "[7:700] -A INPUT -s 192.0.2.1/32 -j others\n"
                     "[8:800] -A others -p tcp -m tcp --dport 80 -j ACCEPT\n"
                     "[9:900] -A others -m nfacct --nfacct-name ",
                     counter, "\nCOMMIT\n"));
  }
  absl::Status Add(const std::string& address) override {
    return Iptables(Adding(address));
  }
  absl::Status Remove(const std::string& address) override {
    return Iptables(absl::StrReplaceAll(Adding(address), {{"-A ", "-D "}}));
  }
  absl::Status Count(uint16_t port) override {
    return Iptables(absl::StrCat("-A OUTPUT -p udp --dport ", port));
  }
  std::string Counting(uint16_t port) const override {
    return absl::StrCat("--dport ", port);
  }
  std::string Adding(const std::string& address) const override {
    return absl::StrCat("-A OUTPUT -d ", address, "/32 -j ACCEPT");
  }
  absl::Status Do(const std::string& command) override {
    return Iptables(command);
  }
  std::string PlanChain() const override {
    // OUTPUT jumps into it.
    const std::string rule = ManagedRules().front();
    return rule.substr(rule.rfind("NFM-"));
  }

 private:
  std::vector<std::string> Rules(bool managed,
                                 bool with_counters) const override {
    std::vector<std::string> argv = {"iptables-legacy-save", "-t", "filter"};
    if (with_counters) argv.push_back("-c");
    std::vector<std::string> rules;
    const std::string out = Run(argv).out;
    for (const absl::string_view line : absl::StrSplit(out, '\n')) {
      if (!absl::StrContains(line, "-A ")) continue;
      // By its comment, or by the chain of a plan that it is in or jumps to.
      const bool is_managed =
          absl::StrContains(line, "nfmeter") || absl::StrContains(line, "NFM-");
      if (is_managed == managed) rules.emplace_back(line);
    }
    return rules;
  }
};

// --- nf_tables --------------------------------------------------------------

absl::Status Nft(const std::string& commands) {
  const RunResult result = Run({"nft", "-f", "-"}, commands);
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(commands, ": ", result.err));
}

constexpr char kPlainTable[] = "inet nfmeter";

class Nftables : public Firewall {
 public:
  // `table`: where others have their rules; `sent`: those for what is sent.
  Nftables(std::string table, std::string sent)
      : table_(std::move(table)), sent_(std::move(sent)) {}

  uint64_t RulePackets(absl::string_view text) const override {
    return NumberIn(ForeignRules(/*with_counters=*/true), text, "packets ");
  }
  absl::Status Load(const std::string& counter) override {
    const bool ours = table_ == kPlainTable;
    return Nft(absl::StrReplaceAll(
        R"(add table T
           add chain T others
           add chain T others-in { type filter hook input priority 0; }
           flush chain T others-in
           flush chain T others
           add rule T others tcp dport 80 counter packets 8 bytes 800 accept
           add rule T others counter packets 9 bytes 900 OURS
           add rule T others-in ip saddr 192.0.2.1 counter packets 7 bytes 700 jump others
        )",
        {{"T", table_},
         {"OURS", ours ? absl::StrCat("counter name c.", counter) : ""}}));
  }
  absl::Status Add(const std::string& address) override {
    return Nft(Behind(absl::StrCat("ip daddr ", address, " accept")));
  }
  absl::Status Remove(const std::string& address) override {
    // nft deletes by handle alone.
    const std::string listed =
        Run({"nft", "-a", absl::StrCat("list chain ", table_, " ", sent_)}).out;
    const uint64_t handle =
        NumberIn(absl::StrSplit(listed, '\n'), Adding(address), "# handle ");
    return Nft(
        absl::StrCat("delete rule ", table_, " ", sent_, " handle ", handle));
  }
  absl::Status Count(uint16_t port) override {
    return Nft(Behind(absl::StrCat("udp dport ", port, " counter")));
  }
  std::string Counting(uint16_t port) const override {
    return absl::StrCat("udp dport ", port);
  }
  std::string Adding(const std::string& address) const override {
    return absl::StrCat("ip daddr ", address, " accept");
  }
  absl::Status Do(const std::string& command) override { return Nft(command); }
  std::string PlanMap() const override {
    const std::string out = Run({"nft", "list", "maps"}).out;
    for (absl::string_view line : absl::StrSplit(out, '\n')) {
      if (absl::ConsumePrefix(&line, "\tmap ") &&
          absl::ConsumeSuffix(&line, " {")) {
        return std::string(line);
      }
    }
    return "";
  }
  std::string PlanChain() const override {
    const std::string out = Run({"nft", "list", "chains"}).out;
    for (absl::string_view line : absl::StrSplit(out, '\n')) {
      if (absl::ConsumePrefix(&line, "\tchain ") &&
          absl::ConsumeSuffix(&line, "-out {") &&
          absl::StartsWith(line, "ip-")) {
        return absl::StrCat(line, "-out");
      }
    }
    return "";
  }

 private:
  // Makes the rule, and the chain where there is none.
  std::string Behind(const std::string& rule) const {
    return absl::StrCat("add table ", table_, "\nadd chain ", table_, " ",
                        sent_,
                        " { type filter hook output priority filter - 1; }\n",
                        "add rule ", table_, " ", sent_, " ", rule, "\n");
  }
  std::vector<std::string> Rules(bool managed,
                                 bool with_counters) const override {
    std::vector<std::string> argv = {"nft", "list", "ruleset"};
    if (!with_counters) argv.insert(argv.begin() + 1, "-s");
    const std::string out = Run(argv).out;
    std::vector<std::string> rules;
    bool in_chain = false;
    bool of_plan = false;
    for (absl::string_view line : absl::StrSplit(out, '\n')) {
      if (absl::StartsWith(line, "\tchain ")) {
        in_chain = true;
        of_plan = absl::StrContains(line, "NFM-");
      } else if (!absl::StartsWith(line, "\t\t")) {
        in_chain = false;
      } else if (in_chain && !absl::StrContains(line, " hook ")) {
        const bool is_managed =
            of_plan || absl::StrContains(line, "comment \"nfmeter:");
        if (is_managed == managed) {
          rules.emplace_back(absl::StripAsciiWhitespace(line));
        }
      }
    }
    return rules;
  }

  const std::string table_;
  const std::string sent_;
};

}  // namespace

absl::Status MakePlainTable() {
  return Nft("add table inet nfmeter { comment \"nfmeter\"; }\n");
}

constinit const FirewallKind kIptables = {
    "Iptables", "iptables", []() -> std::unique_ptr<Firewall> {
      return std::make_unique<LegacyIptables>();
    }};

constinit const FirewallKind kNftables = {
    "Nftables", "nftables", []() -> std::unique_ptr<Firewall> {
      return std::make_unique<Nftables>("ip others", "others-out");
    }};

constinit const FirewallKind kPlainNftables = {
    "PlainNftables", "nftables", []() -> std::unique_ptr<Firewall> {
      EXPECT_OK(MakePlainTable());
      return std::make_unique<Nftables>(kPlainTable, "ip-filter-OUTPUT");
    }};

}  // namespace nfmeter::testing
