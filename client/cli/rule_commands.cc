// nfmeter rule add | list | get | delete | chains
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/input.h"
#include "cli/match_flags.h"
#include "cli/progress.h"
#include "cli/views.h"

namespace nfmeter::cli {
namespace {

const std::vector<std::string>& Tables() {
  static const auto& tables = *new std::vector<std::string>{
      "filter", "mangle", "raw", "nat", "security"};
  return tables;
}

std::vector<std::string> IdsOf(const Rules& rules) {
  std::vector<std::string> ids;
  for (const v1::Rule& rule : rules) ids.push_back(rule.id());
  return ids;
}

void PrintRules(Session& session, const google::protobuf::Message& message,
                const Rules& rules) {
  session.Print({.message = message,
                 .text =
                     [&](Layout layout) {
                       return session.Render(RuleTable(rules, layout), layout);
                     },
                 .names = IdsOf(rules)});
}

Rules One(const v1::Rule& rule) {
  Rules rules;
  *rules.Add() = rule;
  return rules;
}

std::string Plural(size_t count) {
  return absl::StrCat(count, count == 1 ? " rule" : " rules");
}

// -4, -6 and --family.
struct FamilyFlags {
  bool ipv4 = false;
  bool ipv6 = false;
  std::string family;

  v1::Family value() const {
    if (ipv6 || family == "ipv6") return v1::FAMILY_IPV6;
    if (ipv4 || family == "ipv4") return v1::FAMILY_IPV4;
    return v1::FAMILY_UNSPECIFIED;
  }
};

void AddFamily(CommandTree& tree, CLI::App& command, FamilyFlags& flags,
               const std::string& otherwise) {
  CLI::Option* ipv4 = command.add_flag("--ipv4,-4", flags.ipv4, "iptables");
  CLI::Option* ipv6 = command.add_flag("--ipv6,-6", flags.ipv6, "ip6tables");
  CLI::Option* family =
      AddChoice(tree, command, "--family", flags.family, {"ipv4", "ipv6"},
                absl::StrCat("the same in words; default: ", otherwise));
  ipv4->excludes(ipv6);
  family->excludes(ipv4)->excludes(ipv6);
}

// --- add

struct AddFlags {
  std::string counter;
  std::string chain;
  std::string table;
  std::string id;
  std::string verdict;
  std::string from;
  std::string request_id;
  bool head = false;
  bool tail = false;
  bool validate_only = false;
  FamilyFlags family;
  std::vector<MatchArgument> matches;
};

v1::Verdict ParseVerdict(absl::string_view name) {
  if (name == "accept") return v1::VERDICT_ACCEPT;
  if (name == "drop") return v1::VERDICT_DROP;
  if (name == "return") return v1::VERDICT_RETURN;
  if (name == "continue") return v1::VERDICT_CONTINUE;
  return v1::VERDICT_UNSPECIFIED;
}

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
  auto match =
      ParseMatch(flags.matches, flags.family.value() == v1::FAMILY_IPV6);
  if (!match.ok()) return match.status();
  *rule.mutable_match() = *std::move(match);
  rule.set_id(flags.id);
  rule.set_family(flags.family.value());
  rule.set_table(flags.table);
  rule.set_chain(flags.chain);
  rule.set_counter(flags.counter);
  rule.set_verdict(ParseVerdict(flags.verdict));
  return rule;
}

void PrintAdded(Session& session, const google::protobuf::Message& message,
                const Rules& rules, bool validate_only) {
  if (session.format() != Format::kTable) {
    return PrintRules(session, message, rules);
  }
  std::ostream& out = session.console().out;
  if (validate_only) {
    out << Plural(rules.size()) << " could be added; nothing was changed."
        << std::endl;
  } else if (rules.size() == 1) {
    out << "Added rule " << Printable(rules[0].id()) << ": "
        << Printable(DescribeRule(rules[0])) << std::endl;
  } else {
    out << "Added " << Plural(rules.size()) << "." << std::endl;
  }
}

absl::Status AddFrom(Session& session, const AddFlags& flags) {
  if (!flags.matches.empty() || !flags.counter.empty() ||
      !flags.chain.empty() || !flags.table.empty() || !flags.id.empty() ||
      !flags.verdict.empty() ||
      flags.family.value() != v1::FAMILY_UNSPECIFIED) {
    return UsageError(
        "--from brings whole rules; flags that describe a rule can't be given "
        "beside it");
  }
  auto text = ReadSource(flags.from, session.console().in);
  if (!text.ok()) return text.status();
  auto request =
      ParseRules(*text, flags.from == "-" ? "standard input" : flags.from);
  if (!request.ok()) return request.status();
  if (request->rules().empty()) {
    session.console().err << "nothing to do: there are no rules in the file\n";
    return absl::OkStatus();
  }
  if (Placement(flags) != v1::RULE_PLACEMENT_UNSPECIFIED) {
    request->set_placement(Placement(flags));
  }
  if (flags.validate_only) request->set_validate_only(true);
  if (!flags.request_id.empty()) request->set_request_id(flags.request_id);
  auto client = session.client();
  if (!client.ok()) return client.status();
  absl::StatusOr<v1::BatchCreateRulesResponse> response;
  {
    Progress progress(session.console(),
                      absl::StrCat("Adding ", Plural(request->rules_size())));
    response = (*client)->BatchCreateRules(*request, session.call(),
                                           progress.Callback());
  }
  if (!response.ok()) return response.status();
  PrintAdded(session, *response, response->rules(), request->validate_only());
  return absl::OkStatus();
}

absl::Status Add(Session& session, const AddFlags& flags) {
  if (!flags.from.empty()) return AddFrom(session, flags);
  auto rule = RuleOf(flags);
  if (!rule.ok()) return rule.status();
  v1::CreateRuleRequest request;
  *request.mutable_rule() = *std::move(rule);
  request.set_placement(Placement(flags));
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  auto client = session.client();
  if (!client.ok()) return client.status();
  auto response = (*client)->CreateRule(request, session.call());
  if (!response.ok()) return response.status();
  PrintAdded(session, *response, One(response->rule()), flags.validate_only);
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
    const int count = absl::StrContains(flag.values, ' ') ? 2 : 1;
    CLI::Option* option =
        command.add_option_function<std::vector<std::string>>(names, put, help)
            ->option_text(std::string(flag.values))
            ->expected(count)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::Throw)
            ->group(group);
    if (!flag.choices.empty()) {
      tree.Suggest(option,
                   {Candidates::kChoices, absl::StrSplit(flag.choices, ' ')});
    }
  };
  add(absl::StrCat("--", flag.name, flag.aliases), false,
      std::string(flag.help), "Which packets (each also as --not-...)");
  if (flag.negate != nullptr) {
    // Help says it once, in the title of the group.
    add(absl::StrCat("--not-", flag.name), true,
        absl::StrCat("all but: ", flag.help), "");
  }
}

