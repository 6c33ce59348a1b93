// SPDX-License-Identifier: GPL-3.0-or-later
// What is said of flows, held against accounting objects that counted the same
// packets and against what was sent.
#include <sys/wait.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "accounting/flows/flow_hub.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/conntrack/netlink_flow_table.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "tests/support/flow_address.h"
#include "tests/support/flow_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/system/flow_network.h"

namespace nfmeter::accounting {
namespace {

namespace testing = ::nfmeter::testing;
using kernel::FlowCounts;
using ::nfmeter::testing::AddressOf;
using ::nfmeter::testing::Do;
using ::nfmeter::testing::FlowNetwork;
using ::nfmeter::testing::kTcp;
using ::nfmeter::testing::kUdp;
using ::nfmeter::testing::SetConntrack;
using ::nfmeter::testing::UdpEnd;
using ::nfmeter::testing::WakeConntrack;

class FlowAccountingTest : public ::testing::Test {
 protected:
  FlowAccountingTest() {
    SetConntrack("acct", 1);
    SetConntrack("timestamp", 1);
    SetConntrack("events", 1);
  }

  void MakeHub(const kernel::NetlinkFlowTable::Options& options = {}) {
    table_ = kernel::NetlinkFlowTable::Open(options);
    hub_ = FlowHub::Create(*table_, SystemClock(), {});
  }

  // Counts what passes a chain; `match` are words of iptables.
  void CountBy(const std::string& name, const std::string& tool,
               const std::string& match) {
    if (!acct_->Get(name).ok()) {
      ASSERT_OK(acct_->Create({{.name = name}}).front());
    }
    Do(absl::StrCat(tool, " -w -A ", match, " -m nfacct --nfacct-name ", name));
  }
  FlowCounts Counted(const std::string& name) {
    const auto object = acct_->Get(name);
    EXPECT_OK(object);
    return object.ok() ? FlowCounts{object->packets, object->bytes}
                       : FlowCounts();
  }

  FlowSums Total(const FlowFilter& filter) {
    const auto summary =
        hub_->Summarize({.filter = filter, .limit = 10}, absl::ZeroDuration());
    EXPECT_OK(summary);
    if (!summary.ok()) return {};
    EXPECT_TRUE((*summary)->reading.complete);
    return (*summary)->ranking.total;
  }

  std::unique_ptr<kernel::AcctTable> acct_ =
      kernel::NetlinkAcctTable::Open().value();
  std::unique_ptr<kernel::NetlinkFlowTable> table_;
  std::unique_ptr<FlowHub> hub_;
};

FlowFilter Protocol(uint8_t protocol, kernel::Family family) {
  return {.family = family, .protocol = protocol};
}

// Takes TCP connections on a port, reads all, answers `answer` bytes; as many
// connections as told.
void ServeTcp(int family, uint16_t port, size_t answer,
              absl::Notification& listening) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage at{};
  socklen_t size = sizeof(sockaddr_in);
  if (family == AF_INET) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(at);
    ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  } else {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(at);
    ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    size = sizeof(sockaddr_in6);
  }
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  listening.Notify();
  const int peer = accept(fd, nullptr, nullptr);
  ASSERT_GE(peer, 0);
  std::vector<char> buffer(1 << 16);
  while (read(peer, buffer.data(), buffer.size()) > 0) {
  }
  const std::string text(answer, 'y');
  ASSERT_EQ(write(peer, text.data(), text.size()),
            static_cast<ssize_t>(text.size()));
  close(peer);
  close(fd);
}

void SendTcp(const std::string& to, uint16_t port, size_t bytes) {
  const bool is_ipv4 = to.find(':') == std::string::npos;
  const int fd =
      socket(is_ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage at{};
  socklen_t size;
  if (is_ipv4) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(at);
    ipv4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, to.c_str(), &ipv4.sin_addr);
    size = sizeof(ipv4);
  } else {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(at);
    ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, to.c_str(), &ipv6.sin6_addr);
    size = sizeof(ipv6);
  }
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&at), size), 0)
      << strerror(errno);
  const std::string text(bytes, 'x');
  size_t sent = 0;
  while (sent < bytes) {
    const ssize_t written = write(fd, text.data() + sent, bytes - sent);
    ASSERT_GT(written, 0) << strerror(errno);
    sent += static_cast<size_t>(written);
  }
  shutdown(fd, SHUT_WR);
  std::vector<char> buffer(1 << 16);
  while (read(fd, buffer.data(), buffer.size()) > 0) {
  }
  close(fd);
}

