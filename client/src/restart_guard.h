// SPDX-License-Identifier: Apache-2.0
// Whether a change may be sent again.
#ifndef NFMETER_CLIENT_SRC_RESTART_GUARD_H_
#define NFMETER_CLIENT_SRC_RESTART_GUARD_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/src/connection.h"
#include "grpcpp/support/status.h"

namespace nfmeter::client_internal {

// Stands beside the attempts of one change. A server carries out a request_id
// once, but one that has restarted remembers none: a reset that the old process
// carried out would be carried out again and answer with zeros. So after an
// attempt that the server may have got, the next one is made only while the
// server has the epoch that it had before the first. Not thread-safe.
class RestartGuard {
 public:
  RestartGuard(Connection& connection, absl::Time deadline)
      : connection_(connection), deadline_(deadline) {}

  // Before each attempt; asks the server where that is needed. OK: make it.
  // UNAVAILABLE: the server can't be asked, wait and try again. Others are
  // final.
  absl::Status Before();

  // After an attempt that failed with UNAVAILABLE: `failure` as gRPC has it,
  // `explained` for people.
  void Failed(const absl::Status& failure, const absl::Status& explained);

  // What to return when no more attempts are made: `status`, or when the change
  // may have been carried out, an error that says so.
  absl::Status Final(const absl::Status& status) const;

 private:
  Connection& connection_;
  const absl::Time deadline_;
  uint64_t epoch_ = 0;     // before the first attempt in doubt; 0: not known
  absl::Status in_doubt_;  // how that attempt failed; OK: there is none
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_RESTART_GUARD_H_
