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

// Divides by `base` until the value is short; the number of divisions.
size_t Shorten(double base, size_t limit, double& value) {
  size_t power = 0;
  while (value >= base - 0.5 && power < limit) {
    value /= base;
    ++power;
  }
  return power;
}

constexpr std::array<absl::string_view, 7> kCountUnits = {"",  "k", "M", "G",
                                                          "T", "P", "E"};
constexpr std::array<absl::string_view, 7> kByteUnits = {
    "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

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
  if (count < 100'000) return absl::StrCat(count);
  double value = static_cast<double>(count);
  const size_t power = Shorten(1000, kCountUnits.size() - 1, value);
  return absl::StrCat(ThreeDigits(value), kCountUnits[power]);
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  const size_t power = Shorten(1024, kByteUnits.size() - 1, value);
  return absl::StrCat(ThreeDigits(value), " ", kByteUnits[power]);
}

std::string FormatRate(double per_second) {
  if (per_second == 0) return "0/s";
  const size_t power = Shorten(1000, kCountUnits.size() - 1, per_second);
  return absl::StrCat(ThreeDigits(per_second), kCountUnits[power], "/s");
}

std::string FormatBitRate(double bits_per_second) {
  if (bits_per_second == 0) return "0 bit/s";
  const size_t power = Shorten(1000, kCountUnits.size() - 1, bits_per_second);
  return absl::StrCat(ThreeDigits(bits_per_second), " ", kCountUnits[power],
                      "bit/s");
}

std::string FormatByteRate(double bytes_per_second) {
  if (bytes_per_second == 0) return "0 B/s";
  const size_t power = Shorten(1024, kByteUnits.size() - 1, bytes_per_second);
  return absl::StrCat(ThreeDigits(bytes_per_second), " ", kByteUnits[power],
                      "/s");
}

}  // namespace nfmeter::cli
