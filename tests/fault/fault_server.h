// SPDX-License-Identifier: GPL-3.0-or-later
// An nfmeterd that is made to suffer.
#ifndef NFMETER_TESTS_FAULT_FAULT_SERVER_H_
#define NFMETER_TESTS_FAULT_FAULT_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "nfmeter/client.h"
#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter::testing {

// Where the UDP packets go that are counted.
inline constexpr uint16_t kPort = 20'000;

// nfmeterd in the test's network namespace, again and again on the same socket
// and state.
class FaultServer {
 public:
  struct Options {
    std::vector<std::string> arguments;
    std::string state_dir;  // empty: one of its own
  };

  FaultServer() : FaultServer(Options()) {}
  explicit FaultServer(Options options);

  // A new process, ready; the one before is killed if it still runs.
  absl::Status Start();

  // A client of the socket. Without retries, so that the test sees each answer.
  std::unique_ptr<Client> Connect() const;

  std::string socket() const { return dir_ / "nfmeter.sock"; }
  std::string target() const { return "unix:" + socket(); }
  std::string state_dir() const { return state_dir_; }
  pid_t pid() const { return process_->process().pid(); }
  NfmeterdProcess& process() { return *process_; }

  // Whether the process has ended, by itself or by a signal.
  bool HasEnded() const;
  // Waits for the end that is known to come; the exit code as in RunResult.
  int AwaitEnd() { return process_->process().Wait(absl::Seconds(30)); }

 private:
  const Options options_;
  TemporaryDirectory dir_;
  const std::string state_dir_;
  std::unique_ptr<NfmeterdProcess> process_;
};

// Whether it comes to hold, however busy the host is.
bool Await(const std::function<bool()>& condition);

// Resident memory of a process, in KiB.
size_t ResidentKiB(pid_t pid);
// The most that it ever had.
size_t PeakResidentKiB(pid_t pid);

// Open descriptors of a process; what it opens for a moment is among them.
size_t OpenDescriptors(pid_t pid);
// Connections that a server has taken on its socket and not closed, as the
// kernel knows them.
size_t OpenConnections(const FaultServer& server);

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_FAULT_SERVER_H_
