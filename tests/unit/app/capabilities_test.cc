// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/capabilities.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace nfmeter::app {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const service::NodeCapability& Find(
    const std::vector<service::NodeCapability>& capabilities,
    const std::string& name) {
  for (const auto& each : capabilities) {
    if (each.name == name) return each;
  }
  ADD_FAILURE() << "no " << name;
  return capabilities.front();
}

bool Serves(const kernel::Capabilities& found, const std::string& service) {
  for (const ServiceHealth& each : HealthOf(found)) {
    if (each.service == service) return each.serving;
  }
  ADD_FAILURE() << "no " << service;
  return false;
}

TEST(CapabilitiesTest, AvailablePartsNameTheirBackend) {
  const auto capabilities = NodeCapabilities({}, "acct", "tables");
  ASSERT_THAT(capabilities, Not(IsEmpty()));
  for (const auto& each : capabilities) {
    EXPECT_EQ(each.available, each.name != "nfacct_extended") << each.name;
  }
  EXPECT_EQ(Find(capabilities, "nfacct").detail, "acct");
  EXPECT_EQ(Find(capabilities, "nfacct_match_ipv6").detail, "tables");
  EXPECT_EQ(Find(capabilities, "quota_events").detail, "acct");
}

TEST(CapabilitiesTest, TheBackendSaysWhyItIsTheOne) {
  kernel::Capabilities found;
  found.choice = "both work here";
  EXPECT_EQ(Find(NodeCapabilities(found, "acct", "tables"), "backend").detail,
            "iptables: both work here");
  found.backend = kernel::Backend::kNftables;
  const auto nftables = NodeCapabilities(found, "acct", "tables");

  EXPECT_EQ(Find(nftables, "backend").detail, "nf_tables: both work here");
  EXPECT_THAT(Find(nftables, "nf_tables").methods,
              Contains("nfmeter.v1.RuleService/DeleteRule"));
  found.acct = absl::UnimplementedError("no nf_tables");
  EXPECT_EQ(Find(NodeCapabilities(found, "acct", "tables"), "nf_tables").detail,
            "no nf_tables");
}

TEST(CapabilitiesTest, MissingPartsSayWhy) {
  kernel::Capabilities found;
  found.rules.match_ipv6 = absl::UnimplementedError("no such match");
  found.rules.target_ipv6 = absl::UnimplementedError("no such target");
  const auto capabilities = NodeCapabilities(found, "acct", "tables");
  EXPECT_FALSE(Find(capabilities, "nfacct_match_ipv6").available);
  EXPECT_EQ(Find(capabilities, "nfacct_match_ipv6").detail, "no such match");
  EXPECT_TRUE(Find(capabilities, "nfacct_match_ipv4").available);
}

TEST(CapabilitiesTest, ABetterModuleSaysWhatItBringsAndNothingNeedsIt) {
  kernel::Capabilities found;
  const auto stock = NodeCapabilities(found, "acct", "tables");
  EXPECT_FALSE(Find(stock, "nfacct_extended").available);
  EXPECT_THAT(Find(stock, "nfacct_extended").detail, HasSubstr("kmod/"));
  found.features =
      kernel::AcctFeatures{.constant_lookup = true, .stable_dump = true};
  const auto ours = NodeCapabilities(found, "acct", "tables");
  EXPECT_TRUE(Find(ours, "nfacct_extended").available);
  EXPECT_EQ(Find(ours, "nfacct_extended").detail,
            "nfmeter's own nfnetlink_acct: counters are found by hash, "
            "snapshots are whole in one pass");
  EXPECT_THAT(Find(ours, "nfacct_extended").methods, IsEmpty());
  found.features = absl::UnimplementedError("no accounting");
  EXPECT_EQ(Find(NodeCapabilities(found, "", ""), "nfacct_extended").detail,
            "no accounting");
}

TEST(CapabilitiesTest, OneFormOfCountingIsEnough) {
  kernel::Capabilities found;
  found.rules.target_ipv4 = absl::UnimplementedError("no target");
  found.rules.match_ipv6 = absl::UnimplementedError("no match");
  const auto capabilities = NodeCapabilities(found, "acct", "tables");
  EXPECT_THAT(Find(capabilities, "nfacct_match_ipv4").methods, SizeIs(2));
  EXPECT_THAT(Find(capabilities, "nfacct_target_ipv4").methods, IsEmpty());
  EXPECT_THAT(Find(capabilities, "nfacct_target_ipv4").detail,
              HasSubstr("nothing needs it"));
  EXPECT_THAT(Find(capabilities, "nfacct_match_ipv6").methods, IsEmpty());
  EXPECT_THAT(Find(capabilities, "nfacct_match_ipv6").detail,
              HasSubstr("by the NFACCT target instead"));
  EXPECT_THAT(Find(capabilities, "nfacct_target_ipv6").methods, SizeIs(2));
}

TEST(CapabilitiesTest, EachPartNamesTheMethodsThatNeedIt) {
  const auto capabilities = NodeCapabilities({}, "acct", "tables");
  EXPECT_THAT(Find(capabilities, "nfacct").methods,
              Contains("nfmeter.v1.CounterService/BatchCreateCounters"));
  EXPECT_THAT(Find(capabilities, "nfacct").methods,
              Contains("nfmeter.v1.SnapshotService/WatchSnapshots"));
  EXPECT_THAT(Find(capabilities, "nfacct").methods,
              Not(Contains("nfmeter.v1.RuleService/ListRules")));
  EXPECT_THAT(Find(capabilities, "nfacct_match_ipv4").methods,
              ElementsAre("nfmeter.v1.RuleService/CreateRule",
                          "nfmeter.v1.RuleService/BatchCreateRules"));
  EXPECT_THAT(Find(capabilities, "iptables_ipv6").methods,
              Contains("nfmeter.v1.RuleService/ListChains"));
  EXPECT_THAT(Find(capabilities, "quota_events").methods,
              ElementsAre("nfmeter.v1.CounterService/WatchQuotaEvents"));
}

TEST(CapabilitiesTest, AServiceIsHealthyWhileItCanDoItsWork) {
  kernel::Capabilities found;
  for (const char* service :
       {"nfmeter.v1.CounterService", "nfmeter.v1.SnapshotService",
        "nfmeter.v1.RuleService", "nfmeter.v1.PlanService",
        "nfmeter.v1.UsageService", "nfmeter.v1.NodeService"}) {
    EXPECT_TRUE(Serves(found, service)) << service;
  }
  found.rules.tables_ipv6 = absl::UnimplementedError("");
  EXPECT_TRUE(Serves(found, "nfmeter.v1.RuleService"));
  found.rules.tables_ipv4 = absl::UnimplementedError("");
  EXPECT_FALSE(Serves(found, "nfmeter.v1.RuleService"));
  EXPECT_FALSE(Serves(found, "nfmeter.v1.PlanService"));
  found.acct = absl::UnimplementedError("");
  EXPECT_FALSE(Serves(found, "nfmeter.v1.CounterService"));
  EXPECT_FALSE(Serves(found, "nfmeter.v1.SnapshotService"));
  EXPECT_TRUE(Serves(found, "nfmeter.v1.NodeService"));
}

}  // namespace
}  // namespace nfmeter::app
