// SPDX-License-Identifier: GPL-3.0-or-later
// Clients that send what costs them little and a server much.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/http2_connection.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/system/certificates.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Certificates;
using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Http2Connection;
using ::testing::HasSubstr;
using ::testing::Not;
namespace http2 = ::nfmeter::testing::http2;

constexpr char kPath[] = "/nfmeter.v1.NodeService/GetNode";
constexpr int kFramesInRound = 100;

// The bytes that follow those of an earlier round; rounds count from 0.
using Flood = std::function<std::string(uint32_t round)>;

// Calls, each with one more frame on its stream and no other.
std::string Calls(uint32_t round, uint8_t type, absl::string_view more,
                  uint8_t flags = 0, absl::string_view path = kPath) {
  const std::string headers = http2::CallHeaders(path);
  std::string bytes;
  for (uint32_t i = 0; i < kFramesInRound; ++i) {
    const uint32_t stream = 2 * (kFramesInRound * round + i) + 1;
    absl::StrAppend(
        &bytes,
        http2::Frame(http2::kHeaders, http2::kEndHeaders, stream, headers),
        http2::Frame(type, flags, stream, more));
  }
  return bytes;
}

// The same frame again and again.
std::string Repeat(const std::string& frame) {
  std::string bytes;
  for (int i = 0; i < kFramesInRound; ++i) bytes += frame;
  return bytes;
}

// CVE-2023-44487: calls that are taken back as soon as they are made.
std::string RapidReset(uint32_t round) {
  return Calls(round, http2::kRstStream, {"\0\0\0\x08", 4});
}

// CVE-2025-8671: calls that the server is made to end, by a message with flags
// that there are not.
std::string MadeToReset(uint32_t round) {
  return Calls(round, http2::kData, {"\x07\0\0\0\0", 5});
}

// More calls than the connection may have: its bound is never acknowledged.
std::string CallsBeyondTheBound(uint32_t round) {
  return Calls(round, http2::kWindowUpdate, {"\0\0\0\x01", 4});
}

// CVE-2019-9515: each must be acknowledged.
std::string SettingsFlood(uint32_t) {
  return Repeat(http2::Frame(http2::kSettings, 0, 0, {"\0\x04\0\x01\0\0", 6}));
}

// CVE-2019-9512: likewise.
std::string PingFlood(uint32_t) {
  return Repeat(http2::Frame(http2::kPing, 0, 0, "12345678"));
}

// Room for data that nobody sends.
std::string WindowFlood(uint32_t) {
  return Repeat(http2::Frame(http2::kWindowUpdate, 0, 0, {"\0\0\0\x01", 4}));
}

// CVE-2024-27316 and its like: a header block without an end.
std::string EndlessHeaders(uint32_t round) {
  std::string bytes;
  if (round == 0) {
    bytes = http2::Frame(http2::kHeaders, 0, 1, http2::CallHeaders(kPath));
  }
  return bytes + Repeat(http2::Frame(
                     http2::kContinuation, 0, 1,
                     http2::Header("x-padding", std::string(100, 'x'))));
}

// CVE-2019-9518: frames of a stream that carry nothing.
std::string EmptyData(uint32_t round) {
  std::string bytes;
  if (round == 0) {
    bytes = http2::Frame(http2::kHeaders, http2::kEndHeaders, 1,
                         http2::CallHeaders(kPath));
  }
  return bytes + Repeat(http2::Frame(http2::kData, 0, 1, ""));
}

// Messages that say that they are longer than any may be.
std::string OversizedMessages(uint32_t round) {
  return Calls(round, http2::kData, {"\0\x7f\xff\xff\xff", 5});
}

// Whole calls whose messages can't be parsed. Nothing is out of order with them
// but that there are more than are answered.
std::string MalformedMessages(uint32_t round) {
  return Calls(round, http2::kData, {"\0\0\0\0\3\xff\xff\xff", 8},
               http2::kEndStream, "/nfmeter.v1.CounterService/GetCounter");
}

// Attackers have machines of their own: what they compute is not to be taken
// from the server's processors.
void GiveWay() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

// Floods a server until it is destroyed, over connection after connection.
class Attacker {
 public:
  using Connect =
      std::function<absl::StatusOr<std::unique_ptr<Http2Connection>>()>;

  Attacker(Connect connect, Flood flood)
      : connect_(std::move(connect)), flood_(std::move(flood)) {
    thread_ = std::thread([this] { Run(); });
  }
  ~Attacker() {
    stop_ = true;
    thread_.join();
  }

  int connections() const { return connections_; }

 private:
  void Run() {
    GiveWay();
    while (!stop_) {
      auto connection = connect_();
      if (!connection.ok()) continue;
      ++connections_;
      for (uint32_t round = 0; !stop_; ++round) {
        if (!(*connection)->Send(flood_(round))) break;
      }
    }
  }

