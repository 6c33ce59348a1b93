// SPDX-License-Identifier: GPL-3.0-or-later
// Faults at system calls, by strace.
#ifndef NFMETER_TESTS_FAULT_INJECTION_H_
#define NFMETER_TESTS_FAULT_INJECTION_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// The threads of nfmeterd that make the kernel's system calls: see Lane.
inline constexpr char kCounterLane[] = "nfm-counters";
inline constexpr char kRuleLane[] = "nfm-rules";

// Makes system calls of a running process fail, or be its last, for as long as
// it lives. The process goes on when it ends.
class Injection {
 public:
  // `fault` is what strace(1) takes after -e inject=, such as
  // "recvmsg:error=EINTR:when=3" or "sendto:signal=KILL:when=2": a signal comes
  // before the call, which is not carried out any more when it is KILL. Calls
  // are counted from here, thread by thread. `thread` is the only one that
  // meets it; empty: each.
  Injection(pid_t pid, const std::string& thread, const std::string& fault);
  ~Injection();
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;

  // Whether it is in place.
  const absl::Status& status() const { return status_; }
  // Calls that it has met so far.
  size_t Hits() const;

 private:
  absl::Status AwaitAttached() const;

  TemporaryDirectory dir_;
  std::unique_ptr<Background> strace_;
  absl::Status status_;
};

// Which call of a sweep is the next to meet a fault: each of the first six, and
// then one of about the next half as many, by chance; with NFMETER_SWEEP=full
// each. What was chosen is printed.
class SweepPoints {
 public:
  SweepPoints();
  ~SweepPoints();
  SweepPoints(const SweepPoints&) = delete;
  SweepPoints& operator=(const SweepPoints&) = delete;

  size_t Next();

 private:
  const bool full_;
  std::minstd_rand random_;
  std::vector<size_t> points_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_INJECTION_H_
