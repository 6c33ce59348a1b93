// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nfacct/acct_tail.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernel/acct_names.h"

namespace nfmeter::kernel {
namespace {

constexpr absl::string_view kPrefix = ".nfmeterd.tail.";
constexpr size_t kDigits = 16;
static_assert(kPrefix.substr(0, kAcctOwnPrefix.size()) == kAcctOwnPrefix);
static_assert(kPrefix.size() + kDigits <= kNfacctNameMaxBytes);

}  // namespace

std::string NewAcctTailName() {
  std::random_device random;
  const uint64_t number = (uint64_t{random()} << 32) | random();
  return absl::StrCat(kPrefix, absl::Hex(number, absl::kZeroPad16));
}

bool IsAcctTailName(absl::string_view name) {
  if (name.size() != kPrefix.size() + kDigits) return false;
  if (!absl::StartsWith(name, kPrefix)) return false;
  const absl::string_view digits = name.substr(kPrefix.size());
  return std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

}  // namespace nfmeter::kernel
