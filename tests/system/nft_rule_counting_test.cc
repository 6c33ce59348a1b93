// SPDX-License-Identifier: GPL-3.0-or-later
// What rules of nf_tables count, where that could differ from legacy iptables:
// see the table in docs/nf_tables.md.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/nftables/nft_kernel.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/service_cgroup.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::SendUdp;
using ::testing::Each;

constexpr uint16_t kPort = 20000;

class NftRuleCountingTest : public ::testing::Test {
 protected:
  NftRuleCountingTest() : kernel_(*NftKernel::Open()) {
    EXPECT_THAT(kernel_->acct().Create({{.name = "a"}, {.name = "b"}}),
                Each(IsOk()));
  }

  void Insert(RuleSpec spec, Table table = Table::kFilter) {
    TableEdit edit;
    edit.table = table;
    spec.id = spec.counter;
    edit.insertions = {std::move(spec)};
    EXPECT_OK(testing::Edit(kernel_->rules(), edit));
  }
  void Nft(const std::string& command) {
    const auto result = testing::Run({"nft", command});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  uint64_t Packets(const std::string& counter) {
    const auto object = kernel_->acct().Get(counter);
    EXPECT_OK(object);
    return object.ok() ? object->packets : 0;
  }
  RuleSpec Udp(std::string chain, std::string counter) {
    RuleSpec spec = {.chain = std::move(chain), .counter = std::move(counter)};
    spec.match.protocol = {uint8_t{17}};
    spec.match.destination_ports = {{{kPort, kPort}}};
    return spec;
  }

  const std::unique_ptr<NftKernel> kernel_;
};

TEST_F(NftRuleCountingTest, WhatOthersDropInTheSamePlaceIsCounted) {
  Insert(Udp("INPUT", "a"));
  Nft("add table ip other");
  Nft("add chain ip other in { type filter hook input priority filter; }");
  Nft("add rule ip other in udp dport 20000 drop");
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 3u);
}

TEST_F(NftRuleCountingTest, WhatAnEarlierPlaceDropsIsNot) {
  Insert(Udp("INPUT", "a"));
  Nft("add table ip other");
  Nft("add chain ip other in { type filter hook input priority mangle; }");
  Nft("add rule ip other in udp dport 20000 drop");
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 0u);
}

TEST_F(NftRuleCountingTest, AcceptEndsOurChainAndSparesNobodyElses) {
  RuleSpec accept = Udp("INPUT", "a");
  accept.verdict = Verdict::kAccept;
  Insert(accept);
  Nft("add table ip other");
  Nft("add chain ip other in { type filter hook input priority filter; }");
  Nft("add rule ip other in udp dport 20000 counter drop");
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 3u);
  EXPECT_THAT(testing::Run({"nft", "list", "table", "ip", "other"}).out,
              ::testing::HasSubstr("counter packets 3"));
}

TEST_F(NftRuleCountingTest, EachTableSeesThePacketOnItsWay) {
  Insert(Udp("OUTPUT", "a"), Table::kRaw);
  Insert(Udp("PREROUTING", "b"), Table::kMangle);
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 3u);
  EXPECT_EQ(Packets("b"), 3u);
}

// That nobody listens there the kernel itself says, in packets of nobody's.
TEST_F(NftRuleCountingTest, ANegatedOwnerOfAPacketWithoutOneDoesNotHold) {
  RuleSpec answer = {.chain = "OUTPUT", .counter = "a"};
  answer.match.protocol = {uint8_t{1}};
  RuleSpec not_theirs = answer;
  not_theirs.counter = "b";
  not_theirs.match.owner_uid = {{4'000'000, 4'000'000}, /*negated=*/true};
  Insert(answer);
  Insert(not_theirs);
  const std::string legacy =
      "iptables-legacy -t mangle -A OUTPUT -p icmp -m owner ! --uid-owner "
      "4000000";
  ASSERT_EQ(testing::Run({"sh", "-c", legacy}).exit_code, 0);
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 3u);
  EXPECT_EQ(Packets("b"), 0u);
  EXPECT_THAT(testing::Run({"iptables-legacy-save", "-t", "mangle", "-c"}).out,
              ::testing::HasSubstr("[3:"));
}

