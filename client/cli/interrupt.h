// SPDX-License-Identifier: Apache-2.0
// Ctrl-C as an end, not as an accident.
#ifndef NFMETER_CLI_INTERRUPT_H_
#define NFMETER_CLI_INTERRUPT_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

#include "absl/status/status.h"

namespace nfmeter::cli {

// While it lives, the first SIGINT, SIGTERM or SIGHUP calls a function instead
// of ending the process; the second one ends it. One at a time in a process.
class Interrupt {
 public:
  // `on_signal` is called on a thread of this object, at most once.
  explicit Interrupt(std::function<void()> on_signal);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // A signal has come.
  bool raised() const { return raised_; }
  // How a command ends whose stream ended with `status`: well after a signal.
  absl::Status EndOf(absl::Status status) const {
    return raised_ ? absl::OkStatus() : status;
  }

 private:
  struct sigaction old_[3];
  int read_end_ = -1;
  std::atomic<bool> raised_ = false;
  std::thread thread_;
};

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_INTERRUPT_H_
