// SPDX-License-Identifier: Apache-2.0
// Transactions that the database rolls back so that others can go on.
#ifndef NFMETER_COLLECTOR_POSTGRES_RETRY_H_
#define NFMETER_COLLECTOR_POSTGRES_RETRY_H_

#include <string>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "collector/postgres.h"

namespace nfmeter::collector::postgres {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// serialization_failure and deadlock_detected. One plain PostgreSQL has few; in
// a distributed one, or with SERIALIZABLE as its default, they are everyday.
inline bool IsRolledBackForOthers(const absl::Status& status) {
  const std::string state = SqlState(status);
  return state == "40001" || state == "40P01";
}

// What `attempt` returns, which makes one transaction; again where that was
// rolled back for others, up to eight times in all. It waits longer and longer
// between two, by chance, for a second at most.
template <typename Attempt>
auto Retried(const Attempt& attempt) {
  constexpr int kAttempts = 8;
  absl::BitGen chance;
  absl::Duration longest = absl::Milliseconds(8);
  for (int i = 1;; ++i, longest *= 2) {
    auto result = attempt();
    if (i == kAttempts || !IsRolledBackForOthers(StatusOf(result))) {
      return result;
    }
    absl::SleepFor(longest * absl::Uniform(chance, 0.0, 1.0));
  }
}

}  // namespace nfmeter::collector::postgres

#endif  // NFMETER_COLLECTOR_POSTGRES_RETRY_H_
