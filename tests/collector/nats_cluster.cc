// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/nats_cluster.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(40);

// Ports that the kernel finds free now. The test has a network namespace of its
// own, so nobody else takes them meanwhile.
std::vector<int> FreePorts(int count) {
  std::vector<int> sockets;
  std::vector<int> ports;
  for (int i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0) {
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    }
    ports.push_back(ntohs(address.sin_port));
    sockets.push_back(fd);
  }
  for (const int fd : sockets) close(fd);
  return ports;
}

}  // namespace

NatsCluster::NatsCluster(int servers) : servers_(servers) {
  const std::vector<int> ports = FreePorts(3 * servers);
  client_ports_.assign(ports.begin(), ports.begin() + servers);
  route_ports_.assign(ports.begin() + servers, ports.begin() + 2 * servers);
  monitor_ports_.assign(ports.begin() + 2 * servers, ports.end());
}

void NatsCluster::StartServer(int i) {
  std::vector<std::string> routes;
  for (const int port : route_ports_) {
    routes.push_back(absl::StrCat("nats://127.0.0.1:", port));
  }
  std::ofstream config(dir_ / absl::StrCat("n", i, ".conf"));
  config << "server_name: n" << i
         << "\nlisten: \"127.0.0.1:" << client_ports_[i]
         << "\"\nhttp: \"127.0.0.1:" << monitor_ports_[i]
         << "\"\njetstream { store_dir: \"" << dir_ / absl::StrCat("n", i)
         << "\", max_file_store: 1G, max_memory_store: 64M }\n";
  if (servers_.size() > 1) {
    config << "cluster { name: fleet, listen: \"127.0.0.1:" << route_ports_[i]
           << "\", routes: [" << absl::StrJoin(routes, ", ") << "] }\n";
  }
  config.close();
  servers_[i] = std::make_unique<Background>(
      std::vector<std::string>{"nats-server", "-c",
                               dir_ / absl::StrCat("n", i, ".conf")},
      dir_ / absl::StrCat("n", i, ".log"));
}

absl::Status NatsCluster::Start() {
  for (size_t i = 0; i < servers_.size(); ++i) StartServer(static_cast<int>(i));
  return Await();
}

absl::Status NatsCluster::Await() {
  return Eventually([this] { return IsReady(); }, kPatience)
             ? absl::OkStatus()
             : absl::DeadlineExceededError(Log(0));
}

bool NatsCluster::IsReady() const {
  for (size_t i = 0; i < servers_.size(); ++i) {
    const std::string url =
        absl::StrCat("http://127.0.0.1:", monitor_ports_[i]);
    if (!absl::StrContains(Run({"curl", "-s", url + "/healthz"}).out, "ok")) {
      return false;
    }
    if (servers_.size() == 1) continue;
    const std::string state = Run({"curl", "-s", url + "/jsz"}).out;
    if (!absl::StrContains(state, "\"leader\"") ||
        !absl::StrContains(
            state, absl::StrCat("\"cluster_size\": ", servers_.size()))) {
      return false;
    }
  }
  return true;
}

void NatsCluster::Kill(int i) {
  servers_[i]->Signal(SIGKILL);
  servers_[i]->Wait(absl::Seconds(10));
}

std::string NatsCluster::url() const {
  std::vector<std::string> urls;
  for (const int port : client_ports_) {
    urls.push_back(absl::StrCat("nats://127.0.0.1:", port));
  }
  return absl::StrJoin(urls, ",");
}

std::string NatsCluster::Log(int i) const {
  return ReadFile(dir_ / absl::StrCat("n", i, ".log"));
}

}  // namespace nfmeter::testing
