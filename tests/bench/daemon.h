// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd as benchmarks run it: the real program, on a socket in a folder of
// its own.
#ifndef NFMETER_TESTS_BENCH_DAEMON_H_
#define NFMETER_TESTS_BENCH_DAEMON_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"
#include "tests/support/subprocess.h"

namespace nfmeter::bench {

class Daemon {
 public:
  // Starts it and waits until it serves.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(
      const std::vector<std::string>& more_flags = {});

  // Ends the process, as SIGTERM does, and starts another on the same socket
  // and state. Does not wait until that serves.
  absl::Status Restart();
  // How long the last Restart() waited for the end of the old process.
  absl::Duration stop_time() const { return stop_time_; }

  std::string address() const { return "unix:" + directory_ / "nfmeter.sock"; }
  pid_t pid() const { return process_->pid(); }
  // A connection of its own.
  std::shared_ptr<grpc::Channel> Connect() const;

 private:
  Daemon() = default;

  testing::TemporaryDirectory directory_;
  std::vector<std::string> argv_;
  absl::Duration stop_time_;
  std::unique_ptr<testing::Background> process_;
};

// A connection of its own to `address`, with no bound on messages.
std::shared_ptr<grpc::Channel> ConnectTo(const std::string& address);

// What `what`, a call, failed of; OK when it did not.
absl::Status FromGrpc(const grpc::Status& status, const std::string& what);

// User and system time that a process has used.
absl::Duration CpuTime(pid_t pid);
// What this thread (RUSAGE_THREAD) or the programs that it ran and waited for
// (RUSAGE_CHILDREN) have used.
absl::Duration CpuOf(int whose);
// Its resident memory in bytes.
size_t ResidentBytes(pid_t pid);

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_DAEMON_H_
