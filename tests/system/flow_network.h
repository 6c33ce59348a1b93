// SPDX-License-Identifier: GPL-3.0-or-later
// A router and what stands left and right of it: three network namespaces with
// veth pairs, IPv4 and IPv6, and NAT in both.
#ifndef NFMETER_TESTS_SYSTEM_FLOW_NETWORK_H_
#define NFMETER_TESTS_SYSTEM_FLOW_NETWORK_H_

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "tests/support/flow_traffic.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Runs a line of words.
inline std::string Do(const std::string& line) {
  const std::vector<std::string> words =
      absl::StrSplit(line, ' ', absl::SkipEmpty());
  const RunResult result = Run(words);
  EXPECT_EQ(result.exit_code, 0) << line << ": " << result.err << result.out;
  return result.out;
}

// The router is this process's own namespace. 10.0.1.2 and fd01::2 (client) ->
// 10.0.1.1, 10.0.2.1 (router; SNAT to the latter) -> 10.0.2.2 and fd02::2
// (server).
class FlowNetwork {
 public:
  FlowNetwork() {
    AddHost("client", 1);
    AddHost("server", 2);
    for (const char* path : {"/proc/sys/net/ipv4/ip_forward",
                             "/proc/sys/net/ipv6/conf/all/forwarding"}) {
      const int fd = open(path, O_WRONLY | O_CLOEXEC);
      EXPECT_EQ(write(fd, "1", 1), 1) << path;
      close(fd);
    }
    Do("iptables-legacy -w -t nat -A POSTROUTING -o to_server -j MASQUERADE");
    Do("ip6tables-legacy -w -t nat -A POSTROUTING -o to_server -j MASQUERADE");
  }
  ~FlowNetwork() {
    Run({"ip", "netns", "del", "client"});
    Run({"ip", "netns", "del", "server"});
  }

  // Runs it on a thread in that host's namespace.
  template <typename Action>
  void In(const std::string& host, Action action) {
    std::thread([&] {
      const int fd = open(("/run/netns/" + host).c_str(), O_RDONLY | O_CLOEXEC);
      ASSERT_EQ(setns(fd, CLONE_NEWNET), 0) << strerror(errno);
      close(fd);
      action();
    }).join();
  }

 private:
  static void AddHost(const std::string& name, int number) {
    const std::string out = absl::StrCat("to_", name);
    const std::string ipv4 = absl::StrCat("10.0.", number, ".");
    const std::string ipv6 = absl::StrCat("fd0", number, "::");
    const std::string in = absl::StrCat("ip -n ", name, " ");
    Do(absl::StrCat("ip netns add ", name));
    Do(absl::StrCat("ip link add ", out, " type veth peer name eth0 netns ",
                    name));
    Do(absl::StrCat("ip addr add ", ipv4, "1/24 dev ", out));
    Do(absl::StrCat("ip addr add ", ipv6, "1/64 dev ", out, " nodad"));
    Do(absl::StrCat("ip link set ", out, " up"));
    Do(absl::StrCat(in, "addr add ", ipv4, "2/24 dev eth0"));
    Do(absl::StrCat(in, "addr add ", ipv6, "2/64 dev eth0 nodad"));
    Do(absl::StrCat(in, "link set eth0 up"));
    Do(absl::StrCat(in, "link set lo up"));
    Do(absl::StrCat(in, "route add default via ", ipv4, "1"));
    Do(absl::StrCat(in, "-6 route add default via ", ipv6, "1"));
  }
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_FLOW_NETWORK_H_
