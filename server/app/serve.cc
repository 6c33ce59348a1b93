// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/serve.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <initializer_list>
#include <system_error>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "app/capabilities.h"
#include "app/connection_guard.h"
#include "app/daemon.h"
#include "app/grpc_server.h"
#include "app/library_logs.h"
#include "app/sandbox.h"
#include "app/watchdog.h"
#include "base/clock.h"
#include "base/error.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

using telemetry::Log;
using telemetry::LogLevel;

// Unary calls that are under way at the end get this long.
constexpr absl::Duration kShutdownGrace = absl::Seconds(1);

// How often freed memory is looked for, and a watchdog fed.
constexpr absl::Duration kUpkeepInterval = absl::Seconds(1);

constexpr size_t kNoticeableBytes = 4 << 20;
constexpr int kAskedPerLook = 10;

// 0 when it can't be read: then nothing ever grows.
size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");  // see proc(5), in pages
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Gives freed memory back to the kernel. glibc keeps what a large batch used
// (40 MiB for 10,000 rules) in the arenas of the threads that worked on it; its
// own trimming looks only at their ends, and capping the arenas gave half of it
// back. Asking each second costs a server at rest one read of /proc/self/statm,
// and each tenth time a look at the arenas, which takes a millisecond. Not
// thread-safe.
class MemoryTrimmer {
 public:
  // Trims if the process has grown noticeably since the last time; each tenth
  // time also if it has freed as much.
  void TrimAfterGrowth() {
    const bool has_grown =
        ResidentBytes() >= resident_bytes_ + kNoticeableBytes;
    const bool looks = asked_++ % kAskedPerLook == 0;
    if (!has_grown && !(looks && HasFreedMuch())) return;
    malloc_trim(0);
    resident_bytes_ = ResidentBytes();
    free_bytes_ = mallinfo2().fordblks;
  }

 private:
  bool HasFreedMuch() {
    const size_t free_bytes = mallinfo2().fordblks;
    free_bytes_ = std::min(free_bytes_, free_bytes);
    return free_bytes >= free_bytes_ + kNoticeableBytes;
  }

  int asked_ = 0;
  // After the last time.
  size_t resident_bytes_ = 0;
  size_t free_bytes_ = 0;  // of those that malloc has
};

// Each does nothing when no service manager listens ($NOTIFY_SOCKET).

// The server serves; `status` is one line for systemctl status.
void NotifyReady(absl::string_view status) {
  sd_notify(0, absl::StrCat("READY=1\nSTATUS=", status).c_str());
}

void NotifyStopping(absl::string_view status) {
  sd_notify(0, absl::StrCat("STOPPING=1\nSTATUS=", status).c_str());
}

// How often the manager wants to hear of the server at least ($WATCHDOG_USEC);
// infinite: it does not.
absl::Duration WatchdogInterval() {
  uint64_t microseconds = 0;
  return sd_watchdog_enabled(0, &microseconds) > 0
             ? absl::Microseconds(microseconds)
             : absl::InfiniteDuration();
}

void FeedWatchdog() { sd_notify(0, "WATCHDOG=1"); }

// The signals that end the server, and SIGHUP, taken by waiting for them:
// blocked in this thread and in all that it makes.
class Signals {
 public:
  Signals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  int Wait() const {
    int signal = 0;
    while (sigwait(&signals_, &signal) != 0 || signal == SIGHUP) {
    }
    return signal;
  }

  // Calls `meanwhile` each `interval` or more often, and `hang_up` at each
  // SIGHUP, until one comes that ends.
  int WaitAnd(absl::Duration interval, absl::FunctionRef<void()> meanwhile,
              absl::FunctionRef<void()> hang_up) const {
    const timespec timeout = absl::ToTimespec(interval);
    while (true) {
      const int signal = sigtimedwait(&signals_, nullptr, &timeout);
      if (signal == SIGHUP) {
        hang_up();
      } else if (signal > 0) {
        return signal;
      }
      meanwhile();  // also after a SIGHUP: many may come at once
    }
  }

  // From now on the next one ends the process on the spot.
  void EndAtNext() const {
    try {
      std::thread([signals = *this] {
        const int signal = signals.Wait();
        Log(LogLevel::kWarning, "ended at once", {{"signal", signal}});
        _exit(128 + signal);
      }).detach();
    } catch (const std::system_error&) {
      // There are no more threads to be had. The signals' own action will do.
      sigset_t ending = signals_;
      sigdelset(&ending, SIGHUP);
      pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
    }
  }

 private:
  sigset_t signals_;
};

// Each stream over TCP and each connection is a descriptor.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void LogFailure(absl::string_view event, const absl::Status& status) {
  Log(LogLevel::kError, event,
      {{"reason", GetErrorDetails(status).reason},
       {"error", status.message()}});
}

