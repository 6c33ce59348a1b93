// SPDX-License-Identifier: GPL-3.0-or-later
// Plans against a model that asks each account in turn.
#include "accounting/plans/plan_compiler.h"

#include <netinet/in.h>

#include <algorithm>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/accounting/plan_traffic.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::ChainWalk;
using ::nfmeter::testing::CountByPlan;
using ::nfmeter::testing::Counts;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::Packet;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;

using Random = std::mt19937_64;

uint32_t Below(Random& random, uint32_t bound) {
  return static_cast<uint32_t>(random() % bound);
}

// From a small part of the addresses, so that prefixes nest and meet.
std::array<uint8_t, 16> RandomAddress(Random& random, kernel::Family family) {
  std::array<uint8_t, 16> address{};
  if (family == kernel::Family::kIpv4) {
    address[0] = 10;
    address[2] = static_cast<uint8_t>(Below(random, 4));
    address[3] = static_cast<uint8_t>(Below(random, 256));
    return address;
  }
  address[0] = 0x20;
  address[1] = 0x01;
  address[7] = static_cast<uint8_t>(Below(random, 4));
  address[15] = static_cast<uint8_t>(Below(random, 256));
  return address;
}

kernel::IpPrefix Masked(const std::array<uint8_t, 16>& address,
                        kernel::Family family, size_t length) {
  kernel::IpPrefix prefix{.family = family};
  for (size_t bit = 0; bit < length; ++bit) {
    prefix.mask[bit / 8] |= static_cast<uint8_t>(0x80 >> (bit % 8));
  }
  for (size_t i = 0; i < address.size(); ++i) {
    prefix.address[i] = address[i] & prefix.mask[i];
  }
  return prefix;
}

kernel::IpPrefix RandomPrefix(Random& random) {
  const kernel::Family family =
      Below(random, 3) == 0 ? kernel::Family::kIpv6 : kernel::Family::kIpv4;
  const size_t bits = family == kernel::Family::kIpv4 ? 32 : 128;
  // Mostly long ones, and now and then /0.
  const size_t length = Below(random, 20) == 0
                            ? Below(random, static_cast<uint32_t>(bits) + 1)
                            : bits - Below(random, 9);
  return Masked(RandomAddress(random, family), family, length);
}

template <typename T>
kernel::Range<T> RandomRange(Random& random, uint32_t bound) {
  const uint32_t a = Below(random, bound);
  const uint32_t b = Below(random, 3) == 0 ? Below(random, bound) : a;
  return {static_cast<T>(std::min(a, b)), static_cast<T>(std::max(a, b))};
}

class RandomPlan {
 public:
  explicit RandomPlan(Random& random) : random_(random) {}

  Plan Make() {
    Plan plan{.name = "random"};
    for (uint32_t i = Below(random_, 3); i > 0; --i) {
      AddressClass& each = plan.classes.emplace_back();
      each.name = absl::StrCat("class", i);
      for (uint32_t n = 1 + Below(random_, 4); n > 0; --n) {
        const kernel::IpPrefix prefix = RandomPrefix(random_);
        if (classed_.insert(kernel::FormatIpPrefix(prefix)).second) {
          each.prefixes.push_back(prefix);
        }
      }
    }
    for (uint32_t i = Below(random_, 12); i > 0; --i) {
      PlanAccount account = Shared(plan);
      account.counter = NextCounter();
      account.field = absl::StrCat("accounts[", plan.accounts.size(), "]");
      if (Below(random_, 2) == 0) {
        account.match.source = {.value = RandomPrefix(random_)};
      }
      plan.accounts.push_back(std::move(account));
    }
    for (uint32_t i = Below(random_, 4); i > 0; --i) AddGroup(plan);
    return plan;
  }

 private:
  std::string NextCounter() { return absl::StrCat("c", next_++); }

  PlanAccount Shared(const Plan& plan) {
    PlanAccount account;
    if (Below(random_, 3) == 0) {
      account.directions = {kAllDirections[Below(random_, 3)]};
    }
    if (Below(random_, 3) == 0) {
      account.match.protocol = {.value = IPPROTO_UDP};
      if (Below(random_, 2) == 0) {
        account.match.destination_ports = {
            .value = {RandomRange<uint16_t>(random_, 64)}};
      }
    }
    if (Below(random_, 4) == 0) {
      account.match.mark = {.value = {.value = 1, .mask = 1},
                            .negated = Below(random_, 2) == 0};
    }
    if (Below(random_, 4) == 0) {
      account.quota =
          PlanQuota{.limit = {.limit = 1'000'000},
                    .over = static_cast<OverQuota>(Below(random_, 4)),
                    .mark = {.value = 2, .mask = 2}};
    }
    if (!plan.classes.empty() && Below(random_, 3) == 0) {
      account.split =
          Below(random_, 2) == 0 ? Split::kSource : Split::kDestination;
    }
    return account;
  }

