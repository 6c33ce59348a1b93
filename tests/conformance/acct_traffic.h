// SPDX-License-Identifier: GPL-3.0-or-later
// Real packets on the loopback interface of this process's own network
// namespace, and the rules that count them.
#ifndef NFMETER_TESTS_CONFORMANCE_ACCT_TRAFFIC_H_
#define NFMETER_TESTS_CONFORMANCE_ACCT_TRAFFIC_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// What one packet of SendUdp() counts: IP and UDP headers and the payload.
inline constexpr uint64_t kUdpPacketBytes = 100;

// Sends to a port of loopback; nobody listens there.
inline void SendUdp(uint16_t port, int packets) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const std::string payload(kUdpPacketBytes - 28, 'x');
  for (int i = 0; i < packets; ++i) {
    ASSERT_EQ(sendto(fd, payload.data(), payload.size(), 0,
                     reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              static_cast<ssize_t>(payload.size()));
  }
  close(fd);
}

// Makes ("-A") or deletes ("-D") the rule that counts packets to a UDP port.
inline void CountPort(const std::string& command, uint16_t port,
                      const std::string& counter) {
  const RunResult result =
      Run({"iptables-legacy", "-w", command, "OUTPUT", "-p", "udp", "--dport",
           absl::StrCat(port), "-m", "nfacct", "--nfacct-name", counter});
  ASSERT_EQ(result.exit_code, 0) << result.err;
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_CONFORMANCE_ACCT_TRAFFIC_H_
