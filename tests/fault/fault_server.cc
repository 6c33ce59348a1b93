// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/fault/fault_server.h"

#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/eventually.h"

namespace nfmeter::testing {

FaultServer::FaultServer(Options options)
    : options_(std::move(options)),
      state_dir_(options_.state_dir.empty() ? dir_ / "state"
                                            : options_.state_dir) {}

absl::Status FaultServer::Start() {
  process_.reset();
  std::vector<std::string> arguments = {"--listen", target()};
  arguments.insert(arguments.end(), options_.arguments.begin(),
                   options_.arguments.end());
  process_ = std::make_unique<NfmeterdProcess>(
      NfmeterdProcess::Options{.arguments = std::move(arguments),
                               .listen_on_socket = false,
                               .state_dir = state_dir_});
  return process_->WaitUntilReady();
}

std::unique_ptr<Client> FaultServer::Connect() const {
  ClientOptions options;
  options.address = target();
  options.retry.max_attempts = 1;
  options.timeout = absl::Seconds(60);
  return *Client::Connect(options);
}

bool FaultServer::HasEnded() const {
  siginfo_t info{};
  return waitid(P_PID, pid(), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == pid();
}

namespace {

// A line of /proc/PID/status.
size_t ReadStatus(pid_t pid, const std::string& wanted) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    size_t value = 0;
    if (words >> key >> value && key == wanted) return value;
  }
  return 0;
}

}  // namespace

bool Await(const std::function<bool()>& condition) {
  return Eventually(condition, absl::Seconds(90));
}

size_t ResidentKiB(pid_t pid) { return ReadStatus(pid, "VmRSS:"); }
size_t PeakResidentKiB(pid_t pid) { return ReadStatus(pid, "VmHWM:"); }

size_t OpenDescriptors(pid_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator begin(
      absl::StrCat("/proc/", pid, "/fd"), error);
  return std::distance(begin, std::filesystem::directory_iterator());
}

size_t OpenConnections(const FaultServer& server) {
  const std::string socket = server.socket();
  std::ifstream sockets(absl::StrCat("/proc/", server.pid(), "/net/unix"));
  size_t count = 0;
  for (std::string line; std::getline(sockets, line);) {
    std::istringstream words(line);
    std::string address, references, protocol, flags, type, state, inode, path;
    words >> address >> references >> protocol >> flags >> type >> state >>
        inode >> path;
    // SS_CONNECTED; one that waits to be taken has no inode yet.
    if (path == socket && state == "03" && inode != "0") ++count;
  }
  return count;
}

}  // namespace nfmeter::testing
