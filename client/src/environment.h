// SPDX-License-Identifier: Apache-2.0
// Time and chance, injected so that tests decide about both.
#ifndef NFMETER_CLIENT_SRC_ENVIRONMENT_H_
#define NFMETER_CLIENT_SRC_ENVIRONMENT_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "client/src/cancellation.h"

namespace nfmeter::client_internal {

// Thread-safe.
class Environment {
 public:
  virtual ~Environment() = default;

  // What deadlines and backoff are computed from: a clock that nobody sets. Its
  // origin means nothing.
  virtual absl::Time Now() = 0;

  // Waits; shorter when `cancelled` (may be null) is notified.
  virtual void Sleep(absl::Duration duration, Cancellation* cancelled) = 0;

  // Evenly in [0, 1).
  virtual double Chance() = 0;

  // Unique among all clients of a server: a UUID.
  virtual std::string NewRequestId() = 0;
};

// The real one.
std::shared_ptr<Environment> SystemEnvironment();

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_ENVIRONMENT_H_