void TransferTcp(FlowNetwork& network, const std::string& to, uint16_t port,
                 size_t bytes, size_t answer) {
  absl::Notification listening;
  const int family = to.find(':') == std::string::npos ? AF_INET : AF_INET6;
  std::thread server([&] {
    network.In("server", [&] { ServeTcp(family, port, answer, listening); });
  });
  listening.WaitForNotification();
  network.In("client", [&] { SendTcp(to, port, bytes); });
  server.join();
}

TEST_F(FlowAccountingTest, UdpThroughNatIsWhatWasSentAndWhatWasCounted) {
  FlowNetwork network;
  CountBy("udp4", "iptables-legacy", "FORWARD -p udp");
  CountBy("udp6", "ip6tables-legacy", "FORWARD -p udp");
  MakeHub();
  network.In("server", [&] {
    UdpEnd listener4("10.0.2.2", 7000);
    UdpEnd listener6("fd02::2", 7000);
    network.In("client", [] {
      UdpEnd("10.0.1.2", 5000).SendTo("10.0.2.2", 7000, 50, 972);
      UdpEnd("10.0.1.2", 5001).SendTo("10.0.2.2", 7000, 7, 72);
      UdpEnd("fd01::2", 5000).SendTo("fd02::2", 7000, 30, 952);
    });
  });
  const FlowSums ipv4 = Total(Protocol(kUdp, kernel::Family::kIpv4));
  EXPECT_EQ(ipv4.flows, 2u);
  EXPECT_EQ(ipv4.original, (FlowCounts{57, 50 * 1000 + 7 * 100}));
  EXPECT_EQ(ipv4.original, Counted("udp4"));
  EXPECT_EQ(ipv4.reply, FlowCounts());
  const FlowSums ipv6 = Total(Protocol(kUdp, kernel::Family::kIpv6));
  EXPECT_EQ(ipv6.original, (FlowCounts{30, 30 * 1000}));
  EXPECT_EQ(ipv6.original, Counted("udp6"));
}

TEST_F(FlowAccountingTest, TcpThroughNatIsWhatWasCounted) {
  FlowNetwork network;
  for (const char* tool : {"iptables-legacy", "ip6tables-legacy"}) {
    const std::string suffix =
        std::string(tool) == "iptables-legacy" ? "4" : "6";
    CountBy("there" + suffix, tool, "FORWARD -p tcp --dport 8080");
    CountBy("back" + suffix, tool, "FORWARD -p tcp --sport 8080");
  }
  MakeHub();
  constexpr size_t kSent = 5'000'000;
  constexpr size_t kAnswer = 20'000;
  TransferTcp(network, "10.0.2.2", 8080, kSent, kAnswer);
  TransferTcp(network, "fd02::2", 8080, kSent, kAnswer);
  for (const auto& [family, suffix] : {std::pair(kernel::Family::kIpv4, "4"),
                                       std::pair(kernel::Family::kIpv6, "6")}) {
    const FlowSums sums = Total(Protocol(kTcp, family));
    EXPECT_EQ(sums.flows, 1u);
    EXPECT_EQ(sums.original, Counted(absl::StrCat("there", suffix)));
    EXPECT_EQ(sums.reply, Counted(absl::StrCat("back", suffix)));
    EXPECT_GT(sums.original.bytes, kSent);
    EXPECT_GT(sums.reply.bytes, kAnswer);
  }
}

