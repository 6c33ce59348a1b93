// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_groups.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/flow_address.h"
#include "tests/unit/accounting/flow_records.h"

namespace nfmeter::accounting {
namespace {

using kernel::FlowRecord;
using ::nfmeter::testing::AddressOf;
using ::nfmeter::testing::Counted;
using ::nfmeter::testing::TcpFlow;
using ::testing::SizeIs;

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

}  // namespace
}  // namespace nfmeter::accounting
