// SPDX-License-Identifier: Apache-2.0
// nfmeter rule add
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "cli/escapes.h"
#include "cli/input.h"
#include "cli/match_flags.h"
#include "cli/progress.h"
#include "cli/rule_commands.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

struct AddFlags {
  std::string counter;
  std::string chain;
  std::string table;
  std::string id;
  std::string verdict;
  std::string form;
  std::string from;
  std::string request_id;
  bool head = false;
  bool tail = false;
  bool unconditional = false;
  bool validate_only = false;
  FamilyFlags family;
  std::vector<MatchArgument> matches;
};

v1::RulePlacement Placement(const AddFlags& flags) {
  if (flags.tail) return v1::RULE_PLACEMENT_TAIL;
  return flags.head ? v1::RULE_PLACEMENT_HEAD : v1::RULE_PLACEMENT_UNSPECIFIED;
}

absl::StatusOr<v1::Rule> RuleOf(const AddFlags& flags) {
  if (flags.counter.empty() || flags.chain.empty()) {
    return UsageError(
        "'nfmeter rule add' needs --counter and --chain, or --from FILE",
        "nfmeter rule add --counter http-traffic --chain INPUT --protocol tcp "
        "--sport 80");
  }
  v1::Rule rule;
  NFM_ASSIGN_OR_RETURN(
      auto match,
      ParseMatch(flags.matches, flags.family.value() == v1::FAMILY_IPV6));
  *rule.mutable_match() = std::move(match);
  rule.set_id(flags.id);
  rule.set_family(flags.family.value());
  rule.set_table(flags.table);
  rule.set_chain(NameBytes(flags.chain));
  rule.set_counter(NameBytes(flags.counter));
  rule.set_verdict(
      ParseVerdict(flags.verdict).value_or(v1::VERDICT_UNSPECIFIED));
  rule.set_counting_form(static_cast<v1::CountingForm>(
      FindEnumWord(v1::CountingForm_descriptor(), flags.form)));
  return rule;
}

template <typename Response>
void PrintAdded(Session& session, const Response& response, const Rules& rules,
                bool validate_only) {
  std::ostream& out = session.console().out;
  if (session.format() != Format::kTable) {
    PrintRules(session, response, rules);
  } else if (validate_only) {
    out << CountOf(rules.size(), "rule")
        << " could be added; nothing was changed." << std::endl;
  } else if (rules.size() == 1) {
    out << "Added rule " << Printable(rules[0].id()) << ": "
        << Printable(DescribeRule(rules[0])) << std::endl;
  } else {
    out << "Added " << CountOf(rules.size(), "rule") << "." << std::endl;
  }
  for (const std::string& notice : response.notices()) session.Note(notice);
}

absl::Status AddFrom(Session& session, const AddFlags& flags) {
  if (!flags.matches.empty() || !flags.counter.empty() ||
      !flags.chain.empty() || !flags.table.empty() || !flags.id.empty() ||
      !flags.verdict.empty() || !flags.form.empty() || flags.unconditional ||
      flags.family.value() != v1::FAMILY_UNSPECIFIED) {
    return UsageError(
        "--from brings whole rules; flags that describe a rule can't be given "
        "beside it");
  }
  NFM_ASSIGN_OR_RETURN(auto text, ReadSource(flags.from, session.console().in));
  NFM_ASSIGN_OR_RETURN(
      auto request,
      ParseRules(text, flags.from == "-" ? "standard input" : flags.from));
  if (request.rules().empty()) {
    session.console().err << "nothing to do: there are no rules in the file\n";
    return absl::OkStatus();
  }
  if (Placement(flags) != v1::RULE_PLACEMENT_UNSPECIFIED) {
    request.set_placement(Placement(flags));
  }
  if (flags.validate_only) request.set_validate_only(true);
  if (!flags.request_id.empty()) request.set_request_id(flags.request_id);
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  const std::string what =
      absl::StrCat("Adding ", CountOf(request.rules_size(), "rule"));
  NFM_ASSIGN_OR_RETURN(
      const auto response,
      client->BatchCreateRules(request, session.call(),
                               Progress(session.console(), what).Callback()));
  PrintAdded(session, response, response.rules(), request.validate_only());
  return absl::OkStatus();
}

// A drop that is meant as a cap, on a counter without quota, takes down what it
// should have counted.
absl::Status CheckDrop(Session& session, const AddFlags& flags,
                       const v1::Rule& rule) {
  const bool drops = rule.verdict() == v1::VERDICT_DROP;
  if (flags.unconditional && !drops) {
    return UsageError("--unconditional belongs to --verdict drop");
  }
  if (!drops || flags.unconditional) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto counter,
                       client->GetCounter(rule.counter(), session.call()));
  if (counter.has_quota()) return absl::OkStatus();
  return UsageError(
      absl::StrCat("counter '", counter.name(),
                   "' has no quota, so this rule would drop every packet that "
                   "it matches"),
      "give --unconditional if that is meant; a cap needs a counter made with "
      "--quota-bytes or --quota-packets");
}

