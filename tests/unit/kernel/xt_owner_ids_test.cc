// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_owner_ids.h"

#include <unistd.h>

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::testing::HasSubstr;

// A /proc/PID with these maps.
OwnerIds Mapped(const std::string& uids, const std::string& gids) {
  testing::TemporaryDirectory proc;
  std::ofstream(proc / "uid_map") << uids;
  std::ofstream(proc / "gid_map") << gids;
  return OwnerIds::Find(proc.path());
}

RuleMatch Uids(uint32_t first, uint32_t last) {
  RuleMatch match;
  match.owner_uid = {{first, last}};
  return match;
}

TEST(OwnerIdsTest, BothEndsOfARangeMustBeMapped) {
  const OwnerIds ids = Mapped("0 100000 1000\n5000 0 1\n", "0 0 4294967295\n");
  EXPECT_FALSE(ids.FaultOf(Uids(0, 999)).has_value());
  EXPECT_FALSE(ids.FaultOf(Uids(0, 5000)).has_value());
  EXPECT_FALSE(ids.FaultOf({}).has_value());
  for (const auto& [first, last] :
       {std::pair(0u, 1000u), std::pair(1000u, 1000u), std::pair(4999u, 5000u),
        std::pair(5001u, 5001u)}) {
    const auto fault = ids.FaultOf(Uids(first, last));
    ASSERT_TRUE(fault.has_value()) << first << " " << last;
    EXPECT_EQ(fault->field, "match.owner_uid");
    EXPECT_THAT(fault->description, HasSubstr("in the user namespace"));
  }
  RuleMatch gid;
  gid.owner_gid = {{0, 4294967294}};
  EXPECT_FALSE(ids.FaultOf(gid).has_value());
}

TEST(OwnerIdsTest, WhereNothingCanBeSeenNothingIsWrong) {
  EXPECT_FALSE(OwnerIds::Find("/nowhere").FaultOf(Uids(0, 9)).has_value());
}

TEST(OwnerIdsTest, ThisProcessKnowsItsOwnUser) {
  EXPECT_FALSE(OwnerIds::Find().FaultOf(Uids(getuid(), getuid())).has_value());
}

}  // namespace
}  // namespace nfmeter::kernel
