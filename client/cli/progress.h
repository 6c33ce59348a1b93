// "Creating 20,000 counters: 10,000 done, 3 s" while it takes long.
#ifndef NFMETER_CLI_PROGRESS_H_
#define NFMETER_CLI_PROGRESS_H_

#include <cstddef>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "cli/console.h"
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

  // To be given to batch calls. Must not be used after this object.
  BatchProgress Callback();

 private:
  void Run();

  Console& console_;
  const std::string what_;
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  size_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_PROGRESS_H_
