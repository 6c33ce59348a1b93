// SPDX-License-Identifier: GPL-3.0-or-later
// Real packets of known number and size, counted by rules that nfmeterd made.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;

// A socket on a port of loopback that the kernel chooses.
class LoopbackSocket {
 public:
  LoopbackSocket(int family, int type)
      : family_(family), fd_(socket(family, type | SOCK_CLOEXEC, 0)) {
    Address here = AddressOf(0);
    EXPECT_EQ(bind(fd_, &here.any, here.size), 0) << strerror(errno);
    EXPECT_EQ(getsockname(fd_, &here.any, &here.size), 0);
    port_ = ntohs(family == AF_INET ? here.v4.sin_port : here.v6.sin6_port);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(listen(fd_, 128), 0);
    }
  }
  ~LoopbackSocket() { close(fd_); }
  LoopbackSocket(const LoopbackSocket&) = delete;
  LoopbackSocket& operator=(const LoopbackSocket&) = delete;

  uint16_t port() const { return port_; }

  void SendTo(uint16_t port, const std::string& payload) const {
    const Address to = AddressOf(port);
    EXPECT_EQ(sendto(fd_, payload.data(), payload.size(), 0, &to.any, to.size),
              static_cast<ssize_t>(payload.size()));
  }

  // Opens a connection to it and closes it again.
  void Connect() const {
    const int client = socket(family_, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const Address to = AddressOf(port_);
    EXPECT_EQ(connect(client, &to.any, to.size), 0) << strerror(errno);
    close(client);
  }

 private:
  struct Address {
    union {
      sockaddr any;
      sockaddr_in v4;
      sockaddr_in6 v6;
    };
    socklen_t size;
  };

  Address AddressOf(uint16_t port) const {
    Address address;
    memset(&address, 0, sizeof(address));
    address.any.sa_family = family_;
    if (family_ == AF_INET) {
      address.v4.sin_port = htons(port);
      address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.size = sizeof(address.v4);
    } else {
      address.v6.sin6_port = htons(port);
      address.v6.sin6_addr = in6addr_loopback;
      address.size = sizeof(address.v6);
    }
    return address;
  }

  const int family_;
  const int fd_;
  uint16_t port_ = 0;
};

class TrafficTest : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.WaitUntilReady());
    counters_ = v1::CounterService::NewStub(server_.Channel());
    rules_ = v1::RuleService::NewStub(server_.Channel());
    grpc::ClientContext context;
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name("traffic");
    v1::CreateCounterResponse response;
    ASSERT_OK(counters_->CreateCounter(&context, request, &response));
  }

  bool v4() const { return GetParam() == AF_INET; }
  uint64_t ip_header() const { return v4() ? 20 : 40; }

  void CountInto(v1::RuleMatch match) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_family(v4() ? v1::FAMILY_IPV4
                                            : v1::FAMILY_IPV6);
    request.mutable_rule()->set_chain("OUTPUT");
    request.mutable_rule()->set_counter("traffic");
    *request.mutable_rule()->mutable_match() = std::move(match);
    grpc::ClientContext context;
    v1::CreateRuleResponse response;
    const grpc::Status made = rules_->CreateRule(&context, request, &response);
    ASSERT_OK(made);
  }

  // By us, by nfacct, and by the rule's own counter in iptables.
  void ExpectCounted(uint64_t packets, uint64_t bytes) {
    grpc::ClientContext context;
    v1::GetCounterRequest request;
    request.set_name("traffic");
    v1::GetCounterResponse response;
    ASSERT_OK(counters_->GetCounter(&context, request, &response));
    EXPECT_EQ(response.counter().packets(), packets);
    EXPECT_EQ(response.counter().bytes(), bytes);
    EXPECT_THAT(testing::Run({"nfacct", "get", "traffic"}).out,
                ::testing::HasSubstr(absl::StrCat(
                    "pkts = ", absl::Dec(packets, absl::kZeroPad20),
                    ", bytes = ", absl::Dec(bytes, absl::kZeroPad20))));
    EXPECT_THAT(testing::Run({v4() ? "iptables-legacy" : "ip6tables-legacy",
                              "-w", "-L", "OUTPUT", "-n", "-v", "-x"})
                    .out,
                ::testing::ContainsRegex(absl::StrCat(
                    "\n *", packets, " +", bytes, " .*nfacct-name")));
  }

  NfmeterdProcess server_;
  std::unique_ptr<v1::CounterService::Stub> counters_;
  std::unique_ptr<v1::RuleService::Stub> rules_;
};

TEST_P(TrafficTest, EveryDatagramIsCountedWithItsHeaders) {
  const LoopbackSocket receiver(GetParam(), SOCK_DGRAM);
  const LoopbackSocket other(GetParam(), SOCK_DGRAM);
  v1::RuleMatch match;
  match.set_protocol("udp");
  match.add_destination_ports()->set_first(receiver.port());
  CountInto(match);
  for (int i = 0; i < 250; ++i) {
    other.SendTo(receiver.port(), std::string(100, 'x'));
    receiver.SendTo(other.port(), "not counted");
  }
  ExpectCounted(250, 250 * (ip_header() + 8 + 100));
}

TEST_P(TrafficTest, EveryConnectionIsCountedByItsFirstPacket) {
  const LoopbackSocket server(GetParam(), SOCK_STREAM);
  v1::RuleMatch match;
  match.set_protocol("tcp");
  match.add_destination_ports()->set_first(server.port());
  match.mutable_tcp_flags()->add_mask(v1::TCP_FLAG_SYN);
  match.mutable_tcp_flags()->add_mask(v1::TCP_FLAG_ACK);
  match.mutable_tcp_flags()->add_set(v1::TCP_FLAG_SYN);
  CountInto(match);
  for (int i = 0; i < 100; ++i) server.Connect();
  // A SYN has 20 bytes of options, as a new network namespace has them on.
  ExpectCounted(100, 100 * (ip_header() + 40));
}

INSTANTIATE_TEST_SUITE_P(Families, TrafficTest,
                         ::testing::Values(AF_INET, AF_INET6),
                         [](const auto& info) {
                           return info.param == AF_INET ? "Ipv4" : "Ipv6";
                         });

}  // namespace
}  // namespace nfmeter