  void AddGroup(Plan& plan) {
    AccountGroup group;
    group.shared = Shared(plan);
    group.shared.field = absl::StrCat("groups[", plan.groups.size(), "]");
    group.key = static_cast<GroupKey>(Below(random_, 6));
    if (group.key == GroupKey::kSourcePort ||
        group.key == GroupKey::kDestinationPort) {
      group.shared.match.protocol = {.value = IPPROTO_UDP};
      group.shared.match.destination_ports.reset();
    }
    if (group.key == GroupKey::kUid) group.shared.directions.clear();
    std::set<std::string> seen;
    for (uint32_t n = Below(random_, 200); n > 0; --n) {
      AccountGroup::Value value;
      std::string text;
      switch (group.key) {
        case GroupKey::kSource:
        case GroupKey::kDestination:
        case GroupKey::kAddress: {
          const kernel::IpPrefix prefix = RandomPrefix(random_);
          text = kernel::FormatIpPrefix(prefix);
          value = prefix;
          break;
        }
        case GroupKey::kSourcePort:
        case GroupKey::kDestinationPort: {
          const auto range = RandomRange<uint16_t>(random_, 64);
          text = absl::StrCat(range.first, "-", range.last);
          value = range;
          break;
        }
        case GroupKey::kUid: {
          const auto range = RandomRange<uint32_t>(random_, 64);
          text = absl::StrCat(range.first, "-", range.last);
          value = range;
          break;
        }
      }
      if (seen.insert(text).second) {
        group.members.push_back({value, NextCounter()});
      }
    }
    plan.groups.push_back(std::move(group));
  }

  Random& random_;
  int next_ = 0;
  std::set<std::string> classed_;
};

Packet RandomPacket(Random& random) {
  Packet packet;
  packet.direction = kAllDirections[Below(random, 3)];
  packet.family =
      Below(random, 3) == 0 ? kernel::Family::kIpv6 : kernel::Family::kIpv4;
  packet.source = RandomAddress(random, packet.family);
  packet.destination = RandomAddress(random, packet.family);
  // To where it comes from, or near.
  if (Below(random, 2) == 0) {
    packet.destination = packet.source;
    packet.destination[Below(random, 2) == 0 ? 3 : 15] ^= Below(random, 4);
  }
  packet.protocol = Below(random, 3) == 0 ? IPPROTO_TCP : IPPROTO_UDP;
  packet.source_port = static_cast<uint16_t>(Below(random, 64));
  packet.destination_port = static_cast<uint16_t>(Below(random, 64));
  packet.mark = Below(random, 2);
  if (packet.direction == Direction::kOut && Below(random, 2) == 0) {
    packet.uid = Below(random, 64);
  }
  return packet;
}

Counts CountByChains(const CompiledPlan& compiled, const Packet& packet,
                     size_t* met = nullptr) {
  for (const kernel::OwnedTable& table : compiled.tables) {
    if (table.family == packet.family) {
      return ChainWalk(table).Count(packet, met);
    }
  }
  return {};
}

// Chains, and maps.
class PlanFormTest : public ::testing::TestWithParam<PlanForm> {};
INSTANTIATE_TEST_SUITE_P(Form, PlanFormTest,
                         ::testing::Values(PlanForm::kChains, PlanForm::kMaps),
                         [](const auto& info) {
                           return info.param == PlanForm::kChains ? "Chains"
                                                                  : "Maps";
                         });

TEST_P(PlanFormTest, CountsWhatThePlanSays) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  Random random(seed);
  size_t counted = 0;
  for (int round = 0; round < 150; ++round) {
    const Plan plan = RandomPlan(random).Make();
    const auto accounts = ExpandPlan(plan);
    ASSERT_OK(accounts);
    const auto compiled = CompilePlan(plan, {}, GetParam());
    ASSERT_OK(compiled);
    for (int i = 0; i < 100; ++i) {
      const Packet packet = RandomPacket(random);
      size_t met = 0;
      const Counts counts = CountByChains(*compiled, packet, &met);
      ASSERT_EQ(counts, CountByPlan(plan, *accounts, packet))
          << "round " << round;
      ASSERT_THAT(met, Le(compiled->cost.most));
      counted += counts.size();
    }
  }
  EXPECT_GT(counted, 10'000u);
}

