// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace nfmeter::cli {

Progress::Progress(Console& console, std::string what)
    : console_(console), what_(std::move(what)) {
  if (console_.err_is_terminal) thread_ = std::thread([this] { Run(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  finished_.Notify();
  thread_.join();
}

BatchProgress Progress::Callback() {
  return [this](size_t done, size_t) { done_ = done; };
}

void Progress::Say(std::string what) {
  absl::MutexLock lock(&mutex_);
  said_ = std::move(what);
}

void Progress::Run() {
  bool shown = false;
  for (int seconds = 1; !finished_.WaitFor(absl::Seconds(1)); ++seconds) {
    absl::MutexLock lock(&mutex_);
    const size_t count = done_;
    const std::string done = !said_.empty() ? absl::StrCat(said_, ", ")
                             : count == 0   ? ""
                                            : absl::StrCat(count, " done, ");
    console_.err << "\r" << what_ << ": " << done << seconds << " s\x1b[K"
                 << std::flush;
    shown = true;
  }
  if (shown) console_.err << "\r\x1b[K" << std::flush;
}

}  // namespace nfmeter::cli
