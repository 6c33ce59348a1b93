// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/daemon.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sstream>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "tests/support/read_file.h"

namespace nfmeter::bench {
namespace {

constexpr int kStartSeconds = 10;

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(
    const std::vector<std::string>& more_flags) {
  std::unique_ptr<Daemon> daemon(new Daemon);
  const std::string log = daemon->directory_ / "log";
  std::vector<std::string>& argv = daemon->argv_;
  argv = {NFMETERD_PATH, "--listen", daemon->address()};
  if (!absl::c_linear_search(more_flags, "--state-dir")) {
    argv.insert(argv.end(), {"--state-dir", daemon->directory_ / "state"});
  }
  argv.insert(argv.end(), more_flags.begin(), more_flags.end());
  daemon->process_ = std::make_unique<testing::Background>(argv, log);
  if (!daemon->Connect()->WaitForConnected(
          std::chrono::system_clock::now() +
          std::chrono::seconds(kStartSeconds))) {
    return absl::UnavailableError(absl::StrCat(
        "nfmeterd does not serve; its log: ", testing::ReadFile(log)));
  }
  return daemon;
}

absl::Status Daemon::Restart() {
  const absl::Time start = absl::Now();
  process_->Signal(SIGTERM);
  if (process_->Wait(absl::Seconds(kStartSeconds)) < 0) {
    return absl::InternalError("nfmeterd does not end");
  }
  stop_time_ = absl::Now() - start;
  process_ = std::make_unique<testing::Background>(argv_, directory_ / "log");
  return absl::OkStatus();
}

std::shared_ptr<grpc::Channel> Daemon::Connect() const {
  return ConnectTo(address());
}

std::shared_ptr<grpc::Channel> ConnectTo(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // Without this, channels to one address share a connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

absl::Status FromGrpc(const grpc::Status& status, const std::string& what) {
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(what, ": ", status.error_message()));
}

absl::Duration CpuTime(pid_t pid) {
  clockid_t clock;
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) == 0) clock_gettime(clock, &used);
  return absl::DurationFromTimespec(used);
}

absl::Duration CpuOf(int whose) {
  rusage usage = {};
  getrusage(whose, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) +
         absl::DurationFromTimeval(usage.ru_stime);
}

size_t ResidentBytes(pid_t pid) {
  std::istringstream statm(
      testing::ReadFile(absl::StrCat("/proc/", pid, "/statm")));
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

}  // namespace nfmeter::bench
