// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/listen_address.h"

#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_name.h"

namespace nfmeter::security {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::Eq;

TEST(ListenAddressTest, ReadsWhatItWrites) {
  for (const char* text :
       {"unix:/run/a.sock", "127.0.0.1:80", "[::1]:0", "0.0.0.0:65535",
        "localhost:1", "node.example:7443"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_OK(address) << text;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_EQ(ParseListenAddress("tcp:[::]:5")->ToString(), "[::]:5");
  EXPECT_EQ(ParseListenAddress("tcp:1.2.3.4:5")->ToString(), "1.2.3.4:5");
}

TEST(ListenAddressTest, KnowsWhatOnlyThisHostReaches) {
  for (const char* text :
       {"unix:/a", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(ParseListenAddress(text)->IsLocal()) << text;
  }
  for (const char* text :
       {"0.0.0.0:1", "[::]:1", "128.0.0.1:1", "10.0.0.1:1", "[2001:db8::1]:1",
        "[::ffff:10.0.0.1]:1", "localhost.example:1", "127.0.0.1.nip.io:1"}) {
    EXPECT_FALSE(ParseListenAddress(text)->IsLocal()) << text;
  }
}

struct BadAddress {
  std::string text;
  std::string message;
};

void PrintTo(const BadAddress& bad, std::ostream* out) {
  ::nfmeter::testing::PrintInTestName(bad.text, out);
}

class BadListenAddressTest : public ::testing::TestWithParam<BadAddress> {};

TEST_P(BadListenAddressTest, SaysWhatIsWrong) {
  EXPECT_THAT(
      ParseListenAddress(GetParam().text),
      StatusIs(absl::StatusCode::kInvalidArgument, Eq(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    Addresses, BadListenAddressTest,
    ::testing::Values(
        BadAddress{"", "'' is neither unix:/PATH nor tcp:HOST:PORT"},
        BadAddress{"/run/a", "'/run/a' must be written unix:/run/a"},
        BadAddress{"unix:", "'unix:' must have an absolute path: unix:/PATH"},
        BadAddress{"unix:a/b",
                   "'unix:a/b' must have an absolute path: unix:/PATH"},
        BadAddress{"unix:/a/",
                   "'unix:/a/' names a folder; add the name of the socket"},
        BadAddress{"unix:/" + std::string(107, 'x'),
                   "'unix:/" + std::string(107, 'x') +
                       "' has a path of 108 bytes; the kernel takes at most "
                       "107"},
        BadAddress{"tcp:host",
                   "'tcp:host' is neither unix:/PATH nor "
                   "tcp:HOST:PORT"},
        BadAddress{"tcp::80",
                   "'tcp::80' has no host; write 0.0.0.0 or [::] for all "
                   "addresses"},
        BadAddress{"tcp:h:",
                   "'tcp:h:' has no port from 0 to 65535 at its "
                   "end"},
        BadAddress{"h:65536",
                   "'h:65536' has no port from 0 to 65535 at its end"},
        BadAddress{"h:-1", "'h:-1' has no port from 0 to 65535 at its end"},
        BadAddress{"h:http", "'h:http' has no port from 0 to 65535 at its end"},
        BadAddress{"::1:80",
                   "'::1:80' is neither unix:/PATH nor tcp:HOST:PORT (IPv6 "
                   "addresses in brackets: tcp:[::1]:7443)"},
        BadAddress{"[unix:0",
                   "'[unix:0' is neither unix:/PATH nor tcp:HOST:PORT (IPv6 "
                   "addresses in brackets: tcp:[::1]:7443)"},
        BadAddress{"tcp:unix:80",
                   "'tcp:unix:80' is neither unix:/PATH nor tcp:HOST:PORT "
                   "(IPv6 addresses in brackets: tcp:[::1]:7443)"},
        BadAddress{"[nope]:80",
                   "'[nope]:80' has no IPv6 address between [ and ]"},
        BadAddress{"http://h:80",
                   "'http://h:80' is neither unix:/PATH nor tcp:HOST:PORT "
                   "(IPv6 addresses in brackets: tcp:[::1]:7443)"},
        BadAddress{std::string("unix:/a\0b", 9),
                   "'unix:/a' contains a NUL byte"}));

}  // namespace
}  // namespace nfmeter::security
