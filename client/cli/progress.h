// SPDX-License-Identifier: Apache-2.0
// "Creating 20,000 counters: 10,000 done, 3 s" while it takes long.
#ifndef NFMETER_CLI_PROGRESS_H_
#define NFMETER_CLI_PROGRESS_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "cli/console.h"
#include "client/src/cancellation.h"
#include "nfmeter/options.h"

namespace nfmeter::cli {

// A line on standard error that appears after a second, is renewed, and is
// gone with this object. Only on a terminal; otherwise it does nothing.
class Progress {
 public:
  // "Creating 3 counters".
  Progress(Console& console, std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // To be given to batch calls: of an object that the call's own expression
  // makes, so that the line is gone when the call is over.
  BatchProgress Callback();
  // What is under way, in place of how much is done: "rules, 3 of 7".
  // Thread-safe.
  void Say(std::string what);

 private:
  void Run();

  Console& console_;
  const std::string what_;
  client_internal::Cancellation finished_;
  std::atomic<size_t> done_ = 0;
  absl::Mutex mutex_;
  std::string said_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_PROGRESS_H_
