// SPDX-License-Identifier: Apache-2.0
// "Creating 20,000 counters: 10,000 done, 3 s" while it takes long.
#ifndef NFMETER_CLI_PROGRESS_H_
#define NFMETER_CLI_PROGRESS_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

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
  // What is under way, in place of how much is done: "rules, 3 of 7".
  // Thread-safe.
  void Say(std::string what);

 private:
  void Run();

  Console& console_;
  const std::string what_;
  // The standard library's, since its waits do not go by the wall clock.
  std::mutex mutex_;
  std::condition_variable changed_;
  bool finished_ = false;  // under mutex_
  std::string said_;       // likewise
  std::atomic<size_t> done_ = 0;
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_PROGRESS_H_
