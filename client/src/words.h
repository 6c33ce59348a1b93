// SPDX-License-Identifier: Apache-2.0
// Words in which the command and the collector say the same things.
#ifndef NFMETER_CLIENT_SRC_WORDS_H_
#define NFMETER_CLIENT_SRC_WORDS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter {

// "1 counter", "3 counters".
std::string CountOf(uint64_t count, absl::string_view what);

// "REBOOT".
std::string GapCauseName(v1::UsageGapCause cause);

// "live", "absent", "deleted".
std::string CounterStateName(v1::UsageCounterState state);

}  // namespace nfmeter

#endif  // NFMETER_CLIENT_SRC_WORDS_H_