void AddAdd(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<AddFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "add", "Add a rule that counts packets into a counter",
      R"(All flags that are given must match. Flags have the names that iptables gives
them; 'iptables ! --src X' is --not-src X here.

FILE is JSON: an array of Rules as 'rule list -o json' prints them. All are
added, or none.

Examples:
  nfmeter rule add --counter http-traffic --chain INPUT --protocol tcp --sport 80
  nfmeter rule add --counter web --chain FORWARD -p tcp --dport 80,443,8000:8080
  nfmeter rule add --counter lan --chain INPUT --not-src 10.0.0.0/8 --in eth0
  nfmeter rule add --counter alice-cap --chain OUTPUT --uid-owner alice -j drop
  nfmeter rule add --from rules.json --tail)",
      [flags](Session& session) { return Add(session, *flags); });
  const std::string where = "Where it counts";
  CLI::Option* counter = command->add_option("--counter,-c", flags->counter,
                                             "counter to count into");
  counter->option_text("NAME")->group(where);
  tree.Suggest(counter, {Candidates::kCounters});
  CLI::Option* chain = command->add_option(
      "--chain", flags->chain, "INPUT, FORWARD, ... or one of your own");
  chain->option_text("CHAIN")->group(where);
  tree.Suggest(chain,
               {Candidates::kChoices,
                {"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"}});
  AddChoice(tree, *command, "--table,-t", flags->table, Tables(),
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
  CLI::Option* head = command->add_flag(
      "--head", flags->head, "before the chain's other rules (default)");
  CLI::Option* tail =
      command->add_flag("--tail", flags->tail, "after the chain's other rules");
  head->group(where)->excludes(tail);
  tail->group(where);
  for (const MatchFlag& flag : MatchFlags()) {
    AddMatchFlag(tree, *command, flag, flags->matches);
  }
  CLI::Option* from = command->add_option(
      "--from", flags->from, "rules in this file; '-': standard input");
  from->option_text("FILE");
  tree.Suggest(from, {Candidates::kFiles});
  command
      ->add_option("--id", flags->id,
                   "1 to 40 of a-z 0-9 -; default: the server picks one")
      ->option_text("ID");
  command->add_flag("--validate-only", flags->validate_only,
                    "check everything, change nothing");
  command
      ->add_option("--request-id", flags->request_id,
                   "a repeated command with the same ID changes nothing more "
                   "and answers as the first one did")
      ->option_text("ID");
}

