// SPDX-License-Identifier: GPL-3.0-or-later
// A real cluster of nats-servers beside the test.
#ifndef NFMETER_TESTS_COLLECTOR_NATS_CLUSTER_H_
#define NFMETER_TESTS_COLLECTOR_NATS_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Servers with JetStream on ports that were free, each with a folder of its
// own.
class NatsCluster {
 public:
  explicit NatsCluster(int servers);

  // Waits until JetStream has a leader and all its members.
  absl::Status Start();
  // The same of servers that were started one by one.
  absl::Status Await();
  void StartServer(int i);
  // kill -9.
  void Kill(int i);
  // "nats://127.0.0.1:...,nats://...".
  std::string url() const;
  std::string Log(int i) const;

 private:
  bool IsReady() const;

  TemporaryDirectory dir_;
  std::vector<int> client_ports_;
  std::vector<int> route_ports_;
  std::vector<int> monitor_ports_;
  std::vector<std::unique_ptr<Background>> servers_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_NATS_CLUSTER_H_
