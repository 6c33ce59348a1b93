// SPDX-License-Identifier: GPL-3.0-or-later
// What every FlowTable does, in memory and on the real kernel alike.
#include "kernel/flow_table.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_flow_table.h"
#include "kernel/linux/conntrack/netlink_flow_table.h"
#include "tests/support/flow_address.h"
#include "tests/support/flow_traffic.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::AddressOf;
using ::nfmeter::testing::kUdp;
using ::nfmeter::testing::Run;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::UdpEnd;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;
using Code = absl::StatusCode;

// What one packet counts: payload and the headers of IPv4 and UDP.
constexpr size_t kPayload = 72;
constexpr uint64_t kPacketBytes = 100;

// Connection tracking in which UDP flows come and go between ports of
// loopback. Nobody answers, but what arrives nowhere is counted too.
class World {
 public:
  virtual ~World() = default;
  virtual FlowTable& table() = 0;
  virtual void Send(uint16_t from, uint16_t to, int packets) = 0;
  virtual void End(uint16_t from, uint16_t to) = 0;
  virtual void TurnAccountingOff() = 0;
};

FlowRecord UdpFlow(uint16_t from, uint16_t to) {
  FlowRecord flow;
  flow.protocol = kUdp;
  flow.original = {.source = AddressOf("127.0.0.1"),
                   .destination = AddressOf("127.0.0.1"),
                   .source_port = from,
                   .destination_port = to};
  return flow;
}

class FakeWorld : public World {
 public:
  FlowTable& table() override { return table_; }
  void Send(uint16_t from, uint16_t to, int packets) override {
    for (int i = 0; i < packets; ++i) {
      table_.Count(UdpFlow(from, to), {1, kPacketBytes}, {});
    }
  }
  void End(uint16_t from, uint16_t to) override {
    table_.End(UdpFlow(from, to));
  }
  void TurnAccountingOff() override {
    FlowTracking tracking = *table_.Tracking();
    tracking.accounting = tracking.timestamps = false;
    table_.SetTracking(tracking);
  }

 private:
  FakeFlowTable table_;
};

class LinuxWorld : public World {
 public:
  LinuxWorld() : table_(NetlinkFlowTable::Open()) {
    testing::WakeConntrack();
    testing::SetConntrack("acct", 1);
    testing::SetConntrack("timestamp", 1);
    testing::SetConntrack("events", 1);
  }
  FlowTable& table() override { return *table_; }
  void Send(uint16_t from, uint16_t to, int packets) override {
    // Somebody has to listen, or an ICMP error comes back.
    UdpEnd listener("127.0.0.1", to);
    UdpEnd("127.0.0.1", from).SendTo("127.0.0.1", to, packets, kPayload);
  }
  void End(uint16_t from, uint16_t to) override {
    const auto result = Run({"conntrack", "-D", "-p", "udp", "--sport",
                             absl::StrCat(from), "--dport", absl::StrCat(to)});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  void TurnAccountingOff() override {
    testing::SetConntrack("acct", 0);
    testing::SetConntrack("timestamp", 0);
  }

 private:
  const std::unique_ptr<NetlinkFlowTable> table_;
};

template <typename T>
std::unique_ptr<World> Make() {
  return std::make_unique<T>();
}

struct Kind {
  const char* name;
  std::unique_ptr<World> (*make)();

  friend void PrintTo(const Kind& kind, std::ostream* out) {
    *out << kind.name;
  }
};

class FlowTableTest : public ::testing::TestWithParam<Kind> {
 protected:
  FlowTable& table() { return world_->table(); }

  std::vector<FlowRecord> DumpAll(const FlowDumpFilter& filter = {}) {
    std::vector<FlowRecord> flows;
    const auto outcome = table().Dump(
        filter, [&](const FlowRecord& flow) { flows.push_back(flow); },
        [] { return FlowDumpStep::kGoOn; });
    EXPECT_OK(outcome);
    if (outcome.ok()) {
      EXPECT_TRUE(outcome->complete);
      EXPECT_EQ(outcome->flows, flows.size());
    }
    return flows;
  }

  std::vector<FlowRecord> Drain(FlowDeaths& deaths) {
    std::vector<FlowRecord> flows;
    const auto outcome =
        deaths.Drain([&](const FlowRecord& flow) { flows.push_back(flow); });
    EXPECT_OK(outcome);
    if (outcome.ok()) {
      EXPECT_EQ(outcome->deaths, flows.size());
      EXPECT_FALSE(outcome->any_lost);
    }
    return flows;
  }

