// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xtables_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/clock.h"
#include "base/error.h"
#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

// flock(2) has no timeout, but a signal ends it. This one, sent by a timer to
// the waiting thread alone, does nothing else. iptables does it with SIGALRM,
// which a process with other threads should leave alone.
int WakeSignal() { return SIGRTMAX - 3; }

void InstallWakeSignal() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};  // without SA_RESTART: flock() must end
    sigaction(WakeSignal(), &action, nullptr);
    return true;
  }();
  (void)installed;
}

// A burst of events is over after a pause this long; at the latest it is
// reported after so many times that long.
constexpr int kQuietMilliseconds = 100;
constexpr int kMostTimes = 10;

}  // namespace

// While it lives, sends the wake signal to the thread that made it: once after
// `left`, and then every few milliseconds, as the first one may come just
// before flock() is entered.
class WakeTimer {
 public:
  explicit WakeTimer(absl::Duration left) {
    InstallWakeSignal();
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, WakeSignal());
    pthread_sigmask(SIG_UNBLOCK, &wake, &mask_before_);
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = WakeSignal();
    event._sigev_un._tid = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) return;
    armed_ = true;
    FireIn(std::max(left, absl::Nanoseconds(1)));  // 0 would disarm it
  }

  ~WakeTimer() {
    if (armed_) timer_delete(timer_);
    pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }

  WakeTimer(const WakeTimer&) = delete;
  WakeTimer& operator=(const WakeTimer&) = delete;

  bool armed() const { return armed_; }

  // Brings the deadline forward. Thread-safe.
  void FireNow() { FireIn(absl::Nanoseconds(1)); }

 private:
  void FireIn(absl::Duration left) {
    const itimerspec spec = {
        .it_interval = absl::ToTimespec(absl::Milliseconds(2)),
        .it_value = absl::ToTimespec(left)};
    timer_settime(timer_, 0, &spec, nullptr);
  }

  timer_t timer_ = {};
  bool armed_ = false;
  sigset_t mask_before_ = {};
};

void XtablesLockInterrupter::Interrupt() {
  absl::MutexLock lock(&mutex_);
  interrupted_ = true;
  if (waiting_ != nullptr) waiting_->FireNow();
}

bool XtablesLockInterrupter::interrupted() const {
  absl::MutexLock lock(&mutex_);
  return interrupted_;
}

void XtablesLockInterrupter::SetWaiting(WakeTimer* timer) {
  absl::MutexLock lock(&mutex_);
  waiting_ = timer;
}

// 0, or an errno: ETIMEDOUT at the deadline.
int XtablesLock::LockUntil(int fd, absl::Duration deadline,
                           XtablesLockInterrupter& interrupter) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return 0;
  if (errno != EWOULDBLOCK) return errno;
  const absl::Duration left = deadline - SystemClock().BootTime();
  if (left <= absl::ZeroDuration()) return ETIMEDOUT;
  WakeTimer timer(left);
  if (!timer.armed()) return EAGAIN;
  interrupter.SetWaiting(&timer);
  const absl::Cleanup forget = [&] { interrupter.SetWaiting(nullptr); };
  while (!interrupter.interrupted()) {
    if (flock(fd, LOCK_EX) == 0) return 0;
    if (errno != EINTR) return errno;
    if (SystemClock().BootTime() >= deadline) break;
  }
  return ETIMEDOUT;
}

namespace {

DurationHistogram& LockWaits() {
  static DurationHistogram waits;
  return waits;
}

// "iptables-legacy (process 123)", or empty: /proc/locks shows the processes of
// this PID namespace only, and on some file systems other device numbers.
std::string Holder(int fd) {
  struct stat file;
  if (fstat(fd, &file) != 0) return "";
  const std::string place = absl::StrFormat("%02x:%02x:%d", major(file.st_dev),
                                            minor(file.st_dev), file.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // "1: FLOCK  ADVISORY  WRITE 704 00:2f:3 0 EOF"; waiters have "->".
    const std::vector<std::string> words =
        absl::StrSplit(line, ' ', absl::SkipEmpty());
    int pid = 0;
    if (words.size() < 6 || words[1] != "FLOCK" || words[5] != place ||
        !absl::SimpleAtoi(words[4], &pid) || pid <= 0) {
      continue;
    }
    std::ifstream comm(absl::StrCat("/proc/", pid, "/comm"));
    std::string name;
    std::getline(comm, name);
    return name.empty()
               ? absl::StrCat("process ", pid)
               : absl::StrCat(absl::CHexEscape(name), " (process ", pid, ")");
  }
  return "";
}

absl::Status HeldByOthers(int fd, const std::string& path,
                          absl::Duration waited) {
  const std::string holder = Holder(fd);
  return MakeError(
      absl::StatusCode::kUnavailable,
      absl::StrCat(
          "the xtables lock ", absl::CHexEscape(path), " was held by ",
          holder.empty()
              ? "another program (iptables, or an agent that uses it)"
              : holder,
          " for all of the ",
          absl::FormatDuration(absl::Trunc(waited, absl::Milliseconds(1))),
          " that we waited; nothing was changed, try again"),
      {.reason = "XTABLES_LOCK_HELD",
       .metadata = {{"path", absl::CHexEscape(path)}, {"holder", holder}}});
}

}  // namespace

const DurationHistogram& XtablesLockWaits() { return LockWaits(); }

std::string XtablesLockPath() {
  const char* path = getenv("XTABLES_LOCKFILE");
  return path != nullptr && *path != '\0' ? path : "/run/xtables.lock";
}

namespace {

UniqueFd OpenLockFile(const std::string& path) {
  return UniqueFd(
      open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace

absl::Status ProbeXtablesLock() {
  const std::string path = XtablesLockPath();
  if (!OpenLockFile(path).valid()) {
    return ErrnoStatus(Operation::kXtablesLock, errno, path);
  }
  return absl::OkStatus();
}

absl::StatusOr<XtablesLock> XtablesLock::Acquire(
    absl::Duration deadline, XtablesLockInterrupter* interrupter) {
  const absl::Duration start = SystemClock().BootTime();
  const std::string path = XtablesLockPath();
  UniqueFd file = OpenLockFile(path);
  if (!file.valid()) {
    return ErrnoStatus(Operation::kXtablesLock, errno, path);
  }
  const int fd = file.get();
  XtablesLock lock(std::move(file));
  XtablesLockInterrupter nobody;
  const int err =
      LockUntil(fd, deadline, interrupter == nullptr ? nobody : *interrupter);
  const absl::Duration waited = SystemClock().BootTime() - start;
  LockWaits().Add(absl::ToChronoNanoseconds(waited));
  if (err == ETIMEDOUT) return HeldByOthers(fd, path, waited);
  if (err != 0) return ErrnoStatus(Operation::kXtablesLock, err, path);
  return lock;
}

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
