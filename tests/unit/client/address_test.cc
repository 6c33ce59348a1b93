// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/address.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nfmeter/errors.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::client_internal {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;

struct Good {
  std::string text;
  std::string target;
  std::string socket_path;
  bool local;
};

TEST(AddressTest, TakesTheFormsThatPeopleWrite) {
  for (const Good& good : std::vector<Good>{
           {"unix:/run/x.sock", "unix:/run/x.sock", "/run/x.sock", true},
           {"unix:///run/x.sock", "unix:/run/x.sock", "/run/x.sock", true},
           {"unix:x.sock", "unix:x.sock", "x.sock", true},
           {"/run/x.sock", "unix:/run/x.sock", "/run/x.sock", true},
           {"unix-abstract:x", "unix-abstract:x", "", true},
           {"localhost:1", "localhost:1", "", true},
           {"127.0.0.1:50051", "127.0.0.1:50051", "", true},
           {"127.8.9.1:50051", "127.8.9.1:50051", "", true},
           {"[::1]:50051", "[::1]:50051", "", true},
           {"dns:///localhost:65535", "dns:///localhost:65535", "", true},
           {"dns:host:1", "dns:host:1", "", false},
           {"dns://8.8.8.8/localhost:1", "dns://8.8.8.8/localhost:1", "",
            false},
           {"ipv4:127.0.0.1:1,10.0.0.1:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "",
            false},
           {"dns:///host", "dns:///host", "", false},
           {"10.0.0.1:50051", "10.0.0.1:50051", "", false},
           {"127.evil.example:1", "127.evil.example:1", "", false},
           {"localhost.example:1", "localhost.example:1", "", false},
           {"[2001:db8::1]:1", "[2001:db8::1]:1", "", false},
       }) {
    const auto address = ParseAddress(good.text);
    ASSERT_OK(address) << good.text;
    EXPECT_EQ(address->target, good.target);
    EXPECT_EQ(address->socket_path, good.socket_path) << good.text;
    EXPECT_EQ(address->local, good.local) << good.text;
  }
}

TEST(AddressTest, SaysWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "port is missing"},
      {"host", "port is missing"},
      {"host:", "1 to 65535"},
      {"host:0", "1 to 65535"},
      {"host:65536", "1 to 65535"},
      {"host:http", "1 to 65535"},
      {":50051", "host is missing"},
      {"::1:50051", "in brackets"},
      {"[::1:50051", "\"]\" is missing"},
      {"unix:", "path of the socket is missing"},
      {"unix:/" + std::string(200, 'x'), "201 bytes"},
      {"host :1", "spaces"},
      {"host:1\n", "spaces"},
      {"http://host:1", "leave out the scheme"},
      {"tcp:0.0.0.0:7443", "leave out \"tcp:\""},
  };
  for (const auto& [text, what] : bad) {
    const auto address = ParseAddress(text);
    EXPECT_THAT(address,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
    EXPECT_EQ(ErrorReason(address.status()), reason::kBadAddress);
    EXPECT_THAT(ErrorHint(address.status()), HasSubstr("unix:/path"));
  }
}

}  // namespace
}  // namespace nfmeter::client_internal
