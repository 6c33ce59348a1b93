// SPDX-License-Identifier: GPL-3.0-or-later
// Answers of mutations, kept so that a retry does nothing twice.
#ifndef NFMETER_SERVICE_GATE_REQUEST_CACHE_H_
#define NFMETER_SERVICE_GATE_REQUEST_CACHE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/ledger/answer_store.h"
#include "base/clock.h"
#include "google/protobuf/message.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

// Keeps the answer of each mutation that had a request_id for a while, in
// memory and, where there is a store, on the disk before it is given. Answers
// go when their time is over, or before it, oldest first, when there are too
// many. Failures changed nothing and are not kept: a retry tries again.
// Thread-safe.
class RequestCache {
 public:
  struct Options {
    absl::Duration lifetime = absl::Minutes(10);
    size_t max_entries = 10'000;
    // Of serialised answers. The newest is kept even when it is larger.
    size_t max_bytes = 64 << 20;
  };

  explicit RequestCache(Clock& clock);
  RequestCache(Clock& clock, const Options& options);

  RequestCache(const RequestCache&) = delete;
  RequestCache& operator=(const RequestCache&) = delete;

  // From now on answers are kept in `store`, too, which must outlive this; what
  // it has from before is taken in. Before the first Run().
  absl::Status KeepIn(accounting::AnswerStore& store);
  // Whether a restart would know the answers that are given now.
  bool durable() const { return durable_; }

  // Fills `response` with the answer kept for `method` and `request_id`, or
  // calls `mutate`, which fills it, and keeps that. While another thread is in
  // `mutate` for the same id, waits for it until `deadline`. An empty
  // request_id just calls `mutate`.
  //
  // INVALID_ARGUMENT with reason REQUEST_ID_REUSED: the id came with another
  // request before. DEADLINE_EXCEEDED: see above. Else as `mutate`.
  absl::Status Run(absl::string_view method, absl::string_view request_id,
                   const google::protobuf::Message& request,
                   google::protobuf::Message* response, absl::Time deadline,
                   absl::FunctionRef<absl::Status()> mutate);

  struct Stats {
    size_t entries = 0;       // kept answers
    size_t bytes = 0;         // of them
    uint64_t hits = 0;        // answers given again, since the start
    uint64_t not_stored = 0;  // that the disk did not take, likewise
  };
  Stats stats() const;
  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  using Key = std::pair<std::string, std::string>;  // method, request_id
  struct Entry {
    Key key;
    uint64_t fingerprint = 0;  // of the request
    bool done = false;
    std::string answer;
    absl::Duration kept_since;
  };
  using Entries = std::list<Entry>;

  // On the disk.
  void Store(const Key& key, uint64_t fingerprint, const std::string& answer)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Keep(Entries::iterator entry, std::string answer, absl::Duration since)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  const Options options_;
  mutable absl::Mutex mutex_;
  // Finished ones, oldest first, and those under way.
  Entries finished_ ABSL_GUARDED_BY(mutex_);
  Entries running_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t hits_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t not_stored_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Key> forgotten_ ABSL_GUARDED_BY(mutex_);  // not yet in the store
  accounting::AnswerStore* store_ = nullptr;
  std::atomic<bool> durable_ = false;
  absl::flat_hash_map<Key, Entries::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_REQUEST_CACHE_H_
