// SPDX-License-Identifier: GPL-3.0-or-later
// What every call to the server's own services passes on its way in and out.
#ifndef NFMETER_SERVICE_GATE_GATE_H_
#define NFMETER_SERVICE_GATE_GATE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "grpcpp/server_context.h"
#include "security/access/access.h"
#include "security/access/authorizer.h"
#include "service/gate/call.h"
#include "service/gate/call_rates.h"
#include "service/gate/memory_budget.h"
#include "service/gate/work_threads.h"
#include "telemetry/call_observer.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

// What calls end with when the server does.
absl::Status ShutdownStatus();

// Lets calls in, or not; finds a thread to serve them; and tells the observers
// how they ended. Calls pass it before their message is read; see UnaryCall and
// StreamCall, which carry them.
//
// Thread-safe. Does not own what it is given. Must be destroyed after the gRPC
// server.
class Gate {
 public:
  struct Options {
    bool read_only = false;
    // Unary calls that are being served, and that wait for that; of each kind
    // of work.
    size_t max_threads = 64;
    size_t max_waiting = 4096;
    // Of each caller with a certificate; see CallRates.
    size_t max_calls_per_second = 0;
    // For callers; see MemoryBudget.
    size_t max_held_bytes = 128 << 20;
    // The observers want to know where each call comes from, not only of those
    // that change something or fail.
    bool trace_all = false;
  };

  Gate(const security::Authorizer& authorizer,
       std::vector<telemetry::CallObserver*> observers, const Options& options,
       Clock& clock = SystemClock());

  const security::Authorizer& authorizer() const { return authorizer_; }
  const Options& options() const { return options_; }
  absl::Span<telemetry::CallObserver* const> observers() const {
    return observers_;
  }

  MemoryBudget& memory() { return memory_; }

  // Whose call it is, and whether it is let in.
  struct Arrival {
    std::shared_ptr<const security::Standing> standing;
    absl::StatusOr<Call> call;
  };
  Arrival Arrive(const grpc::CallbackServerContext& context,
                 const security::Method& method);

  // Counts a call for as long as it has this.
  class Stay {
   public:
    explicit Stay(Gate& gate);
    ~Stay();
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

   private:
    Gate& gate_;
  };

  // From now on no call is let in: UNAVAILABLE, SERVER_SHUTDOWN. Returns when
  // those that have come are over, their answers handed to the kernel, or at
  // the deadline.
  void Close(absl::Time deadline);

  // Has a thread for this work run the job of the caller. RESOURCE_EXHAUSTED,
  // TOO_MANY_CALLS. Not for Work::kAtOnce, which needs none.
  absl::Status Post(security::Work work, absl::string_view caller,
                    absl::AnyInvocable<void()> job);

  // Waits until an answer of up to so many bytes may be made: it takes several
  // times as many meanwhile, whoever asks for it. Then EndAnswer().
  void BeginAnswer(size_t bytes);
  void EndAnswer(size_t bytes);

  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  // Of answers that are being made.
  static constexpr size_t kMaxAnswerBytesAtOnce = 24 << 20;

  // Kinds of work that have threads: all but the first, Work::kAtOnce.
  static constexpr size_t kThreaded = std::size(security::kAllWork) - 1;
  static size_t IndexOf(security::Work work) {
    return static_cast<size_t>(work) - 1;
  }

  absl::StatusOr<Call> Enter(const grpc::CallbackServerContext& context,
                             const security::Standing& standing,
                             const security::Method& method);
  absl::Status Busy() const;

  const security::Authorizer& authorizer_;
  const std::vector<telemetry::CallObserver*> observers_;
  const Options options_;
  CallRates rates_;
  MemoryBudget memory_;
  absl::Mutex stays_mutex_;
  size_t stays_ ABSL_GUARDED_BY(stays_mutex_) = 0;
  std::atomic<bool> closed_ = false;
  absl::Mutex answers_mutex_;
  size_t answer_bytes_ ABSL_GUARDED_BY(answers_mutex_) = 0;
  std::array<WorkThreads, kThreaded> threads_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_GATE_H_
