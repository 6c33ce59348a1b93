// SPDX-License-Identifier: Apache-2.0
#include "cli/filter_flags.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/escapes.h"

namespace nfmeter::cli {
namespace {

// "tenant=acme" or "tenant!=acme".
void AddLabel(const std::string& text, v1::CounterFilter& filter) {
  std::pair<std::string, std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  const bool negated = absl::EndsWith(parts.first, "!");
  if (negated) parts.first.pop_back();
  if (!absl::StrContains(text, '=') || parts.first.empty()) {
    throw CLI::ValidationError(
        "--label", absl::StrCat("'", text, "' is not KEY=VALUE or KEY!=VALUE"));
  }
  auto& labels =
      negated ? *filter.mutable_not_labels() : *filter.mutable_labels();
  const auto& others = negated ? filter.labels() : filter.not_labels();
  const auto other = others.find(parts.first);
  if (other != others.end() && other->second == parts.second) {
    throw CLI::ValidationError(
        "--label", absl::StrCat("'", parts.first, "=", parts.second,
                                "' is both wanted and not, so no counter can "
                                "match"));
  }
  if (!labels.insert({parts.first, parts.second}).second) {
    throw CLI::ValidationError(
        "--label", absl::StrCat("'", parts.first, "' is given twice"));
  }
}

}  // namespace

void AddFilterFlags(CommandTree& tree, CLI::App& command,
                    v1::CounterFilter& filter) {
  tree.Suggest(command.add_option_function<std::string>(
                   "GLOB",
                   [&filter](const std::string& glob) {
                     filter.set_name_glob(NameBytes(glob));
                   },
                   "whole names: * any, ? one, [a-z] one of, [*] a star "
                   "itself; default: all"),
               NamesFrom({"counter", "list"}));
  Repeatable(command.add_option_function<std::vector<std::string>>(
                 "--label,-l",
                 [&filter](const std::vector<std::string>& pairs) {
                   for (const std::string& pair : pairs) AddLabel(pair, filter);
                 },
                 "only with this label, or with KEY!=VALUE without it; may be "
                 "repeated"),
             "KEY=VALUE");
  command.add_flag_callback(
      "--managed,-m", [&filter] { filter.set_managed_only(true); },
      "only those that were made through nfmeter");
}

}  // namespace nfmeter::cli
