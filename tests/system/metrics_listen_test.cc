// SPDX-License-Identifier: GPL-3.0-or-later
// Where the metrics of a real nfmeterd are, and are not.
#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/system/prometheus_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::MetricsAddressOf;
using ::nfmeter::testing::NfmeterdProcess;
using ::testing::HasSubstr;

class MetricsListenTest : public ::testing::Test {
 protected:
  // Of a server that does not come up.
  static int ExitCodeOf(NfmeterdProcess& server) {
    EXPECT_FALSE(server.WaitUntilReady().ok());
    return server.process().Wait(absl::Seconds(20));
  }
};

TEST_F(MetricsListenTest, WithoutItNothingListens) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_EQ(MetricsAddressOf(server), "");
  EXPECT_EQ(testing::Run({"ss", "-Hltn"}).out, "");
}

TEST_F(MetricsListenTest, APortInUseEndsTheServerWithOneLine) {
  NfmeterdProcess first({.arguments = {"--metrics-listen", "127.0.0.1:9477"}});
  ASSERT_OK(first.WaitUntilReady());
  NfmeterdProcess second({.arguments = {"--metrics-listen", "127.0.0.1:9477"}});
  EXPECT_EQ(ExitCodeOf(second), 4);
  EXPECT_THAT(second.Log(),
              HasSubstr("cannot serve metrics on 127.0.0.1:9477: the port is "
                        "in use"));
}

TEST_F(MetricsListenTest, AnAddressOfAnotherHostEndsTheServer) {
  NfmeterdProcess server({.arguments = {"--metrics-listen", "192.0.2.1:9477"}});
  EXPECT_EQ(ExitCodeOf(server), 4);
  EXPECT_THAT(server.Log(), HasSubstr("this host has no such address"));
}

TEST_F(MetricsListenTest, WhatIsNoAddressIsRefused) {
  for (const char* wrong : {"9477", "localhost", "unix:/x", "::1:9477",
                            "127.0.0.1:70000", "127.0.0.1:"}) {
    const testing::RunResult run = testing::Run(
        {testing::NfmeterdPath(), "--metrics-listen", wrong, "--check-config"});
    EXPECT_EQ(run.exit_code, 2) << wrong;
    EXPECT_THAT(run.err, HasSubstr("must be HOST:PORT")) << wrong;
  }
}

TEST_F(MetricsListenTest, AnAddressThatOthersReachIsWarnedOf) {
  NfmeterdProcess server({.arguments = {"--metrics-listen", "0.0.0.0:0"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(server.Log(),
              HasSubstr("is plain HTTP: everybody who reaches it"));
}

}  // namespace
}  // namespace nfmeter
