// SPDX-License-Identifier: Apache-2.0
#include "cli/quantity.h"

#include <array>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nfmeter::cli {
namespace {

constexpr absl::string_view kPrefixes = "kmgtpe";

// Cuts "k", "Mi", ... off the end; the factor that it stands for.
uint64_t TakeFactor(absl::string_view& text) {
  absl::string_view rest = text;
  uint64_t base = 1000;
  if (absl::EndsWithIgnoreCase(rest, "i")) {
    base = 1024;
    rest.remove_suffix(1);
  }
  if (rest.empty()) return 1;
  const size_t power = kPrefixes.find(absl::ascii_tolower(rest.back()));
  if (power == absl::string_view::npos) return 1;
  rest.remove_suffix(1);
  text = rest;
  uint64_t factor = 1;
  for (size_t i = 0; i <= power; ++i) factor *= base;
  return factor;
}

// `digits` times `factor`, exactly; digits may have a decimal point.
bool Multiply(absl::string_view digits, uint64_t factor, uint64_t& result) {
  unsigned __int128 value = 0;
  unsigned __int128 divisor = 1;
  bool point = false;
  bool any = false;
  for (char c : digits) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (!absl::ascii_isdigit(c)) return false;
    any = true;
    value = value * 10 + (c - '0');
    if (point) divisor *= 10;
    if (value > std::numeric_limits<uint64_t>::max()) return false;
    if (divisor > 1'000'000'000'000) return false;
  }
  value *= factor;
  if (!any || value % divisor != 0) return false;
  value /= divisor;
  if (value > std::numeric_limits<uint64_t>::max()) return false;
  result = static_cast<uint64_t>(value);
  return true;
}

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

absl::StatusOr<uint64_t> ParseCount(absl::string_view text) {
  absl::string_view digits = text;
  const uint64_t factor = TakeFactor(digits);
  uint64_t result = 0;
  if (!Multiply(digits, factor, result)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a whole number such as 1500, 10k, ",
                     "1.5M or 10Mi, up to 2^64-1"));
  }
  return result;
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  absl::string_view digits = text;
  if (absl::EndsWithIgnoreCase(digits, "b")) digits.remove_suffix(1);
  const uint64_t factor = TakeFactor(digits);
  uint64_t result = 0;
  if (!Multiply(digits, factor, result)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not a number of bytes such as 1500, ",
                     "10MB (10^7) or 10MiB (10 * 2^20), up to 2^64-1"));
  }
  return result;
}

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

std::string CountOf(uint64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
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
