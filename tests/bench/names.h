// SPDX-License-Identifier: GPL-3.0-or-later
// Names of the counters that benchmarks make.
#ifndef NFMETER_TESTS_BENCH_NAMES_H_
#define NFMETER_TESTS_BENCH_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/str_format.h"

namespace nfmeter::bench {

// As a fleet would name them: "tenant-00042/http".
inline std::vector<std::string> Names(size_t count) {
  std::vector<std::string> names;
  names.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    names.push_back(absl::StrFormat("tenant-%05d/http", i));
  }
  return names;
}

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_NAMES_H_
