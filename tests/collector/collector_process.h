// SPDX-License-Identifier: GPL-3.0-or-later
// The real nfmeter-collector beside the test.
#ifndef NFMETER_TESTS_COLLECTOR_COLLECTOR_PROCESS_H_
#define NFMETER_TESTS_COLLECTOR_COLLECTOR_PROCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Runs it to its end.
RunResult RunCollector(std::vector<std::string> arguments);

class CollectorProcess {
 public:
  // `environment` as {"A=b"}; `wrapper` is what runs it, {"nsenter", "..."}.
  explicit CollectorProcess(std::vector<std::string> arguments,
                            std::vector<std::string> environment = {},
                            std::vector<std::string> wrapper = {});

  void Signal(int signal) { process_->Signal(signal); }
  // kill -9.
  void Kill();
  // SIGTERM, and its exit code.
  int Stop();
  bool IsRunning() const;
  pid_t pid() const { return process_->pid(); }
  std::string Log() const;
  // The page of metrics, of one that has `--metrics 127.0.0.1:0`.
  std::string Metrics() const;

 private:
  TemporaryDirectory dir_;
  std::unique_ptr<Background> process_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_COLLECTOR_PROCESS_H_
