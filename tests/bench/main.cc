// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter_bench: every row of the benchmark table on this machine, each against
// its floor or peer in the same run.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tests/bench/bare_stream.h"
#include "tests/bench/row.h"
#include "tests/support/private_netns.h"

namespace nfmeter::bench {
namespace {

struct Result {
  Row row;
  absl::StatusOr<Measurement> measurement;

  bool Met() const {
    return measurement.ok() &&
           (row.at_least ? measurement->ratio >= row.target
                         : measurement->ratio <= row.target);
  }
};

std::vector<Row> AllRows() {
  std::vector<Row> all;
  for (auto rows : {SnapshotRows(), GetRows(), FanoutRows(), MutationRows(),
                    NftRows(), NftPacketRows(), FlowRows(), CollectorRows(),
                    PlanRows(), LedgerRows(), StartRows()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

std::string Target(const Row& row) {
  return absl::StrCat(row.at_least ? ">= " : "<= ", row.target);
}

void PrintHeader() {
  std::cout << absl::StreamFormat("%-24s %12s %12s  %-17s %7s  %-8s %s\n",
                                  "row", "ours", "theirs", "unit", "ratio",
                                  "target", "ok");
}

void Print(const Result& result) {
  if (!result.measurement.ok()) {
    std::cout << absl::StreamFormat("%-24s could not run: %s\n",
                                    result.row.name,
                                    result.measurement.status().ToString());
    return;
  }
  const Measurement& m = *result.measurement;
  std::cout << absl::StreamFormat(
                   "%-24s %12.2f %12s  %-17s %7.2f  %-8s %s\n", result.row.name,
                   m.ours,
                   m.theirs == 0 ? "-" : absl::StrFormat("%.2f", m.theirs),
                   m.unit, m.ratio, Target(result.row),
                   result.Met() ? "yes" : "NO")
            << std::flush;
}

std::string Json(const std::vector<Result>& results) {
  std::vector<std::string> rows;
  for (const Result& result : results) {
    if (!result.measurement.ok()) continue;
    const Measurement& m = *result.measurement;
    rows.push_back(absl::StrFormat(
        R"(  {"row": "%s", "measured": "%s", "against": "%s", "ours": %g, )"
        R"("theirs": %g, "unit": "%s", "ratio": %g, "target": "%s", )"
        R"("ok": %s})",
        result.row.name, result.row.measured, result.row.against, m.ours,
        m.theirs, m.unit, m.ratio, Target(result.row),
        result.Met() ? "true" : "false"));
  }
  return absl::StrCat("[\n", absl::StrJoin(rows, ",\n"), "\n]\n");
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Runs the rows of nfmeter's benchmark table, each against its floor or "
      "peer in the same run, in a private network namespace.");
  std::string json_path;
  Scale scale;
  bool list = false;
  bool three_ways = false;
  std::vector<std::string> bare_stream;
  std::vector<std::string> wanted;
  app.add_option("--json", json_path, "Write the table to this file, too");
  app.add_flag("--small", scale.small,
               "Only show that the rows run: little work, meaningless numbers");
  app.add_flag("--list", list, "Say what the rows measure");
  app.add_flag("--three-ways", three_ways,
               "Only compare the three ways to account: accounting objects, "
               "rule counters, connection tracking");
  app.add_option("--bare-stream-server", bare_stream)
      ->expected(3)
      ->group("");  // the peer of fanout-1000, started by that row
  app.add_option("row", wanted, "Rows to run (default: all)");
  CLI11_PARSE(app, argc, argv);

  if (!bare_stream.empty()) {
    return ServeBareStreams(bare_stream[0], std::stoul(bare_stream[1]),
                            absl::Milliseconds(std::stol(bare_stream[2])));
  }
  if (three_ways) {
    const absl::Status compared = CompareThreeWays(scale);
    if (!compared.ok()) std::cerr << "nfmeter_bench: " << compared << "\n";
    return compared.ok() ? 0 : 1;
  }
  const std::vector<Row> rows = AllRows();
  if (list) {
    for (const Row& row : rows) {
      std::cout << row.name << "\n  " << row.measured << "\n  against "
                << (row.against.empty() ? "nothing" : row.against)
                << "; target " << Target(row) << "\n";
    }
    return 0;
  }
  for (const std::string& name : wanted) {
    if (std::none_of(rows.begin(), rows.end(),
                     [&](const Row& row) { return row.name == name; })) {
      std::cerr << "nfmeter_bench: no row " << name << "; see --list\n";
      return 2;
    }
  }

  std::vector<Result> results;
  PrintHeader();
  for (const Row& row : rows) {
    if (!wanted.empty() &&
        std::find(wanted.begin(), wanted.end(), row.name) == wanted.end()) {
      continue;
    }
    // Each row starts with an empty kernel.
    if (auto status = testing::EnterPrivateNetns(); !status.ok()) {
      std::cerr << "nfmeter_bench: no private network namespace: " << status
                << "\n";
      return 1;
    }
    results.push_back({row, row.run(scale)});
    Print(results.back());
  }
  if (!json_path.empty()) std::ofstream(json_path) << Json(results);
  return std::all_of(results.begin(), results.end(),
                     [](const Result& r) { return r.measurement.ok(); })
             ? 0
             : 1;
}

}  // namespace
}  // namespace nfmeter::bench

int main(int argc, char** argv) { return nfmeter::bench::Main(argc, argv); }
