// SPDX-License-Identifier: GPL-3.0-or-later
// Waiting for what no event tells of: the state of another process.
#ifndef NFMETER_TESTS_SUPPORT_EVENTUALLY_H_
#define NFMETER_TESTS_SUPPORT_EVENTUALLY_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace nfmeter::testing {

// Asks again and again until `condition` holds, for `patience` at most; whether
// it does. It pauses between: a test that asks without a break takes a
// processor from what is to bring it about.
template <typename Condition>
bool Eventually(Condition condition,
                absl::Duration patience = absl::Seconds(30)) {
  const absl::Time end = absl::Now() + patience;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return true;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_EVENTUALLY_H_