TEST_F(FlowAccountingTest, ShowsBothSidesOfNat) {
  FlowNetwork network;
  MakeHub();
  network.In("server", [&] {
    UdpEnd listener("10.0.2.2", 7000);
    network.In("client", [] {
      UdpEnd("10.0.1.2", 5000).SendTo("10.0.2.2", 7000, 1, 72);
    });
  });
  absl::Notification ready;
  std::vector<kernel::FlowRecord> flows;
  FlowFilter filter = Protocol(kUdp, kernel::Family::kIpv4);
  std::atomic<bool> ended = false;
  const auto listing = hub_->List(filter, absl::ZeroDuration(), [&] {
    if (!ended.exchange(true)) ready.Notify();
  });
  ready.WaitForNotification();
  while (const FlowChunk chunk = listing->Take()) {
    flows.insert(flows.end(), chunk->begin(), chunk->end());
  }
  ASSERT_EQ(flows.size(), 1u);
  EXPECT_EQ(flows[0].original.source, AddressOf("10.0.1.2"));
  EXPECT_EQ(flows[0].original.destination, AddressOf("10.0.2.2"));
  EXPECT_EQ(flows[0].reply.source, AddressOf("10.0.2.2"));
  EXPECT_EQ(flows[0].reply.destination, AddressOf("10.0.2.1"));
  EXPECT_TRUE(flows[0].status & kernel::kFlowSourceNat);
}

// Both count what they see as one.
TEST_F(FlowAccountingTest, AgreesWithTheConntrackTool) {
  WakeConntrack();
  MakeHub();
  UdpEnd listener4("127.0.0.1", 7000);
  UdpEnd listener6("::1", 7000);
  for (uint16_t port = 5000; port < 5200; ++port) {
    UdpEnd("127.0.0.1", port).SendTo("127.0.0.1", 7000, 1 + port % 5, 72);
    UdpEnd("::1", port).SendTo("::1", 7000, 1 + port % 3, 52);
  }
  FlowSums theirs;
  for (const char* family : {"ipv4", "ipv6"}) {
    const std::string out = Do(absl::StrCat("conntrack -L -f ", family));
    for (const absl::string_view line : absl::StrSplit(out, '\n')) {
      if (line.empty()) continue;
      ++theirs.flows;
      bool reply = false;
      for (const absl::string_view word : absl::StrSplit(line, ' ')) {
        const std::vector<std::string> parts = absl::StrSplit(word, '=');
        uint64_t value = 0;
        if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &value)) continue;
        FlowCounts& counts = reply ? theirs.reply : theirs.original;
        if (parts[0] == "packets") counts.packets += value;
        if (parts[0] == "bytes") {
          counts.bytes += value;
          reply = true;
        }
      }
    }
  }
  EXPECT_EQ(Total({}), theirs);
  EXPECT_EQ(theirs.flows, 400u);
}

// Flows by the thousand a second, which others end all the time. Never while a
// packet is under way: the kernel itself does not tell of one that it counts
// between the end's message and the end.
class FlowChurn {
 public:
  explicit FlowChurn(int flows_per_second)
      : thread_([this, flows_per_second] { Send(flows_per_second); }),
        ender_([this] {
          while (!done_) {
            {
              absl::MutexLock lock(&sending_);
              testing::Run({"conntrack", "-F"});
            }
            absl::SleepFor(absl::Milliseconds(20));
          }
        }) {}
  ~FlowChurn() { Stop(); }

  void Stop() {
    if (done_.exchange(true)) return;
    thread_.join();
    ender_.join();
  }
  uint64_t flows() const { return flows_; }

 private:
  void Send(int flows_per_second) {
    UdpEnd listener("127.0.0.1", 7000);
    const absl::Time start = absl::Now();
    while (!done_) {
      const double due =
          absl::ToDoubleSeconds(absl::Now() - start) * flows_per_second;
      if (static_cast<double>(flows_) >= due) {
        absl::SleepFor(absl::Milliseconds(1));
        continue;
      }
      absl::MutexLock lock(&sending_);
      const auto port = static_cast<uint16_t>(10'000 + flows_ % 50'000);
      UdpEnd("127.0.0.1", port).SendTo("127.0.0.1", 7000, 2, 72);
      ++flows_;
    }
  }

