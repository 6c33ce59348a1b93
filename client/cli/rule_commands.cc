// SPDX-License-Identifier: Apache-2.0
// nfmeter rule list | get | delete | chains, and what all of its commands share
#include "cli/rule_commands.h"

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/escapes.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

// Hosts whose iptables is iptables-nft have rules that no list here has.
void TellWhatIsNotSeen(Session& session, Client& client) {
  if (!session.for_people()) return;
  const auto node = client.GetNode(session.call());
  if (!node.ok()) return;  // nothing that the list itself did not say
  for (const std::string& notice : node->notices()) {
    if (absl::StrContains(notice, "nf_tables")) {
      session.Note(absl::StrCat("note: ", Printable(notice)));
    }
  }
}

// --- list

struct ListFlags {
  FamilyFlags family;
  std::string table;
  std::string chain;
  std::string counter;
  bool managed = false;
};

absl::Status ListRules(Session& session, const ListFlags& flags) {
  v1::ListRulesRequest request;
  v1::RuleFilter& filter = *request.mutable_filter();
  filter.set_family(flags.family.value());
  filter.set_table(flags.table);
  filter.set_chain(NameBytes(flags.chain));
  filter.set_counter_glob(NameBytes(flags.counter));
  filter.set_managed_only(flags.managed);
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->ListRules(request, session.call()));
  if (session.for_people() && response.rules().empty()) {
    session.Note(filter.ByteSizeLong() > 0
                     ? "no rule matches"
                     : "there are no rules; 'nfmeter rule add' makes one");
  } else {
    PrintRules(session, response, response.rules());
  }
  TellWhatIsNotSeen(session, *client);
  return absl::OkStatus();
}

void AddList(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "list", "List rules, also those that others made",
      R"(IDs that begin with ~ are of rules that others made. PACKETS and BYTES are the
rule's own counter, which others may zero; see 'nfmeter counter list'.
-o wide adds each rule as iptables-save prints it.

Examples:
  nfmeter rule list
  nfmeter rule list --managed --counter 'http*'
  nfmeter rule list --chain INPUT -o wide)",
      ListRules);
  AddFamily(tree, *command, flags->family, "both");
  AddChoice(tree, *command, "--table,-t", flags->table, RuleTables(),
            "only this table");
  AddText(*command, "--chain", flags->chain, "CHAIN", "only this chain");
  tree.Suggest(AddText(*command, "--counter,-c", flags->counter, "GLOB",
                       "only rules that count into these"),
               NamesFrom({"counter", "list"}));
  command->add_flag("--managed,-m", flags->managed, "only nfmeter's own");
}

// --- get

absl::Status GetRule(Session& session, const std::string& id) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(auto rule, client->GetRule(id, session.call()));
  v1::GetRuleResponse response;
  *response.mutable_rule() = std::move(rule);
  PrintRules(session, response, ListOf(response.rule()));
  return absl::OkStatus();
}

void AddGet(CommandTree& tree, CLI::App& parent) {
  auto [command, id] = tree.AddCommand(parent, "get", "Show a rule",
                                       R"(Examples:
  nfmeter rule get web-in -o json)",
                                       GetRule);
  AddArgument(tree, *command, "ID", *id, "its ID, see 'nfmeter rule list'",
              NamesFrom({"rule", "list", "--managed"}));
}

// --- delete

struct DeleteFlags {
  std::vector<std::string> ids;
  std::string request_id;
  bool validate_only = false;
};

template <typename Response>
void PrintDeleted(Session& session, const Response& response,
                  const Rules& rules, bool validate_only) {
  if (session.for_people() && validate_only) {
    session.console().out << "Nothing was changed. Rules now:\n";
  } else if (session.for_people()) {
    session.console().out << "Deleted " << CountOf(rules.size(), "rule")
                          << ". As they were:\n";
  }
  PrintRules(session, response, rules);
  for (const std::string& notice : response.notices()) session.Note(notice);
}

absl::Status DeleteRules(Session& session, const DeleteFlags& flags) {
  NFM_ASSIGN_OR_RETURN(auto ids, ExpandNames(flags.ids, session.console().in));
  if (ids.empty()) {
    session.console().err << "nothing to do: no IDs on standard input\n";
    return absl::OkStatus();
  }
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  if (flags.ids.size() == 1 && flags.ids[0] != "-") {
    v1::DeleteRuleRequest request;
    request.set_id(ids.front());
    request.set_validate_only(flags.validate_only);
    request.set_request_id(flags.request_id);
    NFM_ASSIGN_OR_RETURN(auto response,
                         client->DeleteRule(request, session.call()));
    PrintDeleted(session, response, ListOf(response.rule()),
                 flags.validate_only);
    return absl::OkStatus();
  }
  v1::BatchDeleteRulesRequest request;
  request.mutable_ids()->Assign(ids.begin(), ids.end());
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  const std::string what =
      absl::StrCat("Deleting ", CountOf(ids.size(), "rule"));
  NFM_ASSIGN_OR_RETURN(
      const auto response,
      client->BatchDeleteRules(request, session.call(),
                               Progress(session.console(), what).Callback()));
  PrintDeleted(session, response, response.rules(), flags.validate_only);
  return absl::OkStatus();
}

void AddDelete(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "delete", "Delete nfmeter's own rules",
      R"(All are deleted, or none. Rules that others made are never deleted.

Examples:
  nfmeter rule delete web-in web-out
  nfmeter rule list --managed --counter 'tmp-*' -o name | nfmeter rule delete -)",
      DeleteRules);
  AddArgument(tree, *command, "ID", flags->ids,
              "IDs of rules; '-': one a line on standard input",
              NamesFrom({"rule", "list", "--managed"}));
  AddChangeFlags(*command, flags->request_id, flags->validate_only);
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
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->ListChains(request, session.call()));
  session.PrintTable(
      response,
      [&](Layout layout) { return ChainTable(response.chains(), layout); },
      NamesOf(response.chains()));
  TellWhatIsNotSeen(session, *client);
  return absl::OkStatus();
}

void AddChains(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "chains", "List chains with policies and counters",
      R"(PACKETS and BYTES are what got the policy of a built-in chain.

Examples:
  nfmeter rule chains --table filter -4)",
      ListAllChains);
  AddFamily(tree, *command, flags->family, "both");
  AddChoice(tree, *command, "--table,-t", flags->table, RuleTables(),
            "only this table");
}

}  // namespace

const std::vector<std::string>& RuleTables() {
  static const auto& tables = *new std::vector<std::string>{
      "filter", "mangle", "raw", "nat", "security"};
  return tables;
}

void PrintRules(Session& session, const google::protobuf::Message& message,
                const Rules& rules) {
  std::vector<std::string> ids;
  for (const v1::Rule& rule : rules) ids.push_back(rule.id());
  session.PrintTable(
      message, [&](Layout layout) { return RuleTable(rules, layout); }, ids);
}

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

void AddRuleCommands(CommandTree& tree) {
  CLI::App* rule =
      tree.AddNoun("rule", "Add, list and delete rules that count");
  AddRuleAdd(tree, *rule);
  AddList(tree, *rule);
  AddGet(tree, *rule);
  AddDelete(tree, *rule);
  AddChains(tree, *rule);
}

}  // namespace nfmeter::cli
