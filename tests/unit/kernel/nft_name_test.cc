// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_name.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace nfmeter::kernel {
namespace {

std::string ReadBack(const std::string& object) {
  std::string scratch;
  return std::string(CounterNameOf(object, scratch));
}

TEST(NftNameTest, OrdinaryNamesStandBehindThePrefixAsTheyAre) {
  EXPECT_EQ(NftObjectName("web"), "c.web");
  EXPECT_EQ(NftObjectName("10.0.0.1/in-a_b"), "c.10.0.0.1/in-a_b");
}

TEST(NftNameTest, OtherBytesAreEscaped) {
  EXPECT_EQ(NftObjectName("a+b@c:d"), "c.a_x2bb_x40c_x3ad");
  EXPECT_EQ(NftObjectName("\xff"), "c._xff");
  EXPECT_EQ(NftObjectName("a_x2b"), "c.a_x5fx2b");
}

TEST(NftNameTest, EveryNameIsReadBackAndNoTwoMeet) {
  std::map<std::string, std::string> names_by_object;
  for (const char* part : {"", "_", "x", "_x", "2b", "+", "_x2b", "c."}) {
    for (const char* next : {"a", "_", "x", "_x", "2b", "+", "_x5f", "\x01"}) {
      for (const char* last : {"_", "", "x2b", "b"}) {
        const std::string name = std::string(part) + next + last;
        const std::string object = NftObjectName(name);
        EXPECT_EQ(ReadBack(object), name) << object;
        std::string appended = "before ";
        EXPECT_TRUE(AppendCounterName(object, appended));
        EXPECT_EQ(appended, "before " + name);
        const auto [at, is_new] = names_by_object.emplace(object, name);
        EXPECT_EQ(at->second, name) << object;
      }
    }
  }
}

TEST(NftNameTest, NamesThatAreNeverMadeAreSomebodyElses) {
  const std::string too_long = absl::StrCat("c.", std::string(254, 'a'));
  for (const std::string& object :
       {std::string("web"), std::string("c."), std::string(),
        std::string("c.a_x62"), std::string("c.a_x2B"), std::string("c.a+b"),
        std::string("c._x"), std::string("c._x2"), std::string("c._x00"),
        too_long}) {
    EXPECT_EQ(ReadBack(object), "") << object;
    std::string appended = "before";
    EXPECT_FALSE(AppendCounterName(object, appended)) << object;
    EXPECT_EQ(appended, "before");
  }
}

}  // namespace
}  // namespace nfmeter::kernel
