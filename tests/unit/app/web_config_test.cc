// SPDX-License-Identifier: GPL-3.0-or-later
// Where the page may be, and what its callers may do.
#include "app/config.h"
#include "app/config_file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::app {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

Config Read(const std::string& text) {
  Config config;
  config.listen.listeners = {DefaultListener()};
  EXPECT_OK(ReadConfigText(text, "f", config));
  return config;
}

TEST(WebConfigTest, ByDefaultThereIsNoPage) {
  EXPECT_FALSE(Config().web.listen.has_value());
  EXPECT_FALSE(Read("web: {listen: ''}").web.listen.has_value());
}

TEST(WebConfigTest, LoopbackAndSocketsServe) {
  for (const char* address :
       {"127.0.0.1:9478", "'[::1]:9478'", "localhost:9478", "unix:/run/w"}) {
    const Config config = Read(absl::StrCat("web: {listen: ", address, "}"));
    EXPECT_OK(CheckConfig(config)) << address;
    EXPECT_THAT(DescribeConfig(config), HasSubstr("(role viewer)"));
  }
}

TEST(WebConfigTest, WhatOthersReachTakesMutualTls) {
  for (const char* address : {"0.0.0.0:9478", "192.0.2.1:9478"}) {
    EXPECT_THAT(
        CheckConfig(Read(absl::StrCat("web: {listen: ", address, "}"))),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("can be reached from other hosts"),
                       HasSubstr("set tls.certificate"),
                       HasSubstr("or give a loopback address"))));
  }
}

TEST(WebConfigTest, OverTlsOnlyThePolicyLetsIn) {
  Config config = Read("web: {listen: '0.0.0.0:9478', role: viewer}");
  config.listen.tls.emplace();
  EXPECT_THAT(DescribeConfig(config), HasSubstr("0.0.0.0:9478 (mutual TLS)"));
  const security::ListenerGrant page = ListenerGrants(config).back();
  EXPECT_EQ(page.principal, "");
  EXPECT_EQ(page.role, security::Role::kNone);
  EXPECT_EQ(page.address, "the page at 0.0.0.0:9478");
}

TEST(WebConfigTest, ItsRoleIsAtMostViewer) {
  Config config;
  EXPECT_OK(ReadConfigText("web: {role: none}", "f", config));
  EXPECT_THAT(ReadConfigText("web: {role: admin}", "f", config),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("must be viewer or none")));
}

}  // namespace
}  // namespace nfmeter::app
