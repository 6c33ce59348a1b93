// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/collector_process.h"

#include <signal.h>
#include <sys/wait.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {

RunResult RunCollector(std::vector<std::string> arguments) {
  std::vector<std::string> argv;
  argv.emplace_back(NFMETER_COLLECTOR_PATH);
  for (std::string& each : arguments) argv.push_back(std::move(each));
  return Run(argv);
}

CollectorProcess::CollectorProcess(std::vector<std::string> arguments,
                                   std::vector<std::string> environment,
                                   std::vector<std::string> wrapper) {
  std::vector<std::string> argv = std::move(wrapper);
  argv.emplace_back("env");
  for (std::string& each : environment) argv.push_back(std::move(each));
  argv.emplace_back(NFMETER_COLLECTOR_PATH);
  for (std::string& each : arguments) argv.push_back(std::move(each));
  process_ = std::make_unique<Background>(argv, dir_ / "log");
}

void CollectorProcess::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait(absl::Seconds(10));
}

int CollectorProcess::Stop() {
  process_->Signal(SIGTERM);
  return process_->Wait(absl::Seconds(30));
}

bool CollectorProcess::IsRunning() const {
  siginfo_t info = {};
  return waitid(P_PID, process_->pid(), &info, WEXITED | WNOHANG | WNOWAIT) ==
             0 &&
         info.si_pid == 0;
}

std::string CollectorProcess::Log() const { return ReadFile(dir_ / "log"); }

std::string CollectorProcess::Metrics() const {
  constexpr char kUrl[] = "metrics=http://";
  std::string log;
  do {
    log = Log();
  } while (log.find(kUrl) == std::string::npos);
  const size_t begin = log.find(kUrl) + 8;
  const size_t end = log.find_first_of(" \n", begin);
  return Run({"curl", "-s", log.substr(begin, end - begin)}).out;
}

}  // namespace nfmeter::testing
