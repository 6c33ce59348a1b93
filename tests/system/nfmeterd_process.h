// SPDX-License-Identifier: GPL-3.0-or-later
// A real nfmeterd beside the test.
#ifndef NFMETER_TESTS_SYSTEM_NFMETERD_PROCESS_H_
#define NFMETER_TESTS_SYSTEM_NFMETERD_PROCESS_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// A datagram socket in place of systemd's; $NOTIFY_SOCKET of what is started
// while it lives.
class NotifySocket {
 public:
  NotifySocket();
  ~NotifySocket();

  // The next message; DEADLINE_EXCEEDED after `timeout`.
  absl::StatusOr<std::string> Next(absl::Duration timeout);

 private:
  TemporaryDirectory dir_;
  int fd_;
};

// The exit code after flags or configuration that are wrong.
inline constexpr int kExitConfig = 2;

// The program's path.
std::string NfmeterdPath();

// nfmeterd in the test's network namespace, with its state and, unless the
// arguments say otherwise, its socket in a folder of the test's.
class NfmeterdProcess {
 public:
  struct Options {
    // After the ones that this class gives.
    std::vector<std::string> arguments;
    // What runs it: {"setpriv", "..."}.
    std::vector<std::string> wrapper;
    bool listen_on_socket = true;
    std::string state_dir;  // empty: one of its own
  };

  NfmeterdProcess() : NfmeterdProcess(Options()) {}
  explicit NfmeterdProcess(Options options);

  // Waits until it says that it is ready, else how it ended instead.
  absl::Status WaitUntilReady();

  // "unix:/tmp/.../nfmeter.sock".
  std::string target() const { return "unix:" + socket_path(); }
  std::string socket_path() const { return dir_ / "nfmeter.sock"; }
  std::shared_ptr<grpc::Channel> Channel() const;

  // All that it has logged so far.
  std::string Log() const;
  // The address that the kernel chose for the listener on "HOST:0".
  std::string TcpAddress(const std::string& host) const;

  NotifySocket& notifications() { return notify_; }
  Background& process() { return *process_; }

  // SIGTERM, and its exit code.
  int Stop();

 private:
  TemporaryDirectory dir_;
  NotifySocket notify_;
  std::unique_ptr<Background> process_;
};

// Methods of services that we have no stubs for, with messages as bytes.

// One unary call.
absl::StatusOr<std::string> CallRaw(const std::shared_ptr<grpc::Channel>& to,
                                    const std::string& method,
                                    const std::string& request);

// A call of any kind: sends one message and returns the first answer.
absl::StatusOr<std::string> FirstAnswerRaw(
    const std::shared_ptr<grpc::Channel>& to, const std::string& method,
    const std::string& request);

// "SERVING", "NOT_SERVING", ... or the code of the error.
std::string HealthOf(const std::shared_ptr<grpc::Channel>& to,
                     const std::string& service);

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_NFMETERD_PROCESS_H_
