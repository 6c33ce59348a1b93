// SPDX-License-Identifier: Apache-2.0
#include "proto/words/quantity_words.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace nfmeter {
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

// `digits` is `text` without the B of bytes.
// `what`: what the text should have been.
absl::StatusOr<uint64_t> Parse(absl::string_view text, absl::string_view digits,
                               absl::string_view what) {
  const uint64_t factor = TakeFactor(digits);
  uint64_t result = 0;
  if (Multiply(digits, factor, result)) return result;
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' is not ", what, ", up to 2^64-1"));
}

}  // namespace

absl::StatusOr<uint64_t> ParseCount(absl::string_view text) {
  return Parse(text, text, "a whole number such as 1500, 10k, 1.5M or 10Mi");
}

absl::StatusOr<uint64_t> ParseBytes(absl::string_view text) {
  absl::string_view digits = text;
  if (absl::EndsWithIgnoreCase(digits, "b")) digits.remove_suffix(1);
  return Parse(text, digits,
               "a number of bytes such as 1500, 10MB (10^7) or 10MiB (10 * "
               "2^20)");
}

}  // namespace nfmeter