  const std::unique_ptr<World> world_ = GetParam().make();
};

INSTANTIATE_TEST_SUITE_P(All, FlowTableTest,
                         ::testing::Values(Kind{"Fake", Make<FakeWorld>},
                                           Kind{"Linux", Make<LinuxWorld>}),
                         [](const auto& info) { return info.param.name; });

TEST_P(FlowTableTest, ProbesAnEmptyTable) {
  EXPECT_OK(table().Probe());
  EXPECT_THAT(DumpAll(), IsEmpty());
}

TEST_P(FlowTableTest, ShowsWhatAFlowIsAndHasCounted) {
  world_->Send(5001, 6001, 3);
  const std::vector<FlowRecord> flows = DumpAll();
  ASSERT_THAT(flows, SizeIs(1));
  const FlowRecord& flow = flows[0];
  EXPECT_EQ(flow.family, Family::kIpv4);
  EXPECT_EQ(flow.protocol, kUdp);
  EXPECT_EQ(flow.original, UdpFlow(5001, 6001).original);
  EXPECT_EQ(flow.reply, UdpFlow(6001, 5001).original);
  EXPECT_THAT(flow.original_counts, Optional(FlowCounts{3, 3 * kPacketBytes}));
  EXPECT_THAT(flow.reply_counts, Optional(FlowCounts{}));
  EXPECT_GT(flow.start_ns, 0u);
  EXPECT_GT(flow.timeout_seconds, 0u);
  EXPECT_TRUE(flow.status & kFlowConfirmed);
  EXPECT_FALSE(flow.status & kFlowSeenReply);
  EXPECT_FALSE(flow.tcp_state.has_value());
}

TEST_P(FlowTableTest, ReadingDoesNotZero) {
  world_->Send(5001, 6001, 3);
  DumpAll();
  world_->Send(5001, 6001, 2);
  const std::vector<FlowRecord> flows = DumpAll();
  ASSERT_THAT(flows, SizeIs(1));
  EXPECT_THAT(flows[0].original_counts,
              Optional(FlowCounts{5, 5 * kPacketBytes}));
}

TEST_P(FlowTableTest, CountsNothingForFlowsThatBeganWhileAccountingWasOff) {
  world_->TurnAccountingOff();
  const auto off = table().Tracking();
  ASSERT_OK(off);
  EXPECT_FALSE(off->accounting);
  EXPECT_FALSE(off->timestamps);
  world_->Send(5001, 6001, 3);
  ASSERT_OK(table().EnableAccounting());
  world_->Send(5001, 6001, 1);
  world_->Send(5002, 6002, 1);
  const auto on = table().Tracking();
  ASSERT_OK(on);
  EXPECT_TRUE(on->accounting);
  EXPECT_TRUE(on->timestamps);
  EXPECT_EQ(on->flows, 2u);
  EXPECT_GT(on->max_flows, 2u);
  EXPECT_GT(on->buckets, 0u);
  const std::vector<FlowRecord> flows = DumpAll();
  ASSERT_THAT(flows, SizeIs(2));
  for (const FlowRecord& flow : flows) {
    const bool is_old = flow.original.source_port == 5001;
    EXPECT_EQ(flow.original_counts.has_value(), !is_old);
    EXPECT_EQ(flow.start_ns == 0, is_old);
  }
}

TEST_P(FlowTableTest, StopsADumpWhenTold) {
  world_->Send(5001, 6001, 1);
  EXPECT_THAT(
      table().Dump(
          {}, [](const FlowRecord&) {}, [] { return FlowDumpStep::kStop; }),
      StatusIs(Code::kCancelled));
}

TEST_P(FlowTableTest, BringsAtLeastWhatTheFilterAsksFor) {
  world_->Send(5001, 6001, 1);
  const FlowDumpFilter udp = {.family = Family::kIpv4, .protocol = kUdp};
  EXPECT_THAT(DumpAll(udp), SizeIs(1));
  EXPECT_THAT(DumpAll({.mark = FlowBits{0, 0xff}}), SizeIs(1));
  // Both can leave these out.
  EXPECT_THAT(DumpAll({.family = Family::kIpv6}), IsEmpty());
  EXPECT_THAT(DumpAll({.family = Family::kIpv4, .protocol = testing::kTcp}),
              IsEmpty());
  EXPECT_THAT(DumpAll({.mark = FlowBits{7, 0xff}}), IsEmpty());
}

TEST_P(FlowTableTest, TellsOfEndsWithFinalCounts) {
  world_->Send(5001, 6001, 1);
  const auto deaths = table().WatchDeaths();
  ASSERT_OK(deaths);
  world_->Send(5001, 6001, 2);
  world_->Send(5002, 6002, 1);
  const std::vector<FlowRecord> before = DumpAll();
  EXPECT_THAT(Drain(**deaths), IsEmpty());
  world_->End(5001, 6001);
  const std::vector<FlowRecord> ended = Drain(**deaths);
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].original, UdpFlow(5001, 6001).original);
  EXPECT_THAT(ended[0].original_counts,
              Optional(FlowCounts{3, 3 * kPacketBytes}));
  EXPECT_GT(ended[0].stop_ns, ended[0].start_ns);
  // The one that was dumped.
  ASSERT_THAT(before, SizeIs(2));
  EXPECT_THAT(
      FlowIdentity(ended[0]),
      ::testing::AnyOf(FlowIdentity(before[0]), FlowIdentity(before[1])));
  EXPECT_THAT(DumpAll(), SizeIs(1));
  EXPECT_THAT(Drain(**deaths), IsEmpty());
}

TEST_P(FlowTableTest, TellsEverySubscriber) {
  const auto one = table().WatchDeaths();
  const auto other = table().WatchDeaths();
  ASSERT_OK(one);
  ASSERT_OK(other);
  world_->Send(5001, 6001, 1);
  world_->End(5001, 6001);
  EXPECT_THAT(Drain(**one), SizeIs(1));
  EXPECT_THAT(Drain(**other), SizeIs(1));
}

}  // namespace
}  // namespace nfmeter::kernel
