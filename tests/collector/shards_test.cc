// SPDX-License-Identifier: GPL-3.0-or-later
#include "collector/shards.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/sink.h"
#include "gmock/gmock.h"

namespace nfmeter {
namespace {

using collector::kShards;
using collector::ShardOf;
using collector::ShardsOf;

std::map<int, std::string> Owners(const std::vector<std::string>& collectors) {
  std::map<int, std::string> owners;
  for (const std::string& each : collectors) {
    for (const int shard : ShardsOf(each, collectors)) {
      EXPECT_TRUE(owners.emplace(shard, each).second) << shard;
    }
  }
  return owners;
}

TEST(ShardsTest, EachShardHasOneOwnerAndEachOwnerItsShare) {
  const std::vector<std::string> collectors = {"a-1", "a-2", "a-3", "a-4"};
  const auto owners = Owners(collectors);
  EXPECT_EQ(owners.size(), static_cast<size_t>(kShards));
  for (const std::string& each : collectors) {
    EXPECT_NEAR(ShardsOf(each, collectors).size(), kShards / 4, kShards / 10);
  }
}

TEST(ShardsTest, OnlyTheShardsOfWhoeverGoesMove) {
  const auto before = Owners({"a", "b", "c"});
  for (const auto& [shard, owner] : Owners({"a", "c"})) {
    if (before.at(shard) != "b") {
      EXPECT_EQ(owner, before.at(shard)) << shard;
    }
  }
}

TEST(ShardsTest, NodesSpreadOverShards) {
  std::set<int> used;
  for (int i = 0; i < 2'000; ++i) {
    used.insert(ShardOf(absl::StrCat("node-", i)));
  }
  EXPECT_EQ(used.size(), static_cast<size_t>(kShards));
}

TEST(ShardsTest, ANodesShardIsTheSameInAllVersions) {
  EXPECT_EQ(ShardOf("gw1"), ShardOf("gw1"));
  EXPECT_GE(ShardOf(""), 0);
}

}  // namespace
}  // namespace nfmeter
