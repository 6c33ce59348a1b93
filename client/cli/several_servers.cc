// SPDX-License-Identifier: Apache-2.0
#include "cli/several_servers.h"

#include <algorithm>
#include <memory>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "nfmeter/fleet.h"

namespace nfmeter::cli {
namespace {

// What the action says on one server.
struct Run {
  explicit Run(const NamedServer& server, const std::string& input)
      : in(input),
        console{.in = in, .out = out, .err = err},
        session(console, server.flags) {
    session.CollectTables(server.context, &tables);
  }

  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  std::vector<Table> tables;
  Console console;
  Session session;
  absl::Status status;
};

void PrintLines(absl::string_view head, const std::string& text,
                std::ostream& out) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    out << head << line << "\n";
  }
}

void PrintText(const std::string& context, Format format,
               const std::string& text, std::ostream& out) {
  if (text.empty()) return;
  switch (format) {
    case Format::kJson:
      out << "{\"context\": \"" << context << "\", \"answer\": " << text
          << "}\n";
      break;
    case Format::kYaml:
      out << "---\n# context: " << context << "\n" << text;
      break;
    case Format::kName:
      PrintLines(absl::StrCat(context, "/"), text, out);
      break;
    default:
      PrintLines(absl::StrCat(context, ": "), text, out);
  }
}

}  // namespace

int RunOnSeveral(const std::vector<NamedServer>& servers, const Action& action,
                 Console& console) {
  // Names on standard input are for all of them. A terminal is nobody's.
  std::string input;
  if (!console.in_is_terminal) {
    std::ostringstream all;
    all << console.in.rdbuf();
    input = all.str();
  }
  std::vector<std::unique_ptr<Run>> runs;
  for (const NamedServer& server : servers) {
    runs.push_back(std::make_unique<Run>(server, input));
  }
  // Commands that go on (watch) need all of them at once.
  Fleet::InParallel(runs.size(), static_cast<int>(runs.size()), [&](size_t i) {
    runs[i]->status = action(runs[i]->session);
  });

  int failed = kExitOk;  // the first that did
  int answer = kExitOk;  // the worst
  Table table;
  for (size_t i = 0; i < runs.size(); ++i) {
    for (Table& part : runs[i]->tables) {
      table.headings = part.headings;
      for (auto& row : part.rows) table.rows.push_back(std::move(row));
    }
  }
  const Session& first = runs.front()->session;
  if (!table.headings.empty()) {
    console.out << first.RenderNow(table, first.layout());
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string& context = servers[i].context;
    Run& run = *runs[i];
    PrintText(context, first.format(), run.out.str(), console.out);
    console.out.flush();
    PrintLines(absl::StrCat(context, ": "), run.err.str(), console.err);
    if (run.status.ok()) {
      answer = std::max(answer, run.session.exit_code());
      continue;
    }
    PrintLines(absl::StrCat(context, ": "),
               ErrorText(run.status, first.error_color()), console.err);
    if (failed == kExitOk) failed = run.session.ExitCodeOfError(run.status);
  }
  return failed == kExitOk ? answer : failed;
}

}  // namespace nfmeter::cli
