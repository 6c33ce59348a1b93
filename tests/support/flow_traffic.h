// SPDX-License-Identifier: GPL-3.0-or-later
// Real packets that make flows, and what has to be set up for connection
// tracking to see them. All of it in this process's own network namespace.
#ifndef NFMETER_TESTS_SUPPORT_FLOW_TRAFFIC_H_
#define NFMETER_TESTS_SUPPORT_FLOW_TRAFFIC_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "kernel/flow_types.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

inline constexpr uint8_t kUdp = 17;
inline constexpr uint8_t kTcp = 6;

inline void SetConntrack(const std::string& setting, int value) {
  const std::string path = "/proc/sys/net/netfilter/nf_conntrack_" + setting;
  const std::string text = absl::StrCat(value);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0) << path;
  ASSERT_EQ(write(fd, text.data(), text.size()),
            static_cast<ssize_t>(text.size()))
      << path;
  close(fd);
}

// Connection tracking sleeps until a rule uses it.
inline void WakeConntrack() {
  for (const char* tool : {"iptables-legacy", "ip6tables-legacy"}) {
    const RunResult result = Run({tool, "-w", "-A", "OUTPUT", "-m", "conntrack",
                                  "--ctstate", "INVALID"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
}

// A UDP socket at this end. Fails the test where there can't be one.
class UdpEnd {
 public:
  explicit UdpEnd(const std::string& address, uint16_t port = 0)
      : family_(address.find(':') != std::string::npos ? AF_INET6 : AF_INET),
        fd_(socket(family_, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage at{};
    const socklen_t size = Fill(address, port, at);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0)
        << address << " " << port << ": " << strerror(errno);
  }
  ~UdpEnd() { close(fd_); }
  UdpEnd(const UdpEnd&) = delete;
  UdpEnd& operator=(const UdpEnd&) = delete;

  // `bytes` of payload each.
  void SendTo(const std::string& address, uint16_t port, int packets,
              size_t bytes) {
    sockaddr_storage to{};
    const socklen_t size = Fill(address, port, to);
    const std::string payload(bytes, 'x');
    for (int i = 0; i < packets; ++i) {
      ASSERT_EQ(sendto(fd_, payload.data(), payload.size(), 0,
                       reinterpret_cast<sockaddr*>(&to), size),
                static_cast<ssize_t>(payload.size()))
          << strerror(errno);
    }
  }

 private:
  socklen_t Fill(const std::string& address, uint16_t port,
                 sockaddr_storage& at) const {
    if (family_ == AF_INET) {
      auto& ipv4 = reinterpret_cast<sockaddr_in&>(at);
      ipv4.sin_family = AF_INET;
      ipv4.sin_port = htons(port);
      inet_pton(AF_INET, address.c_str(), &ipv4.sin_addr);
      return sizeof(ipv4);
    }
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(at);
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
    inet_pton(AF_INET6, address.c_str(), &ipv6.sin6_addr);
    return sizeof(ipv6);
  }

  const int family_;
  const int fd_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_FLOW_TRAFFIC_H_
