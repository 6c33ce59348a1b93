// SPDX-License-Identifier: Apache-2.0
// nfmeter context list | use | add | delete | group | test
#include <memory>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/columns.h"
#include "cli/command_tree.h"
#include "cli/contexts.h"
#include "cli/errors.h"
#include "cli/views.h"
#include "client/src/status_macros.h"

namespace nfmeter::cli {
namespace {

// A context, or a group with its members for its server.
struct Listed {
  bool current;
  std::string name;
  std::string server;
  Cell tls;
};

Table ContextTable(const std::vector<Listed>& contexts, Layout layout) {
  static const auto& columns = *new std::vector<Column<Listed>>{
      {"CURRENT", "current", kAll, Align::kLeft,
       [](const Listed& c, Layout) { return c.current ? "*" : ""; }},
      PlainColumn<Listed>("NAME", "name", kAll, &Listed::name),
      PlainColumn<Listed>("SERVER", "server", kAll, &Listed::server),
      {"TLS", "tls", kAll, Align::kLeft,
       [](const Listed& c, Layout) { return c.tls; }}};
  return MakeTable<Listed>(columns, contexts, layout);
}

absl::Status ListContexts(Session& session) {
  NFM_ASSIGN_OR_RETURN(const auto contexts, LoadContexts(ContextsPath()));
  std::vector<Listed> listed;
  google::protobuf::Struct message;
  const auto fields_of = [&message](const std::string& name) {
    return (*message.mutable_fields())[name]
        .mutable_struct_value()
        ->mutable_fields();
  };
  for (const auto& [name, values] : contexts.contexts) {
    const bool tls = values.contains("ca") || values.contains("cert");
    listed.push_back({name == contexts.current, name, values.at("server"),
                      tls ? "yes" : "no"});
    for (const auto& [key, value] : values) {
      (*fields_of(name))[key].set_string_value(value);
    }
  }
  for (const auto& [name, members] : contexts.groups) {
    auto& group = (*fields_of(name))["group"];
    for (const std::string& member : members) {
      group.mutable_list_value()->add_values()->set_string_value(member);
    }
    listed.push_back({name == contexts.current,
                      name,
                      absl::StrJoin(members, ","),
                      {"group", Style::kFaint}});
  }
  if (listed.empty() && session.for_people()) {
    session.Note("there are no contexts; 'nfmeter context add' makes one");
    return absl::OkStatus();
  }
  std::vector<std::string> names;
  for (const Listed& each : listed) names.push_back(each.name);
  session.PrintTable(
      message, [&](Layout layout) { return ContextTable(listed, layout); },
      names);
  return absl::OkStatus();
}

absl::Status UseContext(Session& session, const std::string& name) {
  NFM_ASSIGN_OR_RETURN(auto contexts, LoadContexts(ContextsPath()));
  NFM_RETURN_IF_ERROR(ExpandContexts(contexts, name).status());
  contexts.current = name;
  NFM_RETURN_IF_ERROR(SaveContexts(contexts, ContextsPath()));
  session.Note(absl::StrCat("'", name, "' is used from now on"));
  return absl::OkStatus();
}

struct AddFlags {
  std::string name;
  std::vector<std::string> members;
  const CommandTree* tree = nullptr;  // whose command line was parsed
};

// The context is what the global flags and the environment say now.
absl::Status AddContext(Session& session, const AddFlags& flags) {
  NFM_ASSIGN_OR_RETURN(auto contexts, LoadContexts(ContextsPath()));
  if (!flags.members.empty()) {
    if (flags.tree->IsGiven("--server")) {
      return UsageError(
          "--server and --group can't be given together: the contexts of a "
          "group have servers of their own");
    }
    contexts.groups.erase(flags.name);
    // Other groups stand for what they have now.
    NFM_ASSIGN_OR_RETURN(
        contexts.groups[flags.name],
        ExpandContexts(contexts, absl::StrJoin(flags.members, ",")));
  } else {
    Contexts::Values values = ContextValues(session.flags());
    if (!values.contains("server")) {
      return UsageError("a context needs --server, or --group with others",
                        "nfmeter context add gw1 --server gw1:7443 --ca ca.crt "
                        "--cert me.crt --key me.key");
    }
    contexts.contexts[flags.name] = std::move(values);
  }
  const bool first = contexts.current.empty();
  if (first) contexts.current = flags.name;
  NFM_RETURN_IF_ERROR(SaveContexts(contexts, ContextsPath()));
  const std::string stands_for =
      flags.members.empty() ? contexts.contexts[flags.name]["server"]
                            : absl::StrJoin(contexts.groups[flags.name], ",");
  session.Note(absl::StrCat("Saved '", flags.name, "' for ", stands_for, " in ",
                            ContextsPath(),
                            first ? "; it is used from now on" : ""));
  return absl::OkStatus();
}

absl::Status DeleteContext(Session& session, const std::string& name) {
  NFM_ASSIGN_OR_RETURN(auto contexts, LoadContexts(ContextsPath()));
  if (contexts.contexts.erase(name) + contexts.groups.erase(name) == 0) {
    return absl::NotFoundError(
        absl::StrCat("there is no context or group '", name, "'"));
  }
  std::vector<std::string> smaller;
  std::vector<std::string> over;
  for (auto& [group, members] : contexts.groups) {
    if (std::erase(members, name) == 0) continue;
    (members.empty() ? over : smaller).push_back(group);
  }
  for (const std::string& group : over) contexts.groups.erase(group);
  const bool was_used =
      contexts.current == name || absl::c_linear_search(over, contexts.current);
  if (was_used) contexts.current.clear();
  NFM_RETURN_IF_ERROR(SaveContexts(contexts, ContextsPath()));
  std::string text = absl::StrCat("Deleted '", name, "'.");
  if (!smaller.empty()) {
    absl::StrAppend(&text, " These groups have it no more: ",
                    absl::StrJoin(smaller, ", "), ".");
  }
  if (!over.empty()) {
    absl::StrAppend(&text, " Deleted with it, as they had no other: ",
                    absl::StrJoin(over, ", "), ".");
  }
  if (was_used) {
    absl::StrAppend(&text, " No context is used now: 'nfmeter context use'.");
  }
  session.Note(text);
  return absl::OkStatus();
}

// Whether each server answers, and who answers there.
absl::Status Test(Session& session) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto node, client->GetNode(session.call()));
  using N = v1::Node;
  const std::vector<Column<N>> columns = {
      PlainColumn<N>("SERVER", "server", kAll,
                     [&](const N&) { return client->address(); }),
      PlainColumn<N>("HOST", "host", kAll, &N::hostname),
      PlainColumn<N>("VERSION", "version", kAll, &N::version),
      PlainColumn<N>("YOU ARE", "principal", kAll,
                     [](const N& n) { return n.caller().principal(); })};
  v1::GetNodeResponse response;
  *response.mutable_node() = node;
  session.PrintTable(response,
                     [&](Layout layout) {
                       return MakeTable<N>(columns, ListOf(node), layout);
                     },
                     {node.hostname()});
  return absl::OkStatus();
}

}  // namespace

