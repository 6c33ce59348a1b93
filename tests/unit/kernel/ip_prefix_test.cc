// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/ip_prefix.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

std::string ReadPrefix(const std::string& text) {
  const absl::StatusOr<IpPrefix> prefix = ParseIpPrefix(text);
  return prefix.ok() ? FormatIpPrefix(*prefix)
                     : std::string(prefix.status().message());
}

TEST(IpPrefixTest, AnAddressHasTheWholeLength) {
  EXPECT_EQ(ReadPrefix("10.1.2.3"), "10.1.2.3/32");
  EXPECT_EQ(ReadPrefix("2001:db8::1"), "2001:db8::1/128");
}

TEST(IpPrefixTest, AMaskMayBeALengthOrAnAddress) {
  EXPECT_EQ(ReadPrefix("10.0.0.0/8"), "10.0.0.0/8");
  EXPECT_EQ(ReadPrefix("10.0.0.0/255.0.0.0"), "10.0.0.0/8");
  EXPECT_EQ(ReadPrefix("10.0.0.3/255.0.0.255"), "10.0.0.3/255.0.0.255");
  EXPECT_EQ(ReadPrefix("2001:db8::/ffff:ffff::"), "2001:db8::/32");
}

// No packet has them; programs with one socket for both families print them.
TEST(IpPrefixTest, AddressesThatAreMappedToIpv6AreIpv4) {
  EXPECT_EQ(ReadPrefix("::ffff:10.1.2.3"), "10.1.2.3/32");
  EXPECT_EQ(ReadPrefix("::ffff:a01:0/112"), "10.1.0.0/16");
  EXPECT_EQ(ReadPrefix("::ffff:10.0.0.0/ffff:ffff:ffff:ffff:ffff:ffff:ff00:0"),
            "10.0.0.0/8");
  // Whoever looks for packets that nobody should send means these.
  EXPECT_EQ(ReadPrefix("::ffff:0:0/96"), "::ffff:0.0.0.0/96");
  EXPECT_EQ(ReadPrefix("::/0"), "::/0");
}

TEST(IpPrefixTest, WhatIsWrongIsSaid) {
  EXPECT_EQ(ReadPrefix("10.0.0.1/8"),
            "the address has bits outside its mask; did you mean 10.0.0.0/8?");
  EXPECT_EQ(ReadPrefix("10.0.0.0/33"),
            "the prefix length must be 0 to 32 for IPv4");
  EXPECT_EQ(ReadPrefix("10.0.0.300"),
            "not an IP address; write 10.0.0.0/8 or 2001:db8::/32");
}

}  // namespace
}  // namespace nfmeter::kernel
