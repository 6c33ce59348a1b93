// SPDX-License-Identifier: GPL-3.0-or-later
#include "collector/targets.h"

#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using collector::ParseTargets;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string WhatIsWrong(const std::string& yaml) {
  return std::string(ParseTargets(yaml, "/etc/nodes.yaml").status().message());
}

TEST(TargetsTest, NodesHaveNamesAddressesAndTlsFiles) {
  const auto file = ParseTargets(R"(
defaults: {ca: ca.crt, cert: /k/me.crt, key: /k/me.key}
targets:
  - {name: gw1, address: "gw1:7878"}
  - address: "gw2:7878"
    tls: {server_name: gw2.example.org}
)",
                                 "/etc/nodes.yaml");
  ASSERT_OK(file.status());
  ASSERT_THAT(file->targets, SizeIs(2));
  EXPECT_EQ(file->targets[0].name, "gw1");
  EXPECT_EQ(file->targets[0].tls.ca_file, "/etc/ca.crt");
  EXPECT_TRUE(file->targets[0].use_tls);
  EXPECT_EQ(file->targets[1].name, "gw2:7878");
  EXPECT_EQ(file->targets[1].tls.server_name, "gw2.example.org");
  EXPECT_EQ(file->targets[1].tls.key_file, "/k/me.key");
}

TEST(TargetsTest, NamesOfTheDnsStandForManyNodes) {
  const auto file = ParseTargets(R"(
discover:
  - {srv: _nfmeter._tcp.example.org, ca: /ca.crt}
  - {hosts: nfmeter.accounting.svc, port: 7878, insecure: true}
)",
                                 "nodes.yaml");
  ASSERT_OK(file.status());
  ASSERT_THAT(file->discover, SizeIs(2));
  EXPECT_EQ(file->discover[0].pattern.tls.ca_file, "/ca.crt");
  EXPECT_EQ(file->discover[1].port, 7878);
  EXPECT_TRUE(file->discover[1].pattern.insecure);
}

TEST(TargetsTest, AHostsNameBecomesItsAddresses) {
  const auto found =
      collector::Discover({.kind = collector::Discovery::Kind::kHosts,
                           .name = "127.0.0.1",
                           .port = 7878});
  ASSERT_OK(found.status());
  ASSERT_THAT(*found, SizeIs(1));
  EXPECT_EQ(found->front().address, "127.0.0.1:7878");
}

TEST(TargetsTest, CertificatesOfAHostsAddressesAreOfItsName) {
  collector::Discovery discovery{.kind = collector::Discovery::Kind::kHosts,
                                 .name = "localhost",
                                 .port = 7443};
  discovery.pattern.use_tls = true;
  auto found = collector::Discover(discovery);
  ASSERT_OK(found.status());
  EXPECT_EQ(found->front().tls.server_name, "localhost");
  discovery.pattern.tls.server_name = "node.example";
  found = collector::Discover(discovery);
  ASSERT_OK(found.status());
  EXPECT_EQ(found->front().tls.server_name, "node.example");
}

TEST(TargetsTest, EveryMistakeIsToldWithItsLine) {
  const std::string wrong = WhatIsWrong(R"(targets:
  - {name: gw1, address: "gw1:1"}
  - {name: gw1, address: "gw2:1"}
  - {name: gw3}
  - {name: gw4, adress: "gw4:1"}
  - {name: gw5, address: "gw1:1"}
  - {name: gw6, address: "gw6:1", cert: x}
  - {name: gw7, address: "gw7:1", insecure: maybe}
  - {name: "gw8\n", address: "gw8:1"}
typo: 1
)");
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:3: 'gw1' is in line 2"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:4: a target needs"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:5: 'adress' is not known"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:6: 'gw5' has the address of"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:7: 'cert' and 'key'"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:8: 'insecure' must be"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:9: 'gw8\\n' has a line feed"));
  EXPECT_THAT(wrong, HasSubstr("/etc/nodes.yaml:10: 'typo' is not known"));
}

TEST(TargetsTest, WhatIsNoYamlIsToldWithItsLine) {
  EXPECT_THAT(WhatIsWrong("targets:\n  - {name: gw1"),
              HasSubstr("/etc/nodes.yaml:"));
  EXPECT_THAT(WhatIsWrong("just text"), HasSubstr("must have 'targets:'"));
  EXPECT_THAT(WhatIsWrong("targets: []"), HasSubstr("names no node"));
  EXPECT_EQ(collector::ReadTargets("/nowhere/nodes.yaml").status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace nfmeter
