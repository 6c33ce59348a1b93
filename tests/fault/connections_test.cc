// SPDX-License-Identifier: GPL-3.0-or-later
// Clients that hold connections.
#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/http2_connection.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Await;
using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Http2Connection;
using ::nfmeter::testing::OpenConnections;
using ::nfmeter::testing::OpenDescriptors;
using ::nfmeter::testing::ResidentKiB;
namespace http2 = ::nfmeter::testing::http2;

constexpr size_t kConnections = 10'000;
constexpr size_t kMostKiBEach = 48;

using Connections = std::vector<std::unique_ptr<Http2Connection>>;

// The slowest hundredth of a client's calls takes longer than this.
absl::Duration Percentile99(Client& client) {
  std::vector<absl::Duration> times;
  for (int i = 0; i < 1000; ++i) {
    const absl::Time start = absl::Now();
    EXPECT_OK(client.GetNode().status());
    times.push_back(absl::Now() - start);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

void AllowDescriptors(rlim_t count) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max = std::max(limit.rlim_max, count);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

TEST(ConnectionsTest, TenThousandCostBoundedMemoryAndDelayNobody) {
  AllowDescriptors(kConnections + 2000);
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  const absl::Duration quiet = Percentile99(*client);
  const size_t memory = ResidentKiB(server.pid());
  Connections idle;
  while (idle.size() < kConnections) {
    auto connection = Http2Connection::Open(server.socket());
    ASSERT_OK(connection.status()) << idle.size();
    // Every tenth has a call that it never finishes.
    if (idle.size() % 10 == 0) {
      (*connection)
          ->Send(http2::Frame(
              http2::kHeaders, http2::kEndHeaders, 1,
              http2::CallHeaders("/nfmeter.v1.NodeService/GetNode")));
    }
    idle.push_back(*std::move(connection));
  }
  EXPECT_TRUE(Await([&] {
    return OpenConnections(server) == 1 + kConnections;
  })) << OpenConnections(server)
      << " are held: " << server.process().Log();
  const size_t each = (ResidentKiB(server.pid()) - memory) / kConnections;
  EXPECT_LE(each, kMostKiBEach);
  const absl::Duration p99 = Percentile99(*client);
  // On a machine that is busy with other tests, too.
  EXPECT_LT(p99, std::max(2 * quiet, absl::Milliseconds(100)));
  // A new one is served, too.
  EXPECT_OK(server.Connect()->GetNode().status());
  printf("%zu KiB a connection, p99 of another client's calls %s\n", each,
         absl::FormatDuration(p99).c_str());
  idle.clear();
  EXPECT_TRUE(Await([&] { return OpenConnections(server) == 1; }));
}

// Each has no more calls than it may.
TEST(ConnectionsTest, CallsOfManyAreBoundedTogether) {
  constexpr int kMany = 60;
  constexpr uint32_t kCallsOfEach = 1000;
  constexpr size_t kMostKiB = 384 << 10;
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  const size_t memory = ResidentKiB(server.pid());
  const std::string headers =
      http2::CallHeaders("/nfmeter.v1.NodeService/GetNode");
  std::string calls;
  for (uint32_t i = 0; i < kCallsOfEach; ++i) {
    calls +=
        http2::Frame(http2::kHeaders, http2::kEndHeaders, 2 * i + 1, headers);
  }
  Connections greedy;
  for (int i = 0; i < kMany; ++i) {
    auto connection = Http2Connection::Open(server.socket());
    if (!connection.ok()) continue;
    (*connection)->Send(calls);
    greedy.push_back(*std::move(connection));
  }
  EXPECT_TRUE(Await([&] {
    return absl::StrContains(server.process().Log(), "reason=open_streams");
  }));
  EXPECT_OK(client->GetNode().status());
  const size_t peak = testing::PeakResidentKiB(server.pid());
  EXPECT_LT(peak, memory + kMostKiB);
  printf("%zu MiB more\n", (peak - memory) >> 10);
}

TEST(ConnectionsTest, BeyondTheBoundTheyAreClosedAndOthersAreServed) {
  FaultServer server({.arguments = {"--max-connections", "50"}});
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  Connections idle;
  for (int i = 0; i < 200; ++i) {
    auto connection = Http2Connection::Open(server.socket());
    if (connection.ok()) idle.push_back(*std::move(connection));
  }
  const std::string ping = http2::Frame(http2::kPing, 0, 0, "12345678");
  EXPECT_TRUE(Await([&] {
    return std::count_if(idle.begin(), idle.end(), [&](auto& connection) {
             return connection->Send(ping);
           }) < 50;
  }));
  EXPECT_LE(OpenConnections(server), 50);
  EXPECT_OK(client->GetNode().status());
  idle.clear();
  EXPECT_TRUE(Await([&] { return server.Connect()->GetNode().ok(); }));
}

// gRPC by itself stops listening for good when it has no descriptors left.
TEST(ConnectionsTest, WhenDescriptorsRunOutTheServerGoesOnListening) {
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  // So few that it can't keep those apart that others need.
  rlimit limit{};
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
  limit.rlim_cur = OpenDescriptors(server.pid()) + 5;
  ASSERT_EQ(prlimit(server.pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  Connections idle;
  for (int i = 0; i < 50; ++i) {
    auto connection = Http2Connection::Open(server.socket());
    if (connection.ok()) idle.push_back(*std::move(connection));
  }
  EXPECT_OK(client->GetNode().status());
  idle.clear();
  EXPECT_TRUE(Await([&] { return server.Connect()->GetNode().ok(); }));
}

}  // namespace
}  // namespace nfmeter