TEST_F(NftRuleCountingTest, ANegatedOwnerHoldsForPacketsOfOthers) {
  RuleSpec not_theirs = Udp("OUTPUT", "a");
  not_theirs.match.owner_uid = {{4'000'000, 4'000'000}, /*negated=*/true};
  Insert(not_theirs);
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 3u);
}

TEST_F(NftRuleCountingTest, ANegatedSnatOfAPacketWithoutConnectionDoesNotHold) {
  RuleSpec not_snat = Udp("OUTPUT", "a");
  not_snat.match.conntrack_states = {kCtSnat, /*negated=*/true};
  Insert(not_snat);
  // Nothing has connections tracked so far; then that does.
  SendUdp(kPort, 3);
  const uint64_t untracked = Packets("a");
  Nft("add table ip other");
  Nft("add chain ip other out { type filter hook output priority raw; }");
  Nft("add rule ip other out udp dport 20000 notrack");
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), untracked);
}

// A service's cgroup is of the second level.
TEST_F(NftRuleCountingTest, ANegatedCgroupOfAPacketAboveThatLevelDoesNotHold) {
  testing::ServiceCgroup service;
  testing::ServiceCgroup another("another");
  RuleSpec not_service = {.chain = "OUTPUT", .counter = "a"};
  not_service.match.protocol = {uint8_t{17}};
  not_service.match.cgroup_path = {service.path(), /*negated=*/true};
  Insert(not_service);
  const std::string legacy =
      "iptables-legacy -t mangle -A OUTPUT -p udp -m cgroup ! --path " +
      service.path();
  ASSERT_EQ(testing::Run({"sh", "-c", legacy}).exit_code, 0);
  service.Send(1);
  EXPECT_EQ(Packets("a"), 0u);
  another.Send(2);
  EXPECT_EQ(Packets("a"), 2u);
  // Of the first level, and of none: legacy iptables counts them.
  service.SendFromSlice(4);
  SendUdp(kPort, 8);
  EXPECT_EQ(Packets("a"), 2u);
  EXPECT_THAT(testing::Run({"iptables-legacy-save", "-t", "mangle", "-c"}).out,
              ::testing::HasSubstr("[14:"));
}

// `hooks` in nft_socket_validate().
TEST_F(NftRuleCountingTest, CgroupsAreNotAskedForInPostrouting) {
  TableEdit edit = {.table = Table::kMangle};
  edit.insertions = {{.id = "x", .chain = "POSTROUTING", .counter = "a"}};
  edit.insertions[0].match.cgroup_path = {"system.slice"};
  const absl::Status refused = testing::Edit(kernel_->rules(), edit).status();
  EXPECT_THAT(refused, testing::HasReason("RULE_REFUSED"));
  EXPECT_THAT(std::string(refused.message()),
              ::testing::HasSubstr("use OUTPUT"));
}

// The nat table sees the first packet of a connection, once something has
// connections tracked: of counting alone they are not, as in legacy iptables.
TEST_F(NftRuleCountingTest, NatSeesTheFirstPacketOnly) {
  Nft("add table ip other");
  Nft("add chain ip other out { type filter hook output priority filter; }");
  Nft("add rule ip other out ct state new counter");
  Insert(Udp("OUTPUT", "a"), Table::kNat);
  SendUdp(kPort, 3);
  EXPECT_EQ(Packets("a"), 1u);
}

TEST_F(NftRuleCountingTest, ACapDropsOnceItsQuotaIsExceeded) {
  ASSERT_THAT(kernel_->acct().Create(
                  {{.name = "cap",
                    .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 250}}}),
              Each(IsOk()));
  RuleSpec cap = Udp("INPUT", "cap");
  cap.verdict = Verdict::kDrop;
  Insert(cap);
  Nft("add table ip other");
  Nft("add chain ip other in { type filter hook input priority filter; }");
  Nft("add rule ip other in udp dport 20000 counter");
  SendUdp(kPort, 5);
  // All are counted, and the third is the first that goes beyond.
  EXPECT_EQ(Packets("cap"), 5u);
  EXPECT_THAT(testing::Run({"nft", "list", "table", "ip", "other"}).out,
              ::testing::HasSubstr("counter packets 2"));
}

}  // namespace
}  // namespace nfmeter::kernel
