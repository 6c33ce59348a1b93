// The threads that encode and send what streams carry.
#ifndef NFMETER_SERVICE_STREAM_THREADS_H_
#define NFMETER_SERVICE_STREAM_THREADS_H_

#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace nfmeter::service {

// Runs jobs on a few threads. gRPC does a write's transport work on the thread
// that starts it: it must be none that others wait for, such as the counter
// lane. Thread-safe. Every stream has at most a few jobs waiting, so their
// number is bounded by that of the streams.
class StreamThreads {
 public:
  explicit StreamThreads(int threads);
  // Carries out what is queued, then ends the threads.
  ~StreamThreads();

  void Post(absl::AnyInvocable<void()> job);

 private:
  void Loop();

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_STREAM_THREADS_H_
