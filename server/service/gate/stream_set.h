// SPDX-License-Identifier: GPL-3.0-or-later
// Server streams of prebuilt messages.
#ifndef NFMETER_SERVICE_GATE_STREAM_SET_H_
#define NFMETER_SERVICE_GATE_STREAM_SET_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/byte_buffer.h"
#include "security/access/authorizer.h"
#include "service/gate/call.h"
#include "service/gate/memory_budget.h"
#include "service/gate/stream_call.h"
#include "service/gate/work_threads.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

// Bounds the streams of all services together (NodeLimits.max_streams), and
// those of each caller with a certificate. Thread-safe.
class StreamBudget {
 public:
  explicit StreamBudget(size_t max) : StreamBudget(max, max) {}
  StreamBudget(size_t max, size_t max_per_caller)
      : max_(max), max_per_caller_(max_per_caller) {}

  StreamBudget(const StreamBudget&) = delete;
  StreamBudget& operator=(const StreamBudget&) = delete;

  // Kinds of streams, which metrics tell apart: "snapshots". Before Take().
  void AddKind(absl::string_view kind);

  // OK when there is room for one more of that kind; give it back with
  // Return(). RESOURCE_EXHAUSTED, TOO_MANY_STREAMS.
  absl::Status Take(absl::string_view kind, const security::Caller& caller);
  void Return(absl::string_view kind, const security::Caller& caller);

  size_t max() const { return max_; }
  size_t open(absl::string_view kind) const;
  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  const size_t max_;
  const size_t max_per_caller_;
  mutable absl::Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, size_t, std::less<>> by_kind_ ABSL_GUARDED_BY(mutex_);
  // Of those with certificates who have any.
  absl::flat_hash_map<std::string, size_t> by_caller_ ABSL_GUARDED_BY(mutex_);
};

class StreamSet;

// The sending half of one call. Says when it can write; what, its subclass
// knows. States:
//
//   kIdle ---Wake()---> kPulling ---a message---> kWriting
//     ^                  |  ^                        |
//     +----no message----+  +-------OnWriteDone------+
//
// End() and OnCancel note how the stream ends. That takes effect when it is
// idle or becomes so: -> kFinished, with Finish() called exactly once.
//
// The call that carries it and whoever feeds it share ownership; what comes
// after the end is ignored. Thread-safe.
class MessageStream {
 public:
  virtual ~MessageStream() = default;

  // Something may be there to write. Writes on this thread.
  void Wake();

  // Wake() on one of `threads`, for those who must not wait for what Next()
  // does. Only after StreamSet::Start().
  void WakeOn(WorkThreads& threads);

  // Ends the stream after the message under way. The first one counts.
  void End(const absl::Status& status);

 protected:
  struct Message {
    grpc::ByteBuffer bytes;
    bool last = false;  // the stream ends with it, with OK
    // The address of bytes that other streams send, too; null: none.
    const void* shared = nullptr;
  };

  // The next message, or nullopt when there is none yet; the stream may be
  // ended in it. Never called by two threads at once, nor after the end.
  virtual std::optional<Message> Next() = 0;

  // The stream is over; lets go of what feeds it. Called once, perhaps while
  // the last Next() is still running.
  virtual void OnEnded() = 0;

  // Whether the client sends more than the request.
  virtual bool Listens() const { return false; }
  // What it sent, message by message, perhaps while Next() runs.
  virtual void OnMessage(const grpc::ByteBuffer&) {}
  // It has no more to say, but may still listen.
  virtual void OnLastMessage() {}

 private:
  friend class StreamSet;
  friend class StreamCall;
  enum class State { kIdle, kPulling, kWriting, kFinished };

  void Pull();
  bool FinishIfEnded();

  // What gRPC tells of the call.
  void OnWriteDone(bool ok);
  void OnCancel();
  void OnDone();

  std::atomic<bool> wake_posted_ = false;
  absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kIdle;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  MemoryBudget::Hold held_;  // for the message under way
  grpc::ByteBuffer bytes_;   // under way; belongs to whoever is in kPulling
  // Set by StreamSet::Start(). The call lives until OnDone().
  StreamCall* call_ = nullptr;
  StreamSet* set_ = nullptr;
  std::string kind_;
  std::shared_ptr<CallTrail> trail_;
  std::shared_ptr<const security::Caller> caller_;
  const security::Method* method_ = nullptr;
  std::weak_ptr<MessageStream> self_;
};

// The streams of all services: keeps to the budget, and ends them all. Must
// outlive its streams' calls. Thread-safe.
class StreamSet {
 public:
  // `budget` must outlive the set.
  explicit StreamSet(StreamBudget& budget) : budget_(budget) {}

  // See StreamBudget.
  void AddKind(absl::string_view kind) { budget_.AddKind(kind); }

  // Makes the stream, one of a kind that was added, that of `call`.
  // RESOURCE_EXHAUSTED, TOO_MANY_STREAMS; UNAVAILABLE, SERVER_SHUTDOWN and
  // POLICY_CHANGED.
  absl::Status Start(absl::string_view kind,
                     std::shared_ptr<MessageStream> stream, const Call& call);

  // After a change of policy: ends the streams whose caller may not have them
  // any more (PERMISSION_DENIED), or may now see other counters (UNAVAILABLE,
  // POLICY_CHANGED: asked for again, they show those).
  void AuthorizeAgain(const security::Authorizer& authorizer);

  // Ends all streams, and all to come.
  void Shutdown();

 private:
  friend class MessageStream;
  void Remove(const std::shared_ptr<MessageStream>& stream);
  std::vector<std::shared_ptr<MessageStream>> All() const;

  StreamBudget& budget_;
  mutable absl::Mutex mutex_;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<std::shared_ptr<MessageStream>> streams_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_STREAM_SET_H_