// --- list

struct ListFlags {
  FamilyFlags family;
  std::string table;
  std::string chain;
  std::string counter;
  bool managed = false;
};

absl::Status List(Session& session, const ListFlags& flags) {
  v1::ListRulesRequest request;
  v1::RuleFilter& filter = *request.mutable_filter();
  filter.set_family(flags.family.value());
  filter.set_table(flags.table);
  filter.set_chain(flags.chain);
  filter.set_counter_glob(flags.counter);
  filter.set_managed_only(flags.managed);
  auto client = session.client();
  if (!client.ok()) return client.status();
  auto response = (*client)->ListRules(request, session.call());
  if (!response.ok()) return response.status();
  if (session.for_people() && response->rules().empty()) {
    session.Note(filter.ByteSizeLong() > 0
                     ? "no rule matches"
                     : "there are no rules; 'nfmeter rule add' makes one");
    return absl::OkStatus();
  }
  PrintRules(session, *response, response->rules());
  return absl::OkStatus();
}

void AddList(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<ListFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "list", "List rules, also those that others made",
      R"(IDs that begin with ~ are of rules that others made. PACKETS and BYTES are the
rule's own counter, which others may zero; see 'nfmeter counter list'.
-o wide adds each rule as iptables-save prints it.

Examples:
  nfmeter rule list
  nfmeter rule list --managed --counter 'http*'
  nfmeter rule list --chain INPUT -o wide)",
      [flags](Session& session) { return List(session, *flags); });
  AddFamily(tree, *command, flags->family, "both");
  AddChoice(tree, *command, "--table,-t", flags->table, Tables(),
            "only this table");
  command->add_option("--chain", flags->chain, "only this chain")
      ->option_text("CHAIN");
  CLI::Option* counter = command->add_option(
      "--counter,-c", flags->counter, "only rules that count into these");
  counter->option_text("GLOB");
  tree.Suggest(counter, {Candidates::kCounters});
  command->add_flag("--managed,-m", flags->managed, "only nfmeter's own");
}

// --- get

absl::Status Get(Session& session, const std::string& id) {
  auto client = session.client();
  if (!client.ok()) return client.status();
  auto rule = (*client)->GetRule(id, session.call());
  if (!rule.ok()) return rule.status();
  v1::GetRuleResponse response;
  *response.mutable_rule() = *std::move(rule);
  PrintRules(session, response, One(response.rule()));
  return absl::OkStatus();
}

void AddGet(CommandTree& tree, CLI::App& parent) {
  auto id = std::make_shared<std::string>();
  CLI::App* command =
      tree.AddCommand(parent, "get", "Show a rule",
                      R"(Examples:
  nfmeter rule get web-in -o json)",
                      [id](Session& session) { return Get(session, *id); });
  CLI::Option* option =
      command->add_option("ID", *id, "its ID, see 'nfmeter rule list'");
  option->required();
  tree.Suggest(option, {Candidates::kRules});
}

// --- delete

struct DeleteFlags {
  std::vector<std::string> ids;
  std::string request_id;
  bool validate_only = false;
};