void LogParts(const Config& config, const kernel::Capabilities& found) {
  const absl::Status lock =
      config.read_only ? absl::OkStatus() : kernel::ProbeXtablesLock();
  if (!lock.ok()) {
    Log(LogLevel::kWarning, "kernel part missing",
        {{"part", "xtables_lock"}, {"detail", lock.message()}});
  }
  if (!found.acct.ok()) {
    // It serves all the same, and counts once a probe finds what it needs.
    Log(LogLevel::kError, "nothing can be counted",
        {{"backend", DescribeBackend(found)},
         {"detail", found.acct.message()}});
  }
  for (const service::NodeCapability& each : NodeCapabilities(found)) {
    if (each.available || each.methods.empty()) continue;
    // Parts that lack nothing of their own.
    if (!found.acct.ok() && each.detail == found.acct.message()) continue;
    Log(LogLevel::kWarning, "kernel part missing",
        {{"part", each.name}, {"detail", each.detail}});
  }
}

std::string JoinAddresses(const Daemon& daemon) {
  return absl::StrJoin(
      daemon.addresses(), ",",
      [](std::string* out, const security::ListenAddress& address) {
        out->append(address.ToString());
      });
}

// kExitOk: it listens.
ExitCode Open(Daemon& daemon) {
  const struct {
    absl::Status (Daemon::*step)();
    const char* failed;
    ExitCode exit_code;
  } steps[] = {{&Daemon::OpenKernel, "no access to the kernel", kExitKernel},
               {&Daemon::OpenPolicy, "no policy", kExitConfig},
               {&Daemon::OpenState, "no place for state or audit", kExitState},
               {&Daemon::Listen, "not listening", kExitListen}};
  for (const auto& [step, failed, exit_code] : steps) {
    if (const absl::Status status = (daemon.*step)(); !status.ok()) {
      LogFailure(failed, status);
      return exit_code;
    }
  }
  return kExitOk;
}

void TellReady(const Config& config, const Daemon& daemon) {
  LogParts(config, daemon.capabilities());
  const std::string addresses = JoinAddresses(daemon);
  if (const std::string url = daemon.metrics_url(); !url.empty()) {
    Log(LogLevel::kInfo, "metrics", {{"url", url}});
  }
  if (const std::string url = daemon.web_url(); !url.empty()) {
    Log(LogLevel::kInfo, "page", {{"url", url}});
  }
  Log(LogLevel::kInfo, "ready",
      {{"listen", addresses}, {"version", NFMETER_VERSION}, {"pid", getpid()}});
  NotifyReady(absl::StrCat("Serving on ", addresses));
}

// Until a signal comes, which it returns.
int LookAfter(const Config& config, Daemon& daemon, const Signals& signals) {
  MemoryTrimmer memory;
  const absl::Duration look = config.reload_interval;
  absl::Duration next_look = SystemClock().BootTime() + look;
  const absl::Duration watched = WatchdogInterval();
  Watchdog watchdog(daemon.counter_lane(), FeedWatchdog);
  const auto keep_up = [&] {
    daemon.Upkeep();
    memory.TrimAfterGrowth();
    ConnectionGuard::Tick();
    daemon.LookAtKernel();
    if (SystemClock().BootTime() >= next_look) {
      next_look = SystemClock().BootTime() + look;
      daemon.LookAtFiles();
    }
    if (watched != absl::InfiniteDuration()) watchdog.Tick();
  };
  return signals.WaitAnd(std::min({kUpkeepInterval, watched / 4, look}),
                         keep_up, [&] { daemon.Reload(); });
}

}  // namespace

ExitCode Serve(const Config& config, const std::vector<std::string>& warnings) {
  const Signals signals;
  signal(SIGPIPE, SIG_IGN);
  telemetry::ConfigureLog(config.log_format, config.log_level);
  CaptureLibraryLogs();
  for (const std::string& warning : warnings) {
    Log(LogLevel::kWarning, "odd configuration", {{"detail", warning}});
  }
  RaiseDescriptorLimit();
  // Debian's Abseil looks for lock cycles at every lock. That is for tests.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  const absl::StatusOr<int> landlock_version = RestrictFiles(config);
  if (!landlock_version.ok()) {
    LogFailure("no sandbox", landlock_version.status());
    return kExitSandbox;
  }
  InitGrpc(config);
  ConnectionGuard::Begin(config);

  Daemon daemon(config);
  if (const ExitCode failed = Open(daemon); failed != kExitOk) return failed;
  if (const absl::Status status = FilterSystemCalls(config, *landlock_version);
      !status.ok()) {
    LogFailure("no sandbox", status);
    return kExitSandbox;
  }
  TellReady(config, daemon);

  const int signal = LookAfter(config, daemon, signals);
  Log(LogLevel::kInfo, "stopping", {{"signal", signal}});
  NotifyStopping("Ending calls and streams");
  signals.EndAtNext();
  daemon.Shutdown(kShutdownGrace);
  Log(LogLevel::kInfo, "stopped");
  return kExitOk;
}

}  // namespace nfmeter::app
