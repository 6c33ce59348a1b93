// SPDX-License-Identifier: Apache-2.0
#include "cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace nfmeter::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

// The only thing that a signal handler may reach.
std::atomic<int> write_end = -1;

void OnSignal(int) {
  const int saved = errno;
  const char byte = 's';
  [[maybe_unused]] const ssize_t written = write(write_end, &byte, 1);
  errno = saved;
}

}  // namespace

Interrupt::Interrupt(std::function<void()> on_signal) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return;  // signals then end the process
  read_end_ = ends[0];
  write_end = ends[1];
  thread_ = std::thread([this, on_signal = std::move(on_signal)] {
    char byte = 0;
    ssize_t got = 0;
    do {
      got = read(read_end_, &byte, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) return;  // our destructor closed the other end
    raised_ = true;
    on_signal();
  });
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &old_[i]);
    // What we were started to ignore stays so: nohup, a script's '&'.
    if (old_[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  if (read_end_ < 0) return;
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &old_[i], nullptr);
  }
  close(write_end.exchange(-1));
  thread_.join();
  close(read_end_);
}

}  // namespace nfmeter::cli
