// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_filter.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "tests/support/flow_address.h"
#include "tests/unit/accounting/flow_records.h"

namespace nfmeter::accounting {
namespace {

using kernel::FlowRecord;
using ::nfmeter::testing::AddressOf;
using ::nfmeter::testing::TcpFlow;

kernel::IpPrefix Prefix(const char* text) {
  return *kernel::ParseIpPrefix(text);
}

FlowRecord Web() { return TcpFlow("10.0.0.1", 1000, "192.0.2.1", 443); }

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
  EXPECT_TRUE(filter.Matches(Web()));
  EXPECT_FALSE(filter.Matches(TcpFlow("2001:db8::1", 1, "2001:db8::2", 443)));
}

TEST(FlowFilterTest, LooksAtEveryField) {
  FlowRecord flow = Web();
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
