// SPDX-License-Identifier: Apache-2.0
// Something to do when it is late.
#ifndef NFMETER_CLI_ALARM_H_
#define NFMETER_CLI_ALARM_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace nfmeter::cli {

// Calls a function, on a thread of its own, once a time has passed by a clock
// that nobody sets; not any more once it is destroyed.
class Alarm {
 public:
  Alarm(absl::Duration after, std::function<void()> ring);
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  bool rung() const { return rung_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool off_ = false;  // under mutex_
  std::atomic<bool> rung_ = false;
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_ALARM_H_