Plan PerAddress(size_t count) {
  Plan plan{.name = "customers"};
  AccountGroup& group = plan.groups.emplace_back();
  group.key = GroupKey::kDestination;
  group.shared.field = "groups[0]";
  for (size_t i = 0; i < count; ++i) {
    std::array<uint8_t, 16> address{10, 0, static_cast<uint8_t>(i >> 8),
                                    static_cast<uint8_t>(i)};
    address[1] = static_cast<uint8_t>(i >> 16);
    group.members.push_back(
        {Masked(address, kernel::Family::kIpv4, 32), absl::StrCat("c", i)});
  }
  return plan;
}

TEST(PlanCompilerTest, OfTenThousandAddressesAPacketMeetsFewRules) {
  const auto compiled = CompilePlan(PerAddress(10'000), {});
  ASSERT_OK(compiled);
  EXPECT_THAT(compiled->cost.most, Le(21u));
  EXPECT_THAT(compiled->cost.mean, Le(18.0));
  // Others pass by.
  Packet other;
  other.source = other.destination = {192, 0, 2, 1};
  size_t met = 0;
  EXPECT_THAT(CountByChains(*compiled, other, &met), IsEmpty());
  EXPECT_EQ(met, 2u);  // the hook's, and the one that asks for the /18
}

TEST_P(PlanFormTest, BothEndsOfTenThousandAddressesCostFewRules) {
  Plan plan = PerAddress(10'000);
  plan.groups[0].key = GroupKey::kAddress;
  const auto compiled = CompilePlan(plan, {}, GetParam());
  ASSERT_OK(compiled);
  EXPECT_THAT(compiled->cost.most, Le(42u));
  EXPECT_THAT(compiled->cost.mean, Le(30.0));
}

TEST(PlanCompilerTest, ByMapsAPacketMeetsAsManyRulesWithOneAddressAsWithAll) {
  const auto few = CompilePlan(PerAddress(5), {}, PlanForm::kMaps);
  const auto many = CompilePlan(PerAddress(100'000), {}, PlanForm::kMaps);
  ASSERT_OK(few);
  ASSERT_OK(many);
  EXPECT_EQ(many->cost.most, few->cost.most);
  EXPECT_EQ(many->cost.most, 2u);  // the hook's and one lookup
}

TEST(PlanCompilerTest, ByMapsOneMoreAddressIsOneMoreElement) {
  const auto before = CompilePlan(PerAddress(1000), {}, PlanForm::kMaps);
  const auto after = CompilePlan(PerAddress(1001), {}, PlanForm::kMaps);
  ASSERT_OK(before);
  ASSERT_OK(after);
  EXPECT_EQ(after->tables[0].chains, before->tables[0].chains);
  ASSERT_EQ(after->tables[0].maps.size(), 1u);  // of all hooks
  EXPECT_EQ(after->tables[0].maps[0].elements.size(), 1001u);
}

TEST_P(PlanFormTest, TheSamePlanGivesTheSameChains) {
  const auto once = CompilePlan(PerAddress(300), {}, GetParam());
  const auto again = CompilePlan(PerAddress(300), {}, GetParam());
  ASSERT_OK(once);
  EXPECT_EQ(once->tables, again->tables);
}

TEST(PlanCompilerTest, OneMoreAddressLeavesNearlyAllChainsAsTheyAre) {
  const auto before = CompilePlan(PerAddress(1000), {});
  const auto after = CompilePlan(PerAddress(1001), {});
  ASSERT_OK(before);
  ASSERT_OK(after);
  size_t changed = 0;
  for (const kernel::OwnedChain& chain : after->tables[0].chains) {
    const auto& old = before->tables[0].chains;
    changed += std::find(old.begin(), old.end(), chain) == old.end();
  }
  // One path down the tree.
  EXPECT_THAT(changed, Le(6u));
}

TEST(PlanCompilerTest, HooksShareWhatTheyHaveInCommon) {
  Plan plan = PerAddress(1000);
  const auto all_hooks = CompilePlan(plan, {});
  plan.groups[0].shared.directions = {Direction::kIn};
  const auto one_hook = CompilePlan(plan, {});
  ASSERT_OK(all_hooks);
  ASSERT_OK(one_hook);
  // A first chain for each hook, and the jump to it.
  EXPECT_EQ(all_hooks->cost.chains, one_hook->cost.chains + 2);
  EXPECT_EQ(all_hooks->cost.rules, one_hook->cost.rules + 4);
}

TEST(PlanCompilerTest, ChainNamesAreOursAndShortEnough) {
  const auto compiled = CompilePlan(PerAddress(3000), {});
  ASSERT_OK(compiled);
  std::set<std::string> names;
  for (const kernel::OwnedChain& chain : compiled->tables[0].chains) {
    EXPECT_THAT(chain.name.size(), Le(kernel::kChainNameMaxBytes));
    EXPECT_THAT(chain.name, ::testing::StartsWith(kernel::kOwnedChainPrefix));
    EXPECT_TRUE(names.insert(chain.name).second) << chain.name;
  }
}

TEST(PlanCompilerTest, APlanOverItsBudgetIsRefusedWithTheBound) {
  const std::pair<PlanBudget, std::string> budgets[] = {
      {{.max_rules = 50}, "and 50 are allowed"},
      {{.max_chains = 20}, "chains, and 20 are allowed"},
      {{.max_met = 4}, "rules that one packet meets, and 4 are allowed"}};
  for (const auto& [budget, message] : budgets) {
    EXPECT_THAT(CompilePlan(PerAddress(100), budget),
                AllOf(HasReason("PLAN_TOO_COSTLY"),
                      StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr(message))));
  }
}

TEST_P(PlanFormTest, WhatCountsIntoACounterWithAQuotaKnowsOfIt) {
  Plan plan = PerAddress(100);
  plan.groups[0].shared.quota = PlanQuota{.limit = {.limit = 1000}};
  const auto compiled = CompilePlan(plan, {}, GetParam());
  ASSERT_OK(compiled);
  size_t counting = 0;
  for (const kernel::OwnedTable& table : compiled->tables) {
    for (const kernel::OwnedChain& chain : table.chains) {
      for (const kernel::OwnedRule& rule : chain.rules) {
        EXPECT_EQ(rule.quota, !rule.counter.empty()) << rule.counter;
        counting += !rule.counter.empty();
      }
    }
    for (const kernel::OwnedMap& map : table.maps) {
      for (const auto& element : map.elements) EXPECT_TRUE(element.quota);
      counting += map.elements.size();
    }
  }
  EXPECT_GE(counting, 100u);
}

TEST_P(PlanFormTest, OnlyCountersThatNothingFeedsAreIdle) {
  Plan plan = PerAddress(100);
  EXPECT_THAT(CompilePlan(plan, {}, GetParam())->idle_counters, IsEmpty());
  // Sockets of a unit that does not run.
  plan.accounts = {{.counter = "web", .systemd_unit = "web.service"}};
  EXPECT_THAT(CompilePlan(plan, {}, GetParam())->idle_counters,
              ElementsAre("web"));
}

TEST(PlanCompilerTest, QuotasWithThresholdsOrAPeriodAreWatched) {
  Plan plan = PerAddress(1);
  std::optional<PlanQuota>& quota = plan.groups[0].shared.quota;
  EXPECT_FALSE(CompilePlan(plan, {})->watched_quotas);
  quota = PlanQuota{.limit = {.limit = 1000}};
  EXPECT_FALSE(CompilePlan(plan, {})->watched_quotas);
  quota->thresholds = {80};
  EXPECT_TRUE(CompilePlan(plan, {})->watched_quotas);
  quota->thresholds.clear();
  quota->period = QuotaPeriod();
  EXPECT_TRUE(CompilePlan(plan, {})->watched_quotas);
}

// The kernel takes no rule with a port and without a protocol.
TEST(PlanCompilerTest, EveryRuleThatAsksForAPortAsksForItsProtocol) {
  Plan plan{.name = "services"};
  AccountGroup& group = plan.groups.emplace_back();
  group.key = GroupKey::kDestinationPort;
  group.shared.field = "groups[0]";
  group.shared.match.protocol = {.value = IPPROTO_TCP};
  for (uint16_t port = 1; port <= 100; ++port) {
    group.members.push_back(
        {kernel::PortRange{port, port}, absl::StrCat("p", port)});
  }
  const auto compiled = CompilePlan(plan, {});
  ASSERT_OK(compiled);
  size_t with_ports = 0;
  for (const kernel::OwnedTable& table : compiled->tables) {
    for (const kernel::OwnedChain& chain : table.chains) {
      for (const kernel::OwnedRule& rule : chain.rules) {
        if (!rule.match.destination_ports.has_value()) continue;
        ++with_ports;
        EXPECT_EQ(rule.match.protocol, group.shared.match.protocol);
      }
    }
  }
  EXPECT_GE(with_ports, 100u);
}

std::vector<std::string> WrongFields(const Plan& plan) {
  std::vector<std::string> fields;
  for (const auto& violation :
       GetErrorDetails(CompilePlan(plan, {}).status()).violations) {
    fields.push_back(violation.field);
  }
  return fields;
}

TEST(PlanCompilerTest, ACounterOfTwoAccountsIsRefused) {
  Plan plan{.name = "p"};
  plan.accounts = {{.counter = "a", .field = "accounts[0]"},
                   {.counter = "a", .field = "accounts[1]"}};
  EXPECT_THAT(WrongFields(plan), ElementsAre("accounts[1].counter"));
}

TEST(PlanCompilerTest, AnAddressTwiceInAGroupIsRefused) {
  Plan plan = PerAddress(2);
  plan.groups[0].members[1].value = plan.groups[0].members[0].value;
  EXPECT_THAT(WrongFields(plan),
              ElementsAre("groups[0].members[\"10.0.0.0/32\"]"));
}

TEST(PlanCompilerTest, MembersOfOneCounterMayNotOverlap) {
  Plan plan = PerAddress(3);
  plan.groups[0].members[1].value = *kernel::ParseIpPrefix("10.0.0.0/24");
  plan.groups[0].members[1].counter = "c0";
  plan.groups[0].members[2].counter = "c0";
  EXPECT_THAT(WrongFields(plan),
              ElementsAre("groups[0].members[\"10.0.0.0/24\"]",
                          "groups[0].members[\"10.0.0.2/32\"]"));
}

TEST(PlanCompilerTest, ADirectionInWhichNothingCanMatchIsRefused) {
  Plan plan{.name = "p"};
  PlanAccount& account = plan.accounts.emplace_back();
  account = {.counter = "a", .field = "accounts[0]"};
  account.directions = {Direction::kIn};
  account.match.owner_uid = {.value = {0, 0}};
  EXPECT_THAT(WrongFields(plan), ElementsAre("accounts[0].directions"));
}

TEST(PlanCompilerTest, WhatNoRuleMayBeIsRefusedWithItsPlace) {
  Plan plan{.name = "p"};
  PlanAccount& icmp = plan.accounts.emplace_back();
  icmp = {.counter = "a", .field = "accounts[0]"};
  icmp.match.protocol = {.value = IPPROTO_ICMP};
  icmp.match.source_ports = {.value = {{3, 3}}};
  PlanAccount& set = plan.accounts.emplace_back();
  set = {.counter = "b", .field = "accounts[1]"};
  set.match.ip_set = {.value = {.name = "blocked"}};
  EXPECT_THAT(WrongFields(plan),
              ElementsAre("accounts[0].match.source_ports",
                          "accounts[1].match.ip_set.directions"));
}

TEST(PlanCompilerTest, WhatAGroupSharesIsWrongOnce) {
  Plan plan{.name = "p"};
  AccountGroup& group = plan.groups.emplace_back();
  group.key = GroupKey::kDestinationPort;
  group.shared.field = "groups[0]";
  group.shared.directions = {Direction::kIn};
  group.shared.match.out_interface = {.value = "eth0"};
  for (uint16_t port = 1; port <= 3; ++port) {
    group.members.push_back(
        {kernel::PortRange{port, port}, absl::StrCat("c", port)});
  }
  EXPECT_THAT(
      WrongFields(plan),
      ElementsAre("groups[0].directions", "groups[0].match.destination_ports"));
}

TEST(PlanCompilerTest, HostilePlansAreCompiledInTime) {
  // Each address in every length, and all over again for another counter.
  Plan plan{.name = "hostile"};
  AccountGroup& group = plan.groups.emplace_back();
  group.key = GroupKey::kSource;
  group.shared.field = "groups[0]";
  for (size_t i = 0; i < 400; ++i) {
    std::array<uint8_t, 16> address{};
    address[0] = static_cast<uint8_t>(i * 37);
    address[1] = static_cast<uint8_t>(i);
    address[15] = static_cast<uint8_t>(i);
    for (size_t length = 0; length <= 128; ++length) {
      const kernel::IpPrefix prefix =
          Masked(address, kernel::Family::kIpv6, length);
      group.members.push_back(
          {prefix, absl::StrCat("c", group.members.size())});
    }
  }
  std::set<std::string> seen;
  std::erase_if(group.members, [&](const AccountGroup::Member& member) {
    return !seen.insert(kernel::FormatIpPrefix(
                            std::get<kernel::IpPrefix>(member.value)))
                .second;
  });
  const auto compiled = CompilePlan(plan, {});
  ASSERT_OK(compiled);
  EXPECT_THAT(compiled->cost.most, Le(600u));
}

}  // namespace
}  // namespace nfmeter::accounting