  std::atomic<bool> done_ = false;
  std::atomic<uint64_t> flows_ = 0;
  absl::Mutex sending_;
  std::thread thread_;
  std::thread ender_;
};

struct WatchedSum {
  FlowSums sums;
  FlowLosses losses;
  int frames = 0;
};

// The frames of a watch, from now on.
class FrameReader {
 public:
  FrameReader(FlowHub& hub, const FlowQuery& query)
      : watch_(hub.Watch(query, absl::Seconds(1), [this] {
          absl::MutexLock lock(&mutex_);
          ready_ = true;
        })) {}
  ~FrameReader() { watch_->Cancel(); }

  // Adds the frames that come until one has ended after `time`.
  void ReadUntil(absl::Time time, WatchedSum& sum) {
    while (true) {
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(&ready_));
        ready_ = false;
      }
      ASSERT_FALSE(watch_->End().has_value()) << *watch_->End();
      const auto frame = watch_->Take();
      if (!frame.has_value()) continue;
      sum.sums += frame->ranking.total;
      sum.losses += frame->losses;
      ++sum.frames;
      if (frame->until.wall_time > time) return;
    }
  }

 private:
  absl::Mutex mutex_;
  bool ready_ = false;
  const std::shared_ptr<FlowWatch> watch_;
};

class FlowWatchTest : public FlowAccountingTest,
                      public ::testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(Timestamps, FlowWatchTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "On" : "Off";
                         });

