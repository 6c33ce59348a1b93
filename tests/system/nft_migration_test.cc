// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd --migrate-backend, both ways, while packets pass.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdPath;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::SendUdp;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::HasSubstr;

constexpr uint16_t kMigratedPort = 5353;
constexpr int kBurst = 10;

// From the backend of the first to that of the second.
struct Way {
  std::string from;
  std::string to;
};

class MigrationTest : public ::testing::TestWithParam<Way> {
 protected:
  std::unique_ptr<NfmeterdProcess> Start(const std::string& backend) {
    auto server = std::make_unique<NfmeterdProcess>(NfmeterdProcess::Options{
        .arguments = {"--backend", backend}, .state_dir = state_ / "state"});
    EXPECT_OK(server->WaitUntilReady());
    return server;
  }
  testing::RunResult Migrate(const std::string& to) {
    return testing::Run({NfmeterdPath(), "--migrate-backend", to, "--state-dir",
                         state_ / "state"});
  }

  static grpc::Status Create(NfmeterdProcess& server,
                             const v1::Counter& counter) {
    grpc::ClientContext context;
    v1::CreateCounterRequest request;
    *request.mutable_counter() = counter;
    v1::CreateCounterResponse response;
    return v1::CounterService::NewStub(server.Channel())
        ->CreateCounter(&context, request, &response);
  }
  static v1::Counter Get(NfmeterdProcess& server, const std::string& name) {
    grpc::ClientContext context;
    v1::GetCounterRequest request;
    request.set_name(name);
    v1::GetCounterResponse response;
    const grpc::Status status = v1::CounterService::NewStub(server.Channel())
                                    ->GetCounter(&context, request, &response);
    EXPECT_OK(status);
    return response.counter();
  }
  static void CountUdp(NfmeterdProcess& server, const std::string& counter) {
    grpc::ClientContext context;
    v1::CreateRuleRequest request;
    v1::Rule& rule = *request.mutable_rule();
    rule.set_chain("OUTPUT");
    rule.set_counter(counter);
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kMigratedPort);
    v1::CreateRuleResponse response;
    const grpc::Status status = v1::RuleService::NewStub(server.Channel())
                                    ->CreateRule(&context, request, &response);
    EXPECT_OK(status);
  }
  static std::vector<std::string> RuleIds(NfmeterdProcess& server) {
    grpc::ClientContext context;
    v1::ListRulesResponse response;
    EXPECT_OK(v1::RuleService::NewStub(server.Channel())
                  ->ListRules(&context, v1::ListRulesRequest(), &response));
    std::vector<std::string> ids;
    for (const v1::Rule& rule : response.rules()) ids.push_back(rule.id());
    return ids;
  }

  TemporaryDirectory state_;
};

INSTANTIATE_TEST_SUITE_P(Way, MigrationTest,
                         ::testing::Values(Way{"iptables", "nftables"},
                                           Way{"nftables", "iptables"}),
                         [](const auto& info) { return "To" + info.param.to; });

TEST_P(MigrationTest, ValuesQuotasAndRulesGoOn) {
  auto server = Start(GetParam().from);
  v1::Counter web;
  web.set_name("web+1");
  ASSERT_OK(Create(*server, web));
  v1::Counter capped;
  capped.set_name("capped");
  capped.mutable_quota()->set_bytes(1'000'000);
  ASSERT_OK(Create(*server, capped));
  CountUdp(*server, "web+1");
  CountUdp(*server, "capped");
  SendUdp(kMigratedPort, 7);
  const v1::Counter before = Get(*server, "web+1");
  ASSERT_EQ(before.packets(), 7u);
  const std::vector<std::string> rules = RuleIds(*server);
  ASSERT_EQ(server->Stop(), 0);

  const auto moved = Migrate(GetParam().to);
  ASSERT_EQ(moved.exit_code, 0) << moved.err;
  EXPECT_THAT(moved.out, HasSubstr(absl::StrCat("2 counters and 2 rules count "
                                                "by ",
                                                GetParam().to)));
  // Before anybody serves.
  SendUdp(kMigratedPort, 5);

  server = Start("auto");
  EXPECT_EQ(Get(*server, "web+1").packets(), 12u);
  EXPECT_EQ(Get(*server, "web+1").total_packets(), 12u);
  EXPECT_EQ(Get(*server, "capped").packets(), 12u);
  EXPECT_EQ(Get(*server, "capped").quota().bytes(), 1'000'000u);
  EXPECT_EQ(RuleIds(*server), rules);
}

TEST_P(MigrationTest, PacketsAreMissedForTheToldTimeAndNeverDoubled) {
  auto server = Start(GetParam().from);
  v1::Counter web;
  web.set_name("web");
  ASSERT_OK(Create(*server, web));
  CountUdp(*server, "web");
  ASSERT_EQ(server->Stop(), 0);
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> sent = 0;
  std::thread traffic([&] {
    while (!stop) {
      SendUdp(kMigratedPort, kBurst);
      sent += kBurst;
    }
  });
  while (sent < 10 * kBurst) std::this_thread::yield();
  const uint64_t first = sent;
  const auto moved = Migrate(GetParam().to);
  const uint64_t meanwhile = sent + kBurst - first;
  stop = true;
  traffic.join();
  ASSERT_EQ(moved.exit_code, 0) << moved.err;
  server = Start("auto");
  const uint64_t counted = Get(*server, "web").packets();
  EXPECT_LE(counted, sent);
  // The command takes longer than the part of it that misses packets.
  EXPECT_GE(counted, sent - meanwhile);
  EXPECT_THAT(moved.out, HasSubstr("nothing was counted twice"));
}

TEST_P(MigrationTest, WhileAServerRunsNothingIsMoved) {
  auto server = Start(GetParam().from);
  const auto moved = Migrate(GetParam().to);
  EXPECT_EQ(moved.exit_code, 5) << moved.out;
  EXPECT_THAT(moved.err, HasSubstr("another"));
}

TEST(MigrationRefusalTest, WhatNftablesCannotHaveStopsItBeforeItBegins) {
  const TemporaryDirectory state;
  {
    NfmeterdProcess server(NfmeterdProcess::Options{
        .arguments = {"--backend", "iptables"}, .state_dir = state / "state"});
    ASSERT_OK(server.WaitUntilReady());
    grpc::ClientContext context;
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name("capped");
    request.mutable_counter()->mutable_quota()->set_packets(10);
    v1::CreateCounterResponse response;
    ASSERT_OK(v1::CounterService::NewStub(server.Channel())
                  ->CreateCounter(&context, request, &response));
    ASSERT_EQ(server.Stop(), 0);
  }
  const std::string before = testing::Run({"nfacct", "list"}).out;
  const auto moved = testing::Run({NfmeterdPath(), "--migrate-backend",
                                   "nftables", "--state-dir", state / "state"});
  EXPECT_EQ(moved.exit_code, 3);
  EXPECT_THAT(moved.err, HasSubstr("capped"));
  EXPECT_EQ(testing::Run({"nfacct", "list"}).out, before);
  EXPECT_EQ(testing::Run({"nft", "list", "ruleset"}).out, "");
}

}  // namespace
}  // namespace nfmeter
