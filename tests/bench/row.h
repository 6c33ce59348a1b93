// SPDX-License-Identifier: GPL-3.0-or-later
// A row of the benchmark table: ours against a floor or a peer, in one run.
#ifndef NFMETER_TESTS_BENCH_ROW_H_
#define NFMETER_TESTS_BENCH_ROW_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nfmeter::bench {

// How much work a run does. Small runs keep the rows alive in CI; their numbers
// mean nothing.
struct Scale {
  bool small = false;

  int repetitions() const { return small ? 1 : 5; }
  size_t Of(size_t full, size_t reduced) const {
    return small ? reduced : full;
  }
};

// What one row measured; medians over the repetitions.
struct Measurement {
  double ours = 0;
  double theirs = 0;  // 0: the row has no peer, and `ratio` is `ours`
  double ratio = 0;   // median of the ratios of the pairs
  std::string unit;
};

struct Row {
  std::string name;
  std::string measured;   // what "ours" is
  std::string against;    // what "theirs" is; empty: nothing
  double target = 0;      // bound of the ratio, or of ours without a peer
  bool at_least = false;  // the bound is the least, not the most
  std::function<absl::StatusOr<Measurement>(const Scale&)> run;
};

// Medians of what was measured in pairs.
Measurement Paired(const std::vector<double>& ours,
                   const std::vector<double>& theirs, std::string unit);
double Median(std::vector<double> values);

// The rows of each file.
std::vector<Row> SnapshotRows();
std::vector<Row> GetRows();
std::vector<Row> FanoutRows();
std::vector<Row> MutationRows();
std::vector<Row> NftRows();
std::vector<Row> NftPacketRows();
std::vector<Row> FlowRows();
std::vector<Row> PlanRows();
std::vector<Row> CollectorRows();
std::vector<Row> LedgerRows();
std::vector<Row> StartRows();

// Prints the tables of docs/flows.md: the three ways to account, on the same
// traffic.
absl::Status CompareThreeWays(const Scale& scale);

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_ROW_H_
