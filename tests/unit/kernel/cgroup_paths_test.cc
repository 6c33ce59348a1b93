// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/cgroup/cgroup_paths.h"

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::TemporaryDirectory;

class CgroupPathsTest : public ::testing::Test {
 protected:
  // The hierarchy, if its mount is described so.
  CgroupPaths Mounted(const std::string& root, const std::string& type) {
    const std::string file = folder_ / "mountinfo";
    std::ofstream(file)
        << "22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n"
        << "30 22 0:26 " << root << " " << folder_ / "cgroup"
        << " rw,relatime shared:9 master:1 - " << type << " cgroup2 rw\n";
    mkdir((folder_ / "cgroup").c_str(), 0755);
    mkdir((folder_ / "cgroup/system.slice").c_str(), 0755);
    mkdir((folder_ / "cgroup/system.slice/web.service").c_str(), 0755);
    std::ofstream(folder_ / "cgroup/cgroup.procs") << "1\n";
    return CgroupPaths::Find(file);
  }

  const TemporaryDirectory folder_;
};

TEST_F(CgroupPathsTest, AreLookedForBelowTheRootsMount) {
  const CgroupPaths paths = Mounted("/", "cgroup2");
  EXPECT_EQ(paths.root(), folder_ / "cgroup");
  for (const char* there :
       {"/", "system.slice", "/system.slice", "system.slice/web.service",
        "//system.slice//web.service/"}) {
    EXPECT_FALSE(paths.IsMissing(there)) << there;
  }
  for (const char* missing :
       {"user.slice", "system.slice/db.service", "cgroup.procs",
        "cgroup.procs/x", "..", "system.slice/../system.slice",
        "./system.slice"}) {
    EXPECT_TRUE(paths.IsMissing(missing)) << missing;
  }
  EXPECT_TRUE(paths.IsMissing(std::string(300, 'x')));
}

TEST_F(CgroupPathsTest, WhereTheRootCantBeSeenNothingIsMissing) {
  EXPECT_FALSE(Mounted("/kubepods/pod1", "cgroup2").IsMissing("user.slice"));
  EXPECT_FALSE(Mounted("/", "cgroup").IsMissing("user.slice"));
  EXPECT_FALSE(CgroupPaths::Find("/no/such/file").IsMissing("user.slice"));
}

}  // namespace
}  // namespace nfmeter::kernel