absl::Status AddRule(Session& session, const AddFlags& flags) {
  if (!flags.from.empty()) return AddFrom(session, flags);
  NFM_ASSIGN_OR_RETURN(auto rule, RuleOf(flags));
  NFM_RETURN_IF_ERROR(CheckDrop(session, flags, rule));
  v1::CreateRuleRequest request;
  *request.mutable_rule() = std::move(rule);
  request.set_placement(Placement(flags));
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->CreateRule(request, session.call()));
  PrintAdded(session, response, ListOf(response.rule()), flags.validate_only);
  return absl::OkStatus();
}

// --src and --not-src and their like.
void AddMatchFlag(CommandTree& tree, CLI::App& command, const MatchFlag& flag,
                  std::vector<MatchArgument>& matches) {
  const auto add = [&](const std::string& names, bool negated,
                       const std::string& help, const std::string& group) {
    const auto put = [&flag, &matches,
                      negated](const std::vector<std::string>& values) {
      matches.push_back({&flag, negated, values});
    };
    CLI::Option* option =
        command.add_option_function<std::vector<std::string>>(names, put, help)
            ->option_text(std::string(flag.values))
            ->expected(static_cast<int>(ValueCount(flag)))
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::Throw)
            ->group(group);
    if (!flag.choices.empty()) {
      tree.Suggest(option, Choices(absl::StrSplit(flag.choices, ' ')));
    }
  };
  add(absl::StrCat("--", flag.name, flag.aliases), false,
      std::string(flag.help),
      "Which packets (each but --comment also as --not-...)");
  if (HasNegation(flag)) {
    // Help says it once, in the title of the group.
    add(absl::StrCat("--not-", flag.name), true,
        absl::StrCat("all but: ", flag.help), std::string(kUnlistedGroup));
  }
}

}  // namespace

void AddRuleAdd(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "add", "Add a rule that counts packets into a counter",
      R"(All flags that are given must match. Flags have the names that iptables gives
them; 'iptables ! --src X' is --not-src X here.

FILE is what 'rule list --managed' prints with -o json, yaml or csv. All are
added, or none; more than the server's largest batch ('nfmeter node -o wide') go
in several, each all or none.

Examples:
  nfmeter rule add --counter http-traffic --chain INPUT -p tcp --sport 80
  nfmeter rule add --counter web --chain FORWARD -p tcp --dport 80,443,8000:8080
  nfmeter rule add --counter lan --chain INPUT --not-src 10.0.0.0/8 --in eth0
  nfmeter rule add --counter alice-cap --chain OUTPUT --uid-owner alice -j drop
  nfmeter rule add --from rules.json --tail)",
      AddRule);
  const std::string where = "Where it counts";
  tree.Suggest(AddText(*command, "--counter,-c", flags->counter, "NAME",
                       "counter to count into")
                   ->group(where),
               NamesFrom({"counter", "list"}));
  tree.Suggest(
      AddText(*command, "--chain", flags->chain, "CHAIN",
              "INPUT, FORWARD, ... or one of your own")
          ->group(where),
      Choices({"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"}));
  AddChoice(tree, *command, "--table,-t", flags->table, RuleTables(),
            "default: filter")
      ->group(where);
  AddFamily(tree, *command, flags->family,
            "as the addresses and the protocol say, else ipv4");
  for (const char* name : {"--ipv4", "--ipv6", "--family"}) {
    command->get_option(name)->group(where);
  }
  AddChoice(tree, *command, "--verdict,-j", flags->verdict,
            {"continue", "accept", "drop", "return"},
            "what happens after counting; default: continue with the next rule")
      ->group(where);
  command
      ->add_flag("--unconditional", flags->unconditional,
                 "with -j drop: drop every packet that matches, although the "
                 "counter has no quota")
      ->group(where);
  AddChoice(tree, *command, "--counting-form", flags->form, {"match", "target"},
            "by the nfacct match (default where the kernel has it) or by the "
            "NFACCT target")
      ->group(where);
  CLI::Option* head = command->add_flag(
      "--head", flags->head, "before the chain's other rules (default)");
  CLI::Option* tail =
      command->add_flag("--tail", flags->tail, "after the chain's other rules");
  head->group(where)->excludes(tail);
  tail->group(where);
  for (const MatchFlag& flag : MatchFlags()) {
    AddMatchFlag(tree, *command, flag, flags->matches);
  }
  AddFile(tree, *command, "--from", flags->from,
          "rules in this file; '-': standard input");
  AddText(*command, "--id", flags->id, "ID",
          "1 to 40 of a-z 0-9 -; default: the server picks one");
  AddChangeFlags(*command, flags->request_id, flags->validate_only);
}

}  // namespace nfmeter::cli
