// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_groups.h"

#include "accounting/flows/flow_filter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "tests/unit/accounting/flow_records.h"

namespace nfmeter::accounting {
namespace {

using kernel::FlowRecord;
using ::nfmeter::testing::AddressOf;
using ::nfmeter::testing::Counted;
using ::nfmeter::testing::TcpFlow;
using ::testing::SizeIs;

kernel::IpPrefix Prefix(const char* text) {
  return *kernel::ParseIpPrefix(text);
}

FlowRecord Flow(const std::string& source, uint64_t bytes) {
  return Counted(TcpFlow(source, 1000, "192.0.2.1", 443), {1, bytes}, {1, 10});
}

TEST(FlowGroupsTest, SumsByPrefix) {
  FlowGroups groups({.source = FlowPrefixLengths{.ipv4 = 24, .ipv6 = 48}}, 100);
  for (const FlowRecord& flow :
       {Flow("10.1.2.3", 100), Flow("10.1.2.4", 50), Flow("10.1.3.1", 500)}) {
    groups.Add(flow, SumsOf(flow));
  }
  const FlowRanking ranking = groups.Rank(FlowOrder::kBytes, 10);
  ASSERT_THAT(ranking.groups, SizeIs(2));
  EXPECT_EQ(ranking.groups[0].key.source, AddressOf("10.1.3.0"));
  EXPECT_EQ(ranking.groups[0].sums.bytes(), 510u);
  EXPECT_EQ(ranking.groups[1].key.source, AddressOf("10.1.2.0"));
  EXPECT_EQ(ranking.groups[1].sums.bytes(), 170u);
  EXPECT_EQ(ranking.groups[1].sums.flows, 2u);
  EXPECT_EQ(ranking.other, FlowSums());
  EXPECT_EQ(ranking.total.bytes(), 680u);
}

TEST(FlowGroupsTest, CutsPrefixesInTheMiddleOfAByte) {
  const FlowGrouping grouping = {.source =
                                     FlowPrefixLengths{.ipv4 = 20, .ipv6 = 45}};
  EXPECT_EQ(KeyOf(grouping, Flow("10.1.255.3", 1)).source,
            AddressOf("10.1.240.0"));
  EXPECT_EQ(KeyOf(grouping, TcpFlow("2001:db8:ffff::1", 1, "::1", 2)).source,
            AddressOf("2001:db8:fff8::"));
  EXPECT_EQ(
      KeyOf({.source = FlowPrefixLengths{.ipv4 = 0}}, Flow("10.1.255.3", 1))
          .source,
      AddressOf("0.0.0.0"));
}

TEST(FlowGroupsTest, PutsWhatIsNotListedIntoOther) {
  FlowGroups groups({.source = FlowPrefixLengths{}}, 100);
  for (int i = 1; i <= 5; ++i) {
    const FlowRecord flow = Flow("10.0.0." + std::to_string(i), 100 * i);
    groups.Add(flow, SumsOf(flow));
  }
  const FlowRanking ranking = groups.Rank(FlowOrder::kBytes, 2);
  ASSERT_THAT(ranking.groups, SizeIs(2));
  EXPECT_EQ(ranking.groups[0].sums.bytes(), 510u);
  EXPECT_EQ(ranking.other.flows, 3u);
  EXPECT_EQ(ranking.other.bytes(), 630u);
  EXPECT_EQ(ranking.total.flows, 5u);
  EXPECT_EQ(ranking.groups_found, 5u);
}

TEST(FlowGroupsTest, IsBoundedAndLosesNoSum) {
  FlowGroups groups({.source = FlowPrefixLengths{}}, 2);
  for (int i = 1; i <= 5; ++i) {
    const FlowRecord flow = Flow("10.0.0." + std::to_string(i), 90);
    groups.Add(flow, SumsOf(flow));
    groups.Add(flow, SumsOf(flow));
  }
  const FlowRanking ranking = groups.Rank(FlowOrder::kFlows, 10);
  EXPECT_THAT(ranking.groups, SizeIs(2));
  EXPECT_EQ(ranking.ungrouped_flows, 6u);
  EXPECT_EQ(ranking.other.bytes(), 600u);
  EXPECT_EQ(ranking.total.bytes(), 1000u);
}

TEST(FlowGroupsTest, CountsFlowsWithoutCounters) {
  FlowRecord flow = Flow("10.0.0.1", 1);
  flow.original_counts.reset();
  flow.reply_counts.reset();
  EXPECT_EQ(SumsOf(flow).flows_without_counters, 1u);
  EXPECT_EQ(SumsOf(flow).bytes(), 0u);
}

TEST(FlowGroupsTest, KeepsFamiliesApartOnlyByAddress) {
  const FlowRecord ipv4 = Flow("10.0.0.1", 1);
  const FlowRecord ipv6 = TcpFlow("2001:db8::1", 1, "2001:db8::2", 443);
  const FlowGrouping by_port = {.destination_port = true};
  EXPECT_EQ(KeyOf(by_port, ipv4), KeyOf(by_port, ipv6));
  const FlowGrouping by_nothing = {.source =
                                       FlowPrefixLengths{.ipv4 = 0, .ipv6 = 0}};
  EXPECT_FALSE(KeyOf(by_nothing, ipv4) == KeyOf(by_nothing, ipv6));
}

// A flow behind NAT: what the originator sees and what the responder sees.
FlowRecord Translated() {
  FlowRecord flow = TcpFlow("10.0.0.5", 4000, "203.0.113.7", 80);
  flow.reply.source = AddressOf("192.168.1.10");  // DNAT
  flow.reply.source_port = 8080;
  flow.reply.destination = AddressOf("198.51.100.1");  // SNAT
  flow.reply.destination_port = 61000;
  return flow;
}

TEST(FlowFilterTest, MatchesAnEndInEitherTuple) {
  FlowFilter filter;
  filter.destination.prefix = Prefix("203.0.113.0/24");
  EXPECT_TRUE(filter.Matches(Translated()));
  filter.destination.prefix = Prefix("192.168.0.0/16");
  filter.destination.ports = {{8080, 8080}};
  EXPECT_TRUE(filter.Matches(Translated()));
  filter.source.prefix = Prefix("198.51.100.1");
  EXPECT_TRUE(filter.Matches(Translated()));
  // The originator is no responder.
  filter.source.prefix = Prefix("203.0.113.0/24");
  EXPECT_FALSE(filter.Matches(Translated()));
}

TEST(FlowFilterTest, MatchesWhicheverEnd) {
  FlowFilter filter;
  filter.either = {{.prefix = Prefix("198.51.100.0/24")}};
  EXPECT_TRUE(filter.Matches(Translated()));
  filter.either.push_back({.ports = {{1, 80}}});
  EXPECT_TRUE(filter.Matches(Translated()));
  filter.either.push_back({.ports = {{443, 443}}});
  EXPECT_FALSE(filter.Matches(Translated()));
}

TEST(FlowFilterTest, KeepsFamiliesApart) {
  FlowFilter filter;
  filter.source.prefix = Prefix("0.0.0.0/0");
  EXPECT_TRUE(filter.Matches(Flow("10.0.0.1", 1)));
  EXPECT_FALSE(filter.Matches(TcpFlow("2001:db8::1", 1, "2001:db8::2", 443)));
}

TEST(FlowFilterTest, LooksAtEveryField) {
  FlowRecord flow = Flow("10.0.0.1", 1);
  flow.mark = 0x12;
  flow.zone = 3;
  flow.status = kernel::kFlowSeenReply | kernel::kFlowAssured;
  FlowFilter filter = {.protocol = 6,
                       .mark = kernel::FlowBits{0x10, 0xf0},
                       .zone = 3,
                       .status = {kernel::kFlowAssured,
                                  kernel::kFlowAssured | kernel::kFlowOffload},
                       .tcp_states = {kernel::TcpState::kEstablished}};
  EXPECT_TRUE(filter.Matches(flow));
  const auto without = [&flow](auto change) {
    FlowRecord other = flow;
    change(other);
    return other;
  };
  using R = FlowRecord;
  EXPECT_FALSE(filter.Matches(without([](R& r) { r.protocol = 17; })));
  EXPECT_FALSE(filter.Matches(without([](R& r) { r.mark = 0x22; })));
  EXPECT_FALSE(filter.Matches(without([](R& r) { r.zone = 0; })));
  EXPECT_FALSE(filter.Matches(without([](R& r) { r.status = 0; })));
  EXPECT_FALSE(
      filter.Matches(without([](R& r) { r.status |= kernel::kFlowOffload; })));
  EXPECT_FALSE(filter.Matches(without([](R& r) { r.tcp_state.reset(); })));
}

TEST(FlowFilterTest, AsksTheKernelForWhatAllWant) {
  FlowFilter tcp = {.protocol = 6};
  tcp.source.prefix = Prefix("10.0.0.0/8");
  const kernel::FlowDumpFilter asked = tcp.ForKernel();
  EXPECT_EQ(asked.family, kernel::Family::kIpv4);
  EXPECT_EQ(asked.protocol, 6);
  const FlowFilter udp = {.family = kernel::Family::kIpv4, .protocol = 17};
  const kernel::FlowDumpFilter common = InCommon(asked, udp.ForKernel());
  EXPECT_EQ(common.family, kernel::Family::kIpv4);
  EXPECT_FALSE(common.protocol.has_value());
  EXPECT_FALSE(InCommon(asked, {}).has_any());
}

}  // namespace
}  // namespace nfmeter::accounting
