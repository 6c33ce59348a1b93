// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/injection.h"

#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

namespace nfmeter::testing {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// 0: there is none.
pid_t ThreadOf(pid_t pid, const std::string& name) {
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid, "/task"), error)) {
    if (Contents(task.path() / "comm") == name + "\n") {
      return std::stoi(task.path().filename());
    }
  }
  return 0;
}

}  // namespace

Injection::Injection(pid_t pid, const std::string& thread,
                     const std::string& fault) {
  std::vector<std::string> argv = {"strace", "-o", dir_ / "calls"};
  if (thread.empty()) {
    argv.insert(argv.end(), {"-f", "-p", absl::StrCat(pid)});
  } else {
    const pid_t tid = ThreadOf(pid, thread);
    if (tid == 0) {
      status_ = absl::NotFoundError(thread);
      return;
    }
    argv.insert(argv.end(), {"-p", absl::StrCat(tid)});
  }
  const std::vector<std::string> parts =
      absl::StrSplit(fault, absl::MaxSplits(':', 1));
  // Strings are cut at once: what is sent is of no interest.
  argv.insert(argv.end(),
              {"-s", "0", "-e", "trace=" + parts[0], "-e", "inject=" + fault});
  strace_ = std::make_unique<Background>(argv, dir_ / "log");
  status_ = AwaitAttached();
}

Injection::~Injection() {
  if (strace_ == nullptr) return;
  // So that it lets go of the process in good order.
  strace_->Signal(SIGTERM);
  strace_->Wait(absl::Seconds(30));
}

absl::Status Injection::AwaitAttached() const {
  // It says so after the last thread.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  std::string log;
  while (absl::Now() < deadline) {
    log = Contents(dir_ / "log");
    if (absl::StrContains(log, " attached")) return absl::OkStatus();
    std::this_thread::yield();
  }
  return absl::InternalError("strace does not attach: " + log);
}

size_t Injection::Hits() const {
  size_t hits = 0;
  const std::string calls = Contents(dir_ / "calls");
  for (const absl::string_view line : absl::StrSplit(calls, '\n')) {
    hits += absl::StrContains(line, "(INJECTED)");
  }
  return hits;
}

SweepPoints::SweepPoints()
    : full_(getenv("NFMETER_SWEEP") == absl::string_view("full")),
      random_(std::random_device()()) {}

SweepPoints::~SweepPoints() {
  std::cout << "calls that met the fault: " << absl::StrJoin(points_, " ")
            << (full_ ? "" : " (NFMETER_SWEEP=full: each)") << std::endl;
}

size_t SweepPoints::Next() {
  const size_t last = points_.empty() ? 0 : points_.back();
  const size_t most = full_ || last < 6 ? 1 : last / 2;
  points_.push_back(last + 1 + random_() % most);
  return points_.back();
}

}  // namespace nfmeter::testing
