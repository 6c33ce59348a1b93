// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xtables_lock_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/memory/memory.h"
#include "kernel/linux/xtables/xtables_lock.h"

namespace nfmeter::kernel {
namespace {

// A burst of events is over after a pause this long; at the latest it is
// reported after so many times that long.
constexpr int kQuietMilliseconds = 100;
constexpr int kMostTimes = 10;

}  // namespace

std::unique_ptr<XtablesLockWatch> XtablesLockWatch::Open(
    std::function<void()> on_change) {
  // As iptables makes it.
  const UniqueFd lock(open(XtablesLockPath().c_str(),
                           O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  UniqueFd events(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!events.valid() || !stop.valid() ||
      inotify_add_watch(events.get(), XtablesLockPath().c_str(), IN_CLOSE) <
          0) {
    return nullptr;
  }
  return absl::WrapUnique(new XtablesLockWatch(
      std::move(events), std::move(stop), std::move(on_change)));
}

XtablesLockWatch::XtablesLockWatch(UniqueFd events, UniqueFd stop,
                                   std::function<void()> on_change)
    : events_(std::move(events)),
      stop_(std::move(stop)),
      on_change_(std::move(on_change)),
      thread_([this] { Loop(); }) {}

XtablesLockWatch::~XtablesLockWatch() {
  const uint64_t one = 1;
  // An eventfd takes it at once.
  const ssize_t written = write(stop_.get(), &one, sizeof(one));
  static_cast<void>(written);
  thread_.join();
}

bool XtablesLockWatch::Wait(int milliseconds) {
  std::array<pollfd, 2> waits = {pollfd{.fd = events_.get(), .events = POLLIN},
                                 pollfd{.fd = stop_.get(), .events = POLLIN}};
  poll(waits.data(), waits.size(), milliseconds);
  return waits[1].revents == 0;
}

bool XtablesLockWatch::Drain() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool any = false;
  while (read(events_.get(), buffer.data(), buffer.size()) > 0) any = true;
  return any;
}

void XtablesLockWatch::Loop() {
  pthread_setname_np(pthread_self(), "nfm-lock-watch");
  while (Wait(-1)) {
    if (!Drain()) continue;
    for (int i = 0; i < kMostTimes; ++i) {
      if (!Wait(kQuietMilliseconds)) return;
      if (!Drain()) break;
    }
    on_change_();
  }
}

}  // namespace nfmeter::kernel
