// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/injection.h"

#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <iostream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
namespace {

// 0: there is none.
pid_t ThreadOf(pid_t pid, const std::string& name) {
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid, "/task"), error)) {
    if (ReadFile(task.path() / "comm") == name + "\n") {
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
  const bool attached = Eventually(
      [&] { return absl::StrContains(ReadFile(dir_ / "log"), " attached"); });
  return attached ? absl::OkStatus()
                  : absl::InternalError("strace does not attach: " +
                                        ReadFile(dir_ / "log"));
}

size_t Injection::Hits() const {
  size_t hits = 0;
  const std::string calls = ReadFile(dir_ / "calls");
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
