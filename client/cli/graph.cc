// SPDX-License-Identifier: Apache-2.0
#include "cli/graph.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/string_view.h"

namespace nfmeter::cli {
namespace {

constexpr absl::string_view kAcross[] = {"",  "▏", "▎", "▍", "▌",
                                         "▋", "▊", "▉", "█"};
constexpr absl::string_view kUp[] = {" ", "▁", "▂", "▃", "▄",
                                     "▅", "▆", "▇", "█"};
constexpr absl::string_view kPlainUp = " .:-=+*#";

}  // namespace

std::string Bar(double share, size_t width, bool unicode) {
  share = std::clamp(share, 0.0, 1.0);
  const size_t steps = unicode ? 8 : 1;
  auto filled = static_cast<size_t>(
      std::lround(share * static_cast<double>(width * steps)));
  // What is there is seen.
  if (filled == 0 && share > 0) filled = 1;
  std::string bar;
  for (size_t i = 0; i < filled / steps; ++i) {
    bar.append(unicode ? kAcross[8].data() : "#");
  }
  if (unicode) bar.append(kAcross[filled % steps].data());
  return bar;
}

std::string PartOfBar(double filled, bool unicode) {
  if (!unicode) return filled >= 0.75 ? "#" : filled > 0 ? "." : " ";
  const auto eighths = std::max(std::lround(std::clamp(filled, 0.0, 1.0) * 8),
                                filled > 0 ? 1L : 0);
  return std::string(kUp[static_cast<size_t>(eighths)]);
}

std::string Sparkline(absl::Span<const float> values, size_t width,
                      bool unicode) {
  if (values.size() > width) values = values.subspan(values.size() - width);
  const float largest =
      values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  const size_t heights = unicode ? 8 : kPlainUp.size() - 1;
  std::string line(width - values.size(), ' ');
  for (const float value : values) {
    const size_t height =
        value <= 0
            ? 0
            : std::max<size_t>(1, std::lround(value / largest *
                                              static_cast<float>(heights)));
    if (unicode) {
      line.append(kUp[height].data());
    } else {
      line.push_back(kPlainUp[height]);
    }
  }
  return line;
}

}  // namespace nfmeter::cli
