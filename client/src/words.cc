// SPDX-License-Identifier: Apache-2.0
#include "client/src/words.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace nfmeter {

std::string CountOf(uint64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string GapCauseName(v1::UsageGapCause cause) {
  return std::string(
      absl::StripPrefix(v1::UsageGapCause_Name(cause), "USAGE_GAP_CAUSE_"));
}

std::string CounterStateName(v1::UsageCounterState state) {
  return absl::AsciiStrToLower(absl::StripPrefix(
      v1::UsageCounterState_Name(state), "USAGE_COUNTER_STATE_"));
}

}  // namespace nfmeter
