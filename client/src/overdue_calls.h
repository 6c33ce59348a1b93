// SPDX-License-Identifier: Apache-2.0
// When calls end: deadlines as gRPC takes them, and the end of calls that it
// does not end in time.
#ifndef NFMETER_CLIENT_SRC_OVERDUE_CALLS_H_
#define NFMETER_CLIENT_SRC_OVERDUE_CALLS_H_

#include <grpc/support/time.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"

namespace nfmeter::client_internal {

// The end of a `wait` that begins now, by CLOCK_MONOTONIC. (A time point of
// system_clock, the usual form, is made relative to the wall clock when the
// call begins; a step in between would make the call longer or shorter.) A
// hundred years are as good as for ever.
inline gpr_timespec DeadlineAfter(absl::Duration wait) {
  const absl::Duration most = absl::Hours(100 * 365 * 24);
  const int64_t micros =
      absl::ToInt64Microseconds(std::clamp(wait, -most, most));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_micros(micros, GPR_TIMESPAN));
}

// gRPC 1.51 keeps time by waits that end at a time of day. After the wall clock
// was set back its deadlines pass unnoticed, by as much; so what is overdue is
// cancelled from here, by CLOCK_MONOTONIC. (Hence the standard library's mutex
// too, see Cancellation.) One thread for all connections of the process.
//
// Thread-safe.
class OverdueCalls {
 public:
  // The one of this process; it ends with the last who holds it.
  static std::shared_ptr<OverdueCalls> Shared();

  ~OverdueCalls();
  OverdueCalls(const OverdueCalls&) = delete;
  OverdueCalls& operator=(const OverdueCalls&) = delete;

  // One call, while it lives: `context` is cancelled when the call is not over
  // shortly after `wait`. It must live longer. An infinite wait is no bound.
  class Watch {
   public:
    Watch(OverdueCalls& calls, grpc::ClientContext& context,
          absl::Duration wait);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // How the call ended: DEADLINE_EXCEEDED if it was cancelled from here.
    grpc::Status Ended(const grpc::Status& status) const;

   private:
    friend class OverdueCalls;

    OverdueCalls& calls_;
    grpc::ClientContext& context_;
    const std::chrono::steady_clock::time_point end_;
    bool cancelled_ = false;  // guarded by calls_.mutex_
  };

 private:
  struct EndsFirst {
    bool operator()(const Watch* a, const Watch* b) const {
      return a->end_ != b->end_ ? a->end_ < b->end_ : a < b;
    }
  };

  OverdueCalls();
  void Loop();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Watch*, EndsFirst> watches_;  // not cancelled
  // When the thread looks next, if nobody wakes it.
  std::chrono::steady_clock::time_point wakes_ =
      std::chrono::steady_clock::time_point::max();
  bool stopping_ = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_OVERDUE_CALLS_H_
