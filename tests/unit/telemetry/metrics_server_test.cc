// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::telemetry {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class MetricsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = MetricsServer::Start(
        {.host = "127.0.0.1",
         .http = {.max_connections = 4, .idle_seconds = 1}},
        [] { return "nfmeter_x 1\n"; });
    ASSERT_OK(server);
    server_ = *std::move(server);
    const std::string url = server_->url();
    const size_t colon = url.rfind(':');
    ASSERT_TRUE(absl::SimpleAtoi(
        url.substr(colon + 1, url.find('/', colon) - colon - 1), &port_));
  }

  int Connect() const {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  }

  // What comes back until the server closes the connection.
  std::string Exchange(const std::string& request) const {
    const int fd = Connect();
    // It may close while we are at it.
    (void)!send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, n);
    }
    close(fd);
    return answer;
  }

  std::string Ask(const std::string& method, const std::string& path) const {
    return Exchange(absl::StrCat(method, " ", path,
                                 " HTTP/1.1\r\nHost: x\r\n"
                                 "Connection: close\r\n\r\n"));
  }

  std::unique_ptr<MetricsServer> server_;
  uint32_t port_ = 0;
};

TEST_F(MetricsServerTest, ServesThePage) {
  const std::string answer = Ask("GET", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nnfmeter_x 1\n"));
}

TEST_F(MetricsServerTest, HeadHasNoBody) {
  const std::string answer = Ask("HEAD", "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 12"));
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("nfmeter_x")));
}

TEST_F(MetricsServerTest, SaysThatItIsHealthy) {
  EXPECT_THAT(Ask("GET", "/-/healthy"), HasSubstr("\r\n\r\nok\n"));
}

TEST_F(MetricsServerTest, OtherPathsAreNotFound) {
  for (const char* path :
       {"/", "/metrics/", "/metricsx", "/../etc/passwd", "/metrics/../x"}) {
    EXPECT_THAT(Ask("GET", path), StartsWith("HTTP/1.1 404")) << path;
  }
}

TEST_F(MetricsServerTest, OtherMethodsAreNotAllowed) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"}) {
    const std::string answer = Ask(method, "/metrics");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405")) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD")) << method;
  }
}

TEST_F(MetricsServerTest, BodiesAreNotRead) {
  EXPECT_THAT(Exchange("GET /metrics HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 1000000000\r\n\r\n"),
              HasSubstr("nfmeter_x 1"));
  EXPECT_THAT(Exchange("POST /metrics HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 1000000000\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
}

TEST_F(MetricsServerTest, WhatIsNoHttpIsRefused) {
  EXPECT_THAT(
      Exchange("\x16\x03\x01 nonsense\r\n\r\n"),
      ::testing::AnyOf(::testing::IsEmpty(), StartsWith("HTTP/1.1 400")));
  EXPECT_THAT(
      Exchange(absl::StrCat("GET /metrics HTTP/1.1\r\nX: ",
                            std::string(1 << 20, 'a'), "\r\n\r\n")),
      ::testing::AnyOf(::testing::IsEmpty(), StartsWith("HTTP/1.1 431")));
  EXPECT_THAT(Ask("GET", "/metrics"), HasSubstr("nfmeter_x 1"));
}

TEST_F(MetricsServerTest, IdleConnectionsDoNotLockScrapersOut) {
  std::vector<int> idle;
  for (int i = 0; i < 12; ++i) idle.push_back(Connect());
  // As soon as they have been idle for a second they go.
  EXPECT_THAT(Ask("GET", "/metrics"), HasSubstr("nfmeter_x 1"));
  for (const int fd : idle) close(fd);
}

TEST_F(MetricsServerTest, APortInUseIsSaid) {
  const auto second = MetricsServer::Start(
      {.host = "127.0.0.1", .port = static_cast<uint16_t>(port_)},
      [] { return ""; });
  EXPECT_THAT(second, HasReason("LISTEN_FAILED"));
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("the port is in use")));
}

TEST_F(MetricsServerTest, AnAddressOfAnotherHostIsSaid) {
  EXPECT_THAT(
      MetricsServer::Start({.host = "192.0.2.1", .port = 9477},
                           [] { return ""; }),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("192.0.2.1:9477: this host has no such address")));
}

TEST_F(MetricsServerTest, ServesOverIpv6) {
  const auto server =
      MetricsServer::Start({.host = "::1"}, [] { return "nfmeter_x 1\n"; });
  ASSERT_OK(server);
  EXPECT_THAT((*server)->url(), StartsWith("http://[::1]:"));
  const testing::RunResult fetched =
      testing::Run({"curl", "-sS", "-g", (*server)->url()});
  EXPECT_EQ(fetched.out, "nfmeter_x 1\n") << fetched.err;
}

}  // namespace
}  // namespace nfmeter::telemetry
