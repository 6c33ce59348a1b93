// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/row.h"

#include <algorithm>

namespace nfmeter::bench {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle]
                                : (values[middle - 1] + values[middle]) / 2;
}

Measurement Paired(const std::vector<double>& ours,
                   const std::vector<double>& theirs, std::string unit) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); ++i) {
    ratios.push_back(ours[i] / theirs[i]);
  }
  return {Median(ours), Median(theirs), Median(ratios), std::move(unit)};
}

}  // namespace nfmeter::bench
