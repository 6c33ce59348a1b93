// Clients that send what costs them little and a server much.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/http2_connection.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Http2Connection;
namespace http2 = ::nfmeter::testing::http2;

constexpr char kPath[] = "/nfmeter.v1.NodeService/GetNode";

// The bytes that follow those of an earlier round; rounds count from 0.
using Flood = std::function<std::string(uint32_t round)>;

// CVE-2023-44487: calls that are taken back as soon as they are made.
std::string RapidReset(uint32_t round) {
  static const auto* const headers = new std::string(http2::CallHeaders(kPath));
  std::string bytes;
  for (uint32_t i = 0; i < 100; ++i) {
    const uint32_t stream = 2 * (100 * round + i) + 1;
    absl::StrAppend(
        &bytes,
        http2::Frame(http2::kHeaders, http2::kEndHeaders, stream, *headers),
        http2::Frame(http2::kRstStream, 0, stream, {"\0\0\0\x08", 4}));
  }
  return bytes;
}

// CVE-2019-9515: each must be acknowledged.
std::string SettingsFlood(uint32_t) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(
        &bytes, http2::Frame(http2::kSettings, 0, 0, {"\0\x04\0\x01\0\0", 6}));
  }
  return bytes;
}

// CVE-2019-9512: likewise.
std::string PingFlood(uint32_t) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&bytes, http2::Frame(http2::kPing, 0, 0, "12345678"));
  }
  return bytes;
}

// CVE-2024-27316 and its like: a header block without an end.
std::string EndlessHeaders(uint32_t round) {
  std::string bytes;
  if (round == 0) {
    bytes = http2::Frame(http2::kHeaders, 0, 1, http2::CallHeaders(kPath));
  }
  const std::string field = http2::Header("x-padding", std::string(100, 'x'));
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&bytes, http2::Frame(http2::kContinuation, 0, 1, field));
  }
  return bytes;
}

// CVE-2019-9518: frames of a stream that carry nothing.
std::string EmptyData(uint32_t round) {
  std::string bytes;
  if (round == 0) {
    bytes = http2::Frame(http2::kHeaders, http2::kEndHeaders, 1,
                         http2::CallHeaders(kPath));
  }
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&bytes, http2::Frame(http2::kData, 0, 1, ""));
  }
  return bytes;
}

// Attackers have machines of their own: what they compute is not to be taken
// from the server's processors.
void GiveWay() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

// Floods a socket until it is destroyed, over connection after connection.
class Attacker {
 public:
  Attacker(const std::string& target, Flood flood)
      : socket_(absl::StripPrefix(target, "unix:")), flood_(std::move(flood)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Attacker() {
    stop_ = true;
    thread_.join();
  }

  uint64_t bytes() const { return bytes_; }

 private:
  void Run() {
    GiveWay();
    while (!stop_) {
      auto connection = Http2Connection::Open(socket_);
      if (!connection.ok()) continue;
      for (uint32_t round = 0; !stop_; ++round) {
        const std::string bytes = flood_(round);
        if (!(*connection)->Send(bytes)) break;
        bytes_ += bytes.size();
      }
    }
  }

  const std::string socket_;
  const Flood flood_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> bytes_ = 0;
  std::thread thread_;
};

absl::Duration Percentile99(std::vector<absl::Duration> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

struct FloodCase {
  const char* name;
  Flood flood;
};
void PrintTo(const FloodCase& flood, std::ostream* out) { *out << flood.name; }

class FloodTest : public ::testing::TestWithParam<FloodCase> {
 protected:
  // How long another client's calls take.
  absl::Duration Latency(Client& client) {
    std::vector<absl::Duration> times;
    for (int i = 0; i < kCalls; ++i) {
      const absl::Time start = absl::Now();
      EXPECT_OK(client.GetNode().status());
      times.push_back(absl::Now() - start);
    }
    return Percentile99(std::move(times));
  }

  static constexpr int kCalls = 1000;
  static constexpr size_t kGrowth = 256 << 10;  // KiB of memory meanwhile
};

TEST_P(FloodTest, TheServerLivesAndOthersAreServed) {
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  const absl::Duration quiet = Latency(*client);
  const size_t before = testing::ResidentKiB(server.pid());
  absl::Duration flooded;
  {
    const Attacker attacker(server.target(), GetParam().flood);
    flooded = Latency(*client);
    EXPECT_GT(attacker.bytes(), 0u);
    EXPECT_LT(testing::ResidentKiB(server.pid()), before + kGrowth);
  }
  EXPECT_FALSE(server.HasEnded()) << server.process().Log();
  EXPECT_OK(client->GetNode().status());
  printf("p99 of other clients: %s quiet, %s flooded\n",
         absl::FormatDuration(quiet).c_str(),
         absl::FormatDuration(flooded).c_str());
}

// gRPC 1.51 has nothing against calls that are taken back at once: while they
// come, others wait behind them and memory grows (see docs/security.md). What
// holds is that it ends with them.
TEST(RapidResetTest, OthersAreServedWhenItHasEnded) {
  constexpr uint32_t kRounds = 100;  // of 100 calls
  FaultServer server;
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  const std::string socket(absl::StripPrefix(server.target(), "unix:"));
  const auto connection = Http2Connection::Open(socket);
  ASSERT_OK(connection.status());
  for (uint32_t round = 0; round < kRounds; ++round) {
    ASSERT_TRUE((*connection)->Send(RapidReset(round)));
  }
  EXPECT_OK(client->GetNode({.timeout = absl::Seconds(30)}).status());
  EXPECT_FALSE(server.HasEnded()) << server.process().Log();
}

INSTANTIATE_TEST_SUITE_P(All, FloodTest,
                         ::testing::Values(FloodCase{"Settings", SettingsFlood},
                                           FloodCase{"Ping", PingFlood},
                                           FloodCase{"EndlessHeaders",
                                                     EndlessHeaders},
                                           FloodCase{"EmptyData", EmptyData}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nfmeter