  const Connect connect_;
  const Flood flood_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

struct FloodCase {
  const char* name;
  Flood flood;
  const char* reason;  // why its connections are dropped, a pattern
};
void PrintTo(const FloodCase& flood, std::ostream* out) { *out << flood.name; }

const auto kFloods = ::testing::Values(
    FloodCase{"RapidReset", RapidReset, "resets"},
    FloodCase{"MadeToReset", MadeToReset, "resets|open_streams"},
    FloodCase{"CallsBeyondTheBound", CallsBeyondTheBound, "open_streams"},
    FloodCase{"Settings", SettingsFlood, "idle_frames"},
    FloodCase{"Ping", PingFlood, "idle_frames"},
    FloodCase{"WindowUpdate", WindowFlood, "idle_frames"},
    FloodCase{"EndlessHeaders", EndlessHeaders, "idle_frames"},
    FloodCase{"EmptyData", EmptyData, "idle_frames"},
    FloodCase{"OversizedMessages", OversizedMessages, "resets|open_streams"},
    FloodCase{"MalformedMessages", MalformedMessages, "resets|open_streams"});

constexpr absl::Duration kTime = absl::Seconds(2);
constexpr absl::Duration kDropPatience = absl::Seconds(30);
// What other tests beside this one may add.
constexpr absl::Duration kJitter = absl::Milliseconds(100);

// The slowest hundredth of another client's calls takes longer than this, in
// a while at the end of which `is_enough`.
absl::Duration Percentile99(Client& client,
                            const std::function<bool()>& is_enough) {
  std::vector<absl::Duration> times;
  const absl::Time begin = absl::Now();
  do {
    const absl::Time start = absl::Now();
    EXPECT_OK(client.GetNode().status());
    times.push_back(absl::Now() - start);
  } while (absl::Now() < begin + kTime ||
           (!is_enough() && absl::Now() < begin + kDropPatience));
  std::sort(times.begin(), times.end());
  return times[times.size() * 99 / 100];
}

// When the flood is over.
void ExpectAtMostDoubled(Client& client, absl::Duration quiet,
                         absl::Duration flooded, int connections) {
  if (flooded >= std::max(2 * quiet, kJitter)) {
    // Other tests may have begun meanwhile.
    quiet = std::max(quiet, Percentile99(client, [] { return true; }));
  }
  printf("p99 of other clients: %s quiet, %s flooded by %d connections\n",
         absl::FormatDuration(quiet).c_str(),
         absl::FormatDuration(flooded).c_str(), connections);
  EXPECT_LT(flooded, std::max(2 * quiet, kJitter));
}

class FloodTest : public ::testing::TestWithParam<FloodCase> {
 protected:
  // Floods the server, and looks after it and others meanwhile.
  void Suffer(FaultServer& server, const Attacker::Connect& connect) {
    const auto client = server.Connect();
    ASSERT_OK(client->GetNode().status());
    const absl::Duration quiet = Percentile99(*client, [] { return true; });
    const size_t before = testing::ResidentKiB(server.pid());
    const std::regex dropped(
        absl::StrCat("connection dropped .*reason=(", GetParam().reason, ")"));
    const auto was_dropped = [&] {
      return std::regex_search(server.process().Log(), dropped);
    };
    absl::Duration flooded;
    {
      const Attacker attacker(connect, GetParam().flood);
      flooded = Percentile99(*client, was_dropped);
      connections_ = attacker.connections();
    }
    EXPECT_TRUE(was_dropped());
    EXPECT_FALSE(server.HasEnded());
    // The most it ever had, so that nothing is missed between two looks.
    EXPECT_LT(testing::PeakResidentKiB(server.pid()), before + kGrowth);
    EXPECT_OK(client->GetNode().status());
    ExpectAtMostDoubled(*client, quiet, flooded, connections_);
  }

  static constexpr size_t kGrowth = 96 << 10;  // KiB of memory meanwhile
  int connections_ = 0;                        // that the attacker made
};

TEST_P(FloodTest, OverASocketCostsOthersLittle) {
  FaultServer server;
  ASSERT_OK(server.Start());
  const std::string socket = server.socket();
  Suffer(server, [&] { return Http2Connection::Open(socket); });
  EXPECT_THAT(server.process().Log(),
              HasSubstr(absl::StrCat("peer=\"pid ", getpid(), ", uid ",
                                     getuid(), "\"")));
}

// A server over TLS, and one client of it.
class TlsVictim {
 public:
  TlsVictim() { certificates_.Issue("newcomer"); }

  Certificates& certificates() { return certificates_; }

  absl::Status Start() {
    server_.emplace(
        FaultServer::Options{.arguments = certificates_.ServerFlags()});
    NFM_RETURN_IF_ERROR(server_->Start());
    address_ = server_->process().TcpAddress("127.0.0.1");
    return absl::OkStatus();
  }
  FaultServer& server() { return *server_; }