void AddContextCommands(CommandTree& tree) {
  CLI::App* context = tree.AddNoun(
      "context", "Keep servers under names and choose between them");
  tree.MarkLocal(tree.AddCommand(
      *context, "list", "List contexts and groups",
      R"(They are kept in ~/.config/nfmeter/config.yaml (or $NFMETER_CONFIG).

Examples:
  nfmeter context list)",
      ListContexts));
  auto [use, used] =
      tree.AddCommand(*context, "use", "Choose the context that commands use",
                      R"(Examples:
  nfmeter context use gw1)",
                      UseContext);
  tree.MarkLocal(use);
  const Candidates known = NamesFrom({"context", "list"});
  AddArgument(tree, *use, "NAME", *used, "a context or a group", known);

  auto [add, added] = tree.AddCommand(
      *context, "add", "Keep a server, or a group of them, under a name",
      R"(The flags that say how a server is reached are kept with it, and so are -o and
--timeout. The first context that is added is used from then on.

Examples:
  nfmeter context add gw1 --server gw1:7443 --ca ca.crt --cert a.crt --key a.key
  nfmeter context add edge --group gw1,gw2
  nfmeter counter list --context edge)",
      AddContext);
  tree.MarkLocal(add);
  added->tree = &tree;
  add->add_option("NAME", added->name, "its name, without ','")
      ->required()
      ->check([](const std::string& text) -> std::string {
        return text.empty() || text.find_first_of(", /") != std::string::npos
                   ? absl::StrCat("'", text, "' is no name for a context")
                   : "";
      });
  CLI::Option* group = add->add_option("--group", added->members,
                                       "contexts that this name stands for");
  group->option_text("NAME,NAME")->delimiter(',')->allow_extra_args(false);
  tree.Suggest(group, known);

  auto [remove, deleted] =
      tree.AddCommand(*context, "delete", "Forget a context or a group",
                      R"(Examples:
  nfmeter context delete gw1)",
                      DeleteContext);
  tree.MarkLocal(remove);
  AddArgument(tree, *remove, "NAME", *deleted, "a context or a group", known);

  tree.AddCommand(*context, "test", "Ask the servers of --context who they are",
                  R"(Examples:
  nfmeter context test
  nfmeter context test --context gw1,gw2)",
                  Test);
  tree.Suggest(tree.root().get_option("--context"), known);
}

}  // namespace nfmeter::cli
