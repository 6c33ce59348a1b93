#include "cli/progress.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace nfmeter::cli {

Progress::Progress(Console& console, std::string what)
    : console_(console), what_(std::move(what)) {
  if (console_.err_is_terminal) thread_ = std::thread([this] { Run(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    finished_ = true;
  }
  thread_.join();
}

BatchProgress Progress::Callback() {
  return [this](size_t done, size_t) {
    absl::MutexLock lock(&mutex_);
    done_ = done;
  };
}

void Progress::Run() {
  const absl::Time start = absl::Now();
  bool shown = false;
  absl::MutexLock lock(&mutex_);
  while (
      !mutex_.AwaitWithTimeout(absl::Condition(&finished_), absl::Seconds(1))) {
    const int64_t seconds = absl::ToInt64Seconds(absl::Now() - start);
    const std::string done = done_ == 0 ? "" : absl::StrCat(done_, " done, ");
    console_.err << "\r" << what_ << ": " << done << seconds << " s\x1b[K"
                 << std::flush;
    shown = true;
  }
  if (shown) console_.err << "\r\x1b[K" << std::flush;
}

}  // namespace nfmeter::cli