void PrintDeleted(Session& session, const google::protobuf::Message& message,
                  const Rules& rules, bool validate_only) {
  if (session.for_people()) {
    session.console().out
        << (validate_only ? std::string("Nothing was changed. Rules now:\n")
                          : absl::StrCat("Deleted ", Plural(rules.size()),
                                         ". As they were:\n"));
  }
  PrintRules(session, message, rules);
}

absl::Status Delete(Session& session, const DeleteFlags& flags) {
  auto ids = ExpandNames(flags.ids, session.console().in);
  if (!ids.ok()) return ids.status();
  if (ids->empty()) {
    session.console().err << "nothing to do: no IDs on standard input\n";
    return absl::OkStatus();
  }
  auto client = session.client();
  if (!client.ok()) return client.status();
  if (flags.ids.size() == 1 && flags.ids[0] != "-") {
    v1::DeleteRuleRequest request;
    request.set_id(ids->front());
    request.set_validate_only(flags.validate_only);
    request.set_request_id(flags.request_id);
    auto response = (*client)->DeleteRule(request, session.call());
    if (!response.ok()) return response.status();
    PrintDeleted(session, *response, One(response->rule()),
                 flags.validate_only);
    return absl::OkStatus();
  }
  v1::BatchDeleteRulesRequest request;
  request.mutable_ids()->Assign(ids->begin(), ids->end());
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  absl::StatusOr<v1::BatchDeleteRulesResponse> response;
  {
    Progress progress(session.console(),
                      absl::StrCat("Deleting ", Plural(ids->size())));
    response = (*client)->BatchDeleteRules(request, session.call(),
                                           progress.Callback());
  }
  if (!response.ok()) return response.status();
  PrintDeleted(session, *response, response->rules(), flags.validate_only);
  return absl::OkStatus();
}

void AddDelete(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<DeleteFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "delete", "Delete nfmeter's own rules",
      R"(All are deleted, or none. Rules that others made are never deleted.

Examples:
  nfmeter rule delete web-in web-out
  nfmeter rule list --managed --counter 'tmp-*' -o name | nfmeter rule delete -)",
      [flags](Session& session) { return Delete(session, *flags); });
  CLI::Option* ids = command->add_option(
      "ID", flags->ids, "IDs of rules; '-': one a line on standard input");
  ids->required();
  tree.Suggest(ids, {Candidates::kRules});
  command->add_flag("--validate-only", flags->validate_only,
                    "check everything, change nothing");
  command
      ->add_option("--request-id", flags->request_id,
                   "a repeated command with the same ID changes nothing more "
                   "and answers as the first one did")
      ->option_text("ID");
}

// --- chains

struct ChainFlags {
  FamilyFlags family;
  std::string table;
};

absl::Status ListAllChains(Session& session, const ChainFlags& flags) {
  v1::ListChainsRequest request;
  request.set_family(flags.family.value());
  request.set_table(flags.table);
  auto client = session.client();
  if (!client.ok()) return client.status();
  auto response = (*client)->ListChains(request, session.call());
  if (!response.ok()) return response.status();
  std::vector<std::string> names;
  for (const v1::Chain& chain : response->chains()) {
    names.push_back(chain.name());
  }
  const Chains& chains = response->chains();
  session.Print({.message = *response,
                 .text =
                     [&](Layout layout) {
                       return session.Render(ChainTable(chains, layout),
                                             layout);
                     },
                 .names = std::move(names)});
  return absl::OkStatus();
}

void AddChains(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<ChainFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "chains", "List chains with policies and counters",
      R"(PACKETS and BYTES are what got the policy of a built-in chain.

Examples:
  nfmeter rule chains --table filter -4)",
      [flags](Session& session) { return ListAllChains(session, *flags); });
  AddFamily(tree, *command, flags->family, "both");
  AddChoice(tree, *command, "--table,-t", flags->table, Tables(),
            "only this table");
}

}  // namespace

void AddRuleCommands(CommandTree& tree) {
  CLI::App* rule =
      tree.AddNoun("rule", "Add, list and delete rules that count");
  AddAdd(tree, *rule);
  AddList(tree, *rule);
  AddGet(tree, *rule);
  AddDelete(tree, *rule);
  AddChains(tree, *rule);
}

}  // namespace nfmeter::cli