TEST_P(FlowWatchTest, IsExactWhileTenThousandFlowsASecondComeAndGo) {
  SetConntrack("timestamp", GetParam() ? 1 : 0);
  WakeConntrack();
  CountBy("udp", "iptables-legacy", "OUTPUT -p udp --dport 7000");
  MakeHub();
  FlowQuery query = {.limit = 10};
  query.filter = Protocol(kUdp, kernel::Family::kIpv4);
  FrameReader reader(*hub_, query);
  WatchedSum sum;
  reader.ReadUntil(absl::Now(), sum);  // the baseline is taken
  FlowChurn churn(10'000);
  reader.ReadUntil(absl::Now() + absl::Seconds(4), sum);
  churn.Stop();
  reader.ReadUntil(absl::Now(), sum);
  reader.ReadUntil(absl::Now(), sum);
  EXPECT_GT(churn.flows(), 20'000u);
  EXPECT_GT(sum.sums.ended_flows, churn.flows() / 2);
  EXPECT_EQ(sum.losses.lost_ends, 0u);
  EXPECT_FALSE(sum.losses.any());
  EXPECT_EQ(sum.sums.original, Counted("udp"));
}

TEST_F(FlowAccountingTest, DeclaresEndsThatTheKernelDropped) {
  WakeConntrack();
  CountBy("udp", "iptables-legacy", "OUTPUT -p udp --dport 7000");
  MakeHub({.death_buffer_bytes = 4'096});
  FlowQuery query = {.limit = 10};
  query.filter = Protocol(kUdp, kernel::Family::kIpv4);
  FrameReader reader(*hub_, query);
  WatchedSum sum;
  reader.ReadUntil(absl::Now(), sum);
  FlowChurn churn(5'000);
  reader.ReadUntil(absl::Now() + absl::Seconds(2), sum);
  churn.Stop();
  reader.ReadUntil(absl::Now(), sum);
  reader.ReadUntil(absl::Now(), sum);
  EXPECT_GT(sum.losses.lost_ends, 0u);
  EXPECT_TRUE(sum.losses.any());
  EXPECT_LT(sum.sums.original.packets, Counted("udp").packets);
}

// The kernel's default: it tells nothing of the ends of flows that are older
// than the first who listens.
TEST_F(FlowAccountingTest, DeclaresFlowsThatWentWithoutAWord) {
  SetConntrack("events", 2);
  WakeConntrack();
  CountBy("udp", "iptables-legacy", "OUTPUT -p udp --dport 7000");
  UdpEnd listener("127.0.0.1", 7000);
  const auto send = [](int packets) {
    for (uint16_t port = 5000; port < 5010; ++port) {
      UdpEnd("127.0.0.1", port).SendTo("127.0.0.1", 7000, packets, 72);
    }
  };
  send(1);
  MakeHub();
  FlowQuery query = {.limit = 10};
  query.filter = Protocol(kUdp, kernel::Family::kIpv4);
  FrameReader reader(*hub_, query);
  WatchedSum sum;
  reader.ReadUntil(absl::Now(), sum);
  EXPECT_FALSE(sum.losses.any());
  send(2);
  Do("conntrack -F");
  WatchedSum next;
  // Whoever listens in another namespace has the kernel tell of ends in all of
  // them (seen in 6.18): of those nothing is missing, and of the others it is
  // said. Others may resize the table, which is one for the whole machine, and
  // then nobody knows what is missing until the next reading.
  const auto known = [&] {
    return next.sums.ended_flows + next.losses.findings.awaited;
  };
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (known() < 10 && absl::Now() < deadline) {
    reader.ReadUntil(absl::Now(), next);
  }
  EXPECT_EQ(known(), 10u);
  EXPECT_EQ(next.losses.any(), next.losses.findings.awaited > 0);
  EXPECT_EQ(next.sums.original.packets, 2 * next.sums.ended_flows);
}

// The table is one for the whole machine: it is put back as it was.
TEST_F(FlowAccountingTest, NoticesThatTheTableIsResizedUnderADump) {
  const auto buckets = [](const std::string& what) {
    return testing::Run(
        {"nsenter", "-t", absl::StrCat(getppid()), "-n", "sh", "-c",
         absl::StrCat("f=/proc/sys/net/netfilter/nf_conntrack_buckets; ",
                      what)});
  };
  if (buckets("test -w $f").exit_code != 0) {
    GTEST_SKIP() << "nf_conntrack_buckets can be written only in the first "
                    "network namespace, which is not to be had here";
  }
  WakeConntrack();
  MakeHub();
  UdpEnd listener("127.0.0.1", 7000);
  for (int port = 10'000; port < 13'000; ++port) {
    UdpEnd("127.0.0.1", static_cast<uint16_t>(port))
        .SendTo("127.0.0.1", 7000, 1, 72);
  }
  const std::string before = buckets("cat $f").out;
  uint32_t number = 0;
  ASSERT_TRUE(absl::SimpleAtoi(before, &number));
  bool resized = false;
  const auto outcome = table_->Dump(
      {}, [](const kernel::FlowRecord&) {},
      [&] {
        if (!std::exchange(resized, true)) {
          buckets(absl::StrCat("echo ", number / 2, " > $f"));
        }
        return kernel::FlowDumpStep::kGoOn;
      });
  buckets(absl::StrCat("echo ", number, " > $f"));
  EXPECT_EQ(buckets("cat $f").out, before);
  ASSERT_OK(outcome);
  EXPECT_TRUE(resized);
  EXPECT_FALSE(outcome->complete);
  // And a summary is simply read again.
  EXPECT_EQ(Total(Protocol(kUdp, kernel::Family::kIpv4)).flows, 3'000u);
}

TEST_F(FlowAccountingTest, SaysThatAccountingIsOff) {
  SetConntrack("acct", 0);
  WakeConntrack();
  MakeHub();
  UdpEnd listener("127.0.0.1", 7000);
  UdpEnd("127.0.0.1", 5000).SendTo("127.0.0.1", 7000, 3, 72);
  const auto summary = hub_->Summarize({.limit = 1}, absl::ZeroDuration());
  ASSERT_OK(summary);
  EXPECT_FALSE((*summary)->reading.tracking.accounting);
  EXPECT_EQ((*summary)->ranking.total.flows_without_counters, 1u);
  ASSERT_OK(table_->EnableAccounting());
  EXPECT_EQ(Total({}).flows_without_counters, 1u);
  UdpEnd("127.0.0.1", 5001).SendTo("127.0.0.1", 7000, 3, 72);
  EXPECT_EQ(Total({}).original, (FlowCounts{3, 300}));
}

}  // namespace
}  // namespace nfmeter::accounting
