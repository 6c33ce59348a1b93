// SPDX-License-Identifier: Apache-2.0
// Small pictures of numbers, for cells of tables.
#ifndef NFMETER_CLI_GRAPH_H_
#define NFMETER_CLI_GRAPH_H_

#include <cstddef>
#include <string>

#include "absl/types/span.h"

namespace nfmeter::cli {

// A bar of `share` (0 to 1) of `width` characters, in eighths of one; without
// `unicode` in whole '#'.
std::string Bar(double share, size_t width, bool unicode);

// One character, filled so far from below (1 and more: all of it) in eighths;
// without `unicode` '#' or '.'. What is there is seen.
std::string PartOfBar(double filled, bool unicode);

// One character a value, the last `width` of them, as high as the value is
// beside the largest; without `unicode` of ".:-=+*#". Zero is a blank. Where
// there are fewer values, blanks stand before them.
std::string Sparkline(absl::Span<const float> values, size_t width,
                      bool unicode);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_GRAPH_H_