  Attacker::Connect ConnectAs(const std::string& name) {
    int port = 0;
    EXPECT_TRUE(
        absl::SimpleAtoi(address_.substr(address_.rfind(':') + 1), &port));
    const http2::Tls tls = {.ca = certificates_.Certificate("ca"),
                            .certificate = certificates_.Certificate(name),
                            .key = certificates_.Key(name)};
    return [tls, port] {
      return Http2Connection::OpenTls(static_cast<uint16_t>(port), tls);
    };
  }

  // As a client that calls once does.
  void ConnectOnce() {
    const auto channel = certificates_.Connect(address_, "newcomer");
    EXPECT_TRUE(channel->WaitForConnected(
        absl::ToChronoTime(absl::Now() + kDropPatience)));
  }

  // Handshakes cost others more than a flood that is stopped: there are those
  // that are tolerated and a few in each second, where there might be hundreds.
  // But nobody is shut out.
  void ExpectFewHandshakes(int connections) {
    EXPECT_LT(connections, 200);
    ConnectOnce();
  }

 private:
  Certificates certificates_;
  std::optional<FaultServer> server_;
  std::string address_;
};

TEST_P(FloodTest, OverTlsCostsOthersLittle) {
  TlsVictim victim;
  victim.certificates().Issue("attacker",
                              {.alternative_names = "URI:spiffe://a/b"});
  ASSERT_OK(victim.Start());
  Suffer(victim.server(), victim.ConnectAs("attacker"));
  EXPECT_THAT(victim.server().process().Log(), HasSubstr("peer=spiffe://a/b"));
  victim.ExpectFewHandshakes(connections_);
}

// Anybody who reaches the port can make the server compute.
TEST(HandshakeFloodTest, HandshakesThatFailCostOthersLittle) {
  TlsVictim victim;
  victim.certificates().MakeAuthority("foreign");
  victim.certificates().Issue("attacker", {.authority = "foreign"});
  ASSERT_OK(victim.Start());
  const auto client = victim.server().Connect();
  ASSERT_OK(client->GetNode().status());
  const absl::Duration quiet = Percentile99(*client, [] { return true; });
  absl::Duration flooded;
  int connections = 0;
  {
    const Attacker attacker(victim.ConnectAs("attacker"), PingFlood);
    flooded = Percentile99(*client, [&] {
      return absl::StrContains(victim.server().process().Log(),
                               "new connections wait from=127.0.0.1");
    });
    connections = attacker.connections();
  }
  ExpectAtMostDoubled(*client, quiet, flooded, connections);
  victim.ExpectFewHandshakes(connections);
}

TEST(HandshakeFloodTest, WhoCallsOnceAgainAndAgainDoesNotWait) {
  TlsVictim victim;
  ASSERT_OK(victim.Start());
  for (int i = 0; i < 50; ++i) victim.ConnectOnce();
  EXPECT_THAT(victim.server().process().Log(),
              Not(HasSubstr("new connections wait")));
}

// gRPC keeps what has come of a message until all of it has, whoever its caller
// is: a socket's mode says who gets in, its role that they may do nothing.
TEST(UnfinishedRequestsTest, TakeBoundedMemoryAndNothingFromOthers) {
  constexpr size_t kBound = 8 << 20;
  FaultServer server(
      {.arguments = {absl::StrCat("--max-pending-bytes=", kBound)}});
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  ASSERT_OK(client->GetNode().status());
  const size_t before = testing::ResidentKiB(server.pid());
  auto connection = Http2Connection::Open(server.socket());
  ASSERT_OK(connection.status());
  // A message that says that it has 15 MiB, and as much of it as a stream may
  // have without asking.
  const std::string headers =
      http2::CallHeaders("/nfmeter.v1.CounterService/BatchGetCounters");
  const std::string begin("\0\0\xf0\0\0", 5);
  const std::string piece(16'000, '\n');
  size_t sent = 0;
  for (uint32_t stream = 1; sent < 4 * kBound; stream += 2) {
    bool open = (*connection)
                    ->Send(http2::Frame(http2::kHeaders, http2::kEndHeaders,
                                        stream, headers)) &&
                (*connection)->SendData(stream, begin);
    for (int i = 0; open && i < 4; ++i) {
      open = (*connection)->SendData(stream, piece);
      sent += piece.size();
    }
    if (!open) break;
  }
  EXPECT_GT(sent, kBound / 2);
  EXPECT_LT(sent, 2 * kBound);
  EXPECT_LT(testing::PeakResidentKiB(server.pid()), before + 4 * kBound / 1024);
  // Who was there all the time does not notice.
  EXPECT_TRUE(testing::Eventually([&] {
    EXPECT_OK(client->GetNode().status());
    return absl::StrContains(server.process().Log(), "reason=request_bytes");
  }));
}

INSTANTIATE_TEST_SUITE_P(All, FloodTest, kFloods,
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nfmeter
