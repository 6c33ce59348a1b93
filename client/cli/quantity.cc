// SPDX-License-Identifier: Apache-2.0
#include "cli/quantity.h"

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nfmeter::cli {
namespace {

// Three digits that matter: 1.23, 12.3, 123.
std::string ThreeDigits(double value) {
  if (value < 9.995) return absl::StrFormat("%.2f", value);
  if (value < 99.95) return absl::StrFormat("%.1f", value);
  return absl::StrFormat("%.0f", value);
}

// Each is `base` of the one before.
struct Units {
  double base;
  absl::string_view gap;
  std::array<absl::string_view, 7> names;
};
constexpr Units kCounts = {1000, "", {"", "k", "M", "G", "T", "P", "E"}};
constexpr Units kBits = {1000, " ", {"", "k", "M", "G", "T", "P", "E"}};
constexpr Units kBytes = {
    1024, " ", {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}};

// In the unit that makes it short.
std::string Shorten(double value, const Units& units) {
  size_t power = 0;
  for (; value >= units.base - 0.5 && power + 1 < units.names.size(); ++power) {
    value /= units.base;
  }
  return absl::StrCat(ThreeDigits(value), units.gap, units.names[power]);
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration duration;
  double seconds = 0;
  const bool plain =
      text.find_first_not_of("0123456789.") == absl::string_view::npos;
  if (plain && absl::SimpleAtod(text, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    duration = absl::ZeroDuration();
  }
  if (duration <= absl::ZeroDuration() ||
      duration == absl::InfiniteDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", text, "' is not a time above 0 such as 1s, 250ms or 1m30s"));
  }
  return duration;
}

std::string FormatCount(uint64_t count) {
  return count < 100'000 ? absl::StrCat(count)
                         : Shorten(static_cast<double>(count), kCounts);
}

std::string FormatBytes(uint64_t bytes) {
  return bytes < 1024 ? absl::StrCat(bytes, " B")
                      : Shorten(static_cast<double>(bytes), kBytes);
}

std::string FormatRate(double per_second) {
  return per_second == 0 ? "0/s"
                         : absl::StrCat(Shorten(per_second, kCounts), "/s");
}

std::string FormatBitRate(double bits_per_second) {
  return bits_per_second == 0
             ? "0 bit/s"
             : absl::StrCat(Shorten(bits_per_second, kBits), "bit/s");
}

std::string FormatByteRate(double bytes_per_second) {
  return bytes_per_second == 0
             ? "0 B/s"
             : absl::StrCat(Shorten(bytes_per_second, kBytes), "/s");
}

}  // namespace nfmeter::cli
