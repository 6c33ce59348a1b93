// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd on nf_tables, from outside.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::SendUdp;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kNftPort = 5353;

NfmeterdProcess::Options With(std::vector<std::string> arguments) {
  return {.arguments = std::move(arguments)};
}

NfmeterdProcess::Options OnNftables() {
  return With({"--backend", "nftables"});
}

grpc::Status Create(NfmeterdProcess& server, v1::Counter counter) {
  grpc::ClientContext context;
  v1::CreateCounterRequest request;
  v1::CreateCounterResponse response;
  *request.mutable_counter() = std::move(counter);
  return v1::CounterService::NewStub(server.Channel())
      ->CreateCounter(&context, request, &response);
}

grpc::Status Create(NfmeterdProcess& server, const std::string& name) {
  v1::Counter counter;
  counter.set_name(name);
  return Create(server, std::move(counter));
}

v1::Counter CounterWithQuota(const std::string& name, uint64_t bytes) {
  v1::Counter counter;
  counter.set_name(name);
  counter.mutable_quota()->set_bytes(bytes);
  return counter;
}

grpc::Status GiveQuota(NfmeterdProcess& server, v1::Counter counter) {
  grpc::ClientContext context;
  v1::UpdateCounterRequest request;
  v1::UpdateCounterResponse response;
  *request.mutable_counter() = std::move(counter);
  request.mutable_update_mask()->add_paths("quota");
  return v1::CounterService::NewStub(server.Channel())
      ->UpdateCounter(&context, request, &response);
}

v1::Counter Get(NfmeterdProcess& server, const std::string& name) {
  grpc::ClientContext context;
  v1::GetCounterRequest request;
  v1::GetCounterResponse response;
  request.set_name(name);
  const grpc::Status status = v1::CounterService::NewStub(server.Channel())
                                  ->GetCounter(&context, request, &response);
  EXPECT_OK(status);
  return response.counter();
}

v1::Rule CountUdp(NfmeterdProcess& server, const std::string& counter) {
  grpc::ClientContext context;
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  v1::Rule* rule = request.mutable_rule();
  rule->set_chain("OUTPUT");
  rule->set_counter(counter);
  rule->mutable_match()->set_protocol("udp");
  rule->mutable_match()->add_destination_ports()->set_first(kNftPort);
  const grpc::Status status = v1::RuleService::NewStub(server.Channel())
                                  ->CreateRule(&context, request, &response);
  EXPECT_OK(status);
  return response.rule();
}

// What a part of the node says.
std::string Part(NfmeterdProcess& server, const std::string& name) {
  grpc::ClientContext context;
  v1::GetNodeResponse response;
  EXPECT_OK(v1::NodeService::NewStub(server.Channel())
                ->GetNode(&context, {}, &response));
  for (const v1::Capability& each : response.node().capabilities()) {
    if (each.name() == name) return each.detail();
  }
  return "";
}

testing::RunResult Nft(const std::string& command) {
  return testing::Run({"nft", command});
}

TEST(NftDaemonTest, CountsPacketsByItsRules) {
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(Part(server, "backend"), HasSubstr("nf_tables: --backend"));
  EXPECT_EQ(testing::HealthOf(server.Channel(), "nfmeter.v1.RuleService"),
            "SERVING");
  ASSERT_OK(Create(server, "dns"));
  const v1::Rule rule = CountUdp(server, "dns");
  EXPECT_THAT(rule.spec(), HasSubstr("udp dport 5353 counter counter name"));
  SendUdp(kNftPort, 7);
  SendUdp(kNftPort + 1, 3);
  const v1::Counter counter = Get(server, "dns");
  EXPECT_EQ(counter.packets(), 7u);
  EXPECT_EQ(counter.bytes(), 7 * kUdpPacketBytes);
  EXPECT_EQ(counter.use_count(), 1u);
  // Nothing of the other backend was touched.
  EXPECT_EQ(testing::Run({"nfacct", "list"}).out, "");
}

TEST(NftDaemonTest, AnEmptyTableGoesWithTheServer) {
  const auto tables = [] { return Nft("list tables").out; };
  {
    NfmeterdProcess server(OnNftables());
    ASSERT_OK(server.WaitUntilReady());
    ASSERT_OK(Create(server, "dns"));
    EXPECT_EQ(server.Stop(), 0);
  }
  EXPECT_THAT(tables(), HasSubstr("table inet nfmeter"));

  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  grpc::ClientContext context;
  v1::DeleteCounterRequest request;
  v1::DeleteCounterResponse response;
  request.set_name("dns");
  ASSERT_OK(v1::CounterService::NewStub(server.Channel())
                ->DeleteCounter(&context, request, &response));
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_EQ(tables(), "");
}

TEST(NftDaemonTest, ASnapshotIsCompleteAndHasThemAll) {
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  grpc::ClientContext creating;
  v1::BatchCreateCountersRequest request;
  v1::BatchCreateCountersResponse response;
  for (int i = 0; i < 3000; ++i) {
    request.add_counters()->set_name(absl::StrCat("c", i));
  }
  ASSERT_OK(v1::CounterService::NewStub(server.Channel())
                ->BatchCreateCounters(&creating, request, &response));
  grpc::ClientContext reading;
  auto stream =
      v1::SnapshotService::NewStub(server.Channel())->GetSnapshot(&reading, {});
  v1::GetSnapshotResponse chunk;
  size_t rows = 0;
  bool complete = true;
  while (stream->Read(&chunk)) {
    rows += chunk.frame().counters_size();
    complete = chunk.frame().complete();
  }
  EXPECT_OK(stream->Finish());
  EXPECT_TRUE(complete);
  EXPECT_EQ(rows, 3000u);
}

TEST(NftDaemonTest, NetAdminAloneSuffices) {
  NfmeterdProcess server(
      {.wrapper = {"setpriv", "--bounding-set", "-all,+net_admin", "--inh-caps",
                   "-all,+net_admin"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(server.Log(), HasSubstr("capabilities=cap_net_admin "));
  // By itself: rules of iptables need CAP_NET_RAW.
  EXPECT_THAT(Part(server, "backend"),
              AllOf(HasSubstr("nf_tables: "), HasSubstr("CAP_NET_RAW")));
  ASSERT_OK(Create(server, "dns"));
  CountUdp(server, "dns");
  SendUdp(kNftPort, 2);
  EXPECT_EQ(Get(server, "dns").packets(), 2u);
}

TEST(NftDaemonTest, FlushesByOthersTakeNothing) {
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  ASSERT_OK(Create(server, "dns"));
  CountUdp(server, "dns");
  SendUdp(kNftPort, 2);
  // As restarts of nftables.service and firewalld do.
  ASSERT_EQ(Nft("flush ruleset").exit_code, 0);
  SendUdp(kNftPort, 3);
  EXPECT_EQ(Get(server, "dns").packets(), 5u);
}

TEST(NftDaemonTest, TheNextOneGoesOnWithTheValues) {
  {
    NfmeterdProcess first(OnNftables());
    ASSERT_OK(first.WaitUntilReady());
    ASSERT_OK(Create(first, "dns"));
    CountUdp(first, "dns");
    SendUdp(kNftPort, 2);
    EXPECT_EQ(first.Stop(), 0);
  }
  SendUdp(kNftPort, 3);
  // Without being told.
  NfmeterdProcess second;
  ASSERT_OK(second.WaitUntilReady());
  EXPECT_THAT(Part(second, "backend"), HasSubstr("made before"));
  SendUdp(kNftPort, 4);
  EXPECT_EQ(Get(second, "dns").packets(), 9u);
  ASSERT_EQ(Nft("flush ruleset").exit_code, 0);
  EXPECT_EQ(Get(second, "dns").packets(), 9u);
}

TEST(NftDaemonTest, KilledItLosesNothing) {
  {
    NfmeterdProcess first(OnNftables());
    ASSERT_OK(first.WaitUntilReady());
    ASSERT_OK(Create(first, "dns"));
    CountUdp(first, "dns");
    SendUdp(kNftPort, 2);
    first.process().Signal(SIGKILL);
    EXPECT_EQ(first.process().Wait(absl::Seconds(20)), testing::kKilled);
  }
  SendUdp(kNftPort, 3);
  NfmeterdProcess second(OnNftables());
  ASSERT_OK(second.WaitUntilReady());
  EXPECT_EQ(Get(second, "dns").packets(), 5u);
}

// Tables of others are the same afterwards, and their tools work beside ours.
TEST(NftDaemonTest, NeighboursAreLeftAsTheyAre) {
  ASSERT_EQ(Nft("add table ip docker").exit_code, 0);
  ASSERT_EQ(
      Nft("add chain ip docker through { type filter hook forward priority "
          "filter; }")
          .exit_code,
      0);
  ASSERT_EQ(
      Nft("add rule ip docker through ip saddr 172.17.0.0/16 accept").exit_code,
      0);
  ASSERT_EQ(testing::Run(
                {"iptables-nft", "-A", "INPUT", "-s", "10.0.0.1", "-j", "DROP"})
                .exit_code,
            0);
  const std::string docker = Nft("list table ip docker").out;
  const std::string saved = testing::Run({"iptables-nft", "-S"}).out;
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  ASSERT_OK(Create(server, "dns"));
  CountUdp(server, "dns");
  EXPECT_EQ(Nft("list table ip docker").out, docker);
  EXPECT_EQ(testing::Run({"iptables-nft", "-S"}).out, saved);
  EXPECT_EQ(testing::Run({"iptables-nft", "-F"}).exit_code, 0);
  SendUdp(kNftPort, 2);
  EXPECT_EQ(Get(server, "dns").packets(), 2u);
}

// Reloads of others, over and over, while rules come and go.
TEST(NftDaemonTest, ReloadsOfOthersHinderNoChange) {
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  ASSERT_OK(Create(server, "dns"));
  testing::Background others(
      {"sh", "-c",
       "while nft 'flush ruleset; add table ip docker; add chain ip docker c'; "
       "do :; done"},
      "");
  for (int i = 0; i < 20; ++i) CountUdp(server, "dns");
  SendUdp(kNftPort, 2);
  const v1::Counter counter = Get(server, "dns");
  EXPECT_EQ(counter.use_count(), 20u);
  EXPECT_EQ(counter.packets(), 40u);
}

TEST(NftDaemonTest, AutoTakesIptablesWhereAllOfItWorks) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(Part(server, "backend"), HasSubstr("iptables: "));
  ASSERT_OK(Create(server, "web"));
  EXPECT_THAT(Nft("list ruleset").out, Not(HasSubstr("nfmeter")));
}

// A kernel whose nf_tables is there, and not all of it.
struct Lack {
  const char* name;
  const char* bytes;  // of requests, and what the kernel does not know
  const char* feature;
};

class NftLackTest : public ::testing::TestWithParam<Lack> {
 protected:
  NftLackTest() {
    setenv("LD_PRELOAD", NETLINK_LACK_LIBRARY, 1);
    setenv("NETLINK_LACK", GetParam().bytes, 1);
  }
};

INSTANTIATE_TEST_SUITE_P(Features, NftLackTest,
                         ::testing::Values(
                             // NFTA_OBJ_TYPE of NFT_OBJECT_COUNTER.
                             Lack{"NamedCounters",
                                  "0800030000000001:08000300000003e7",
                                  "named counters"},
                             // The expression's name.
                             Lack{"Objref", "6f626a7265660000:6f626a7878780000",
                                  "rules that count into named counters"},
                             // NFTA_SET_OBJ_TYPE of NFT_OBJECT_COUNTER.
                             Lack{"Maps", "08000f0000000001:08000f00000003e7",
                                  "maps from addresses to named counters"}),
                         [](const auto& info) { return info.param.name; });

TEST_P(NftLackTest, IsNamedAndAutoTakesTheOtherBackend) {
  const std::string lacks =
      absl::StrCat("lacks ", GetParam().feature, ", without which");
  {
    NfmeterdProcess server(OnNftables());
    ASSERT_OK(server.WaitUntilReady());
    EXPECT_THAT(Part(server, "backend"), HasSubstr("nf_tables: --backend"));
    const grpc::Status status = Create(server, "web");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(status.error_message(), HasSubstr(lacks));
    EXPECT_THAT(Part(server, "nf_tables"), HasSubstr(lacks));
    EXPECT_EQ(testing::HealthOf(server.Channel(), "nfmeter.v1.CounterService"),
              "NOT_SERVING");
  }
  NfmeterdProcess server(With({"--backend", "auto"}));
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(Part(server, "backend"), AllOf(HasSubstr("legacy iptables work"),
                                             Not(HasSubstr("nf_tables: "))));
  EXPECT_OK(Create(server, "web"));
  EXPECT_THAT(testing::Run({"nfacct", "list"}).out, HasSubstr("web"));
}

// A kernel without quotas, which nothing but quotas needs.
TEST(NftQuotaLackTest, IsToldAndQuotasAreRefused) {
  setenv("LD_PRELOAD", NETLINK_LACK_LIBRARY, 1);
  // NFTA_OBJ_TYPE of NFT_OBJECT_QUOTA.
  setenv("NETLINK_LACK", "0800030000000002:08000300000003e7", 1);
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  const auto lacks =
      AllOf(HasSubstr("lacks quotas"), HasSubstr("load module nft_quota"));
  EXPECT_THAT(Part(server, "nf_tables_quotas"), lacks);
  EXPECT_THAT(Part(server, "quota_events"), lacks);
  EXPECT_THAT(server.Log(), HasSubstr("part=nf_tables_quotas"));
  EXPECT_THAT(Part(server, "nf_tables"), HasSubstr("table inet nfmeter"));

  const grpc::Status made = Create(server, CounterWithQuota("cap", 1000));
  EXPECT_EQ(made.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(made.error_message(), lacks);
  ASSERT_OK(Create(server, "web"));
  const grpc::Status given = GiveQuota(server, CounterWithQuota("web", 1000));
  EXPECT_EQ(given.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(given.error_message(), lacks);
  EXPECT_FALSE(Get(server, "web").has_quota());
}

// As where modules are loaded after the server has started.
class NoNftablesTest : public ::testing::Test {
 protected:
  explicit NoNftablesTest(const char* subsystems = "10") {
    std::ofstream(lacks_).flush();
    setenv("LD_PRELOAD", NETLINK_LACK_LIBRARY, 1);
    setenv("NETLINK_LACK_SUBSYSTEMS", subsystems, 1);
    setenv("NETLINK_LACK_WHILE", lacks_.c_str(), 1);
  }
  void Load() { std::filesystem::remove(lacks_); }

  const testing::TemporaryDirectory dir_;
  const std::string lacks_ = dir_ / "lacks";
};

TEST_F(NoNftablesTest, IsToldAtTheStartAndCountsOnceItIsThere) {
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  const auto remedy = AllOf(HasSubstr("no nf_tables"), HasSubstr("modprobe"));
  EXPECT_THAT(server.Log(), AllOf(HasSubstr("nothing can be counted"), remedy));
  EXPECT_THAT(Part(server, "nf_tables"), remedy);
  EXPECT_EQ(testing::HealthOf(server.Channel(), "nfmeter.v1.CounterService"),
            "NOT_SERVING");
  const grpc::Status refused = Create(server, "web");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(refused.error_message(), remedy);

  Load();
  kill(server.process().pid(), SIGHUP);
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  grpc::Status made = Create(server, "web");
  while (!made.ok() && absl::Now() < deadline) made = Create(server, "web");
  EXPECT_OK(made);
  EXPECT_THAT(Nft("list ruleset").out, HasSubstr("counter c.web"));
}

// Neither is there.
class NoBackendTest : public NoNftablesTest {
 protected:
  NoBackendTest() : NoNftablesTest("7,10") {}
};

TEST_F(NoBackendTest, AutoSaysWhatEachOfThemLacks) {
  NfmeterdProcess server(With({"--backend", "auto"}));
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(Part(server, "backend"),
              AllOf(HasSubstr("iptables: nf_tables does not work here either"),
                    HasSubstr("modprobe nf_tables")));
  EXPECT_THAT(server.Log(), AllOf(HasSubstr("nothing can be counted"),
                                  HasSubstr("modprobe nfnetlink_acct")));
  EXPECT_EQ(testing::HealthOf(server.Channel(), "nfmeter.v1.CounterService"),
            "NOT_SERVING");
}

TEST(NftDaemonTest, OneAtATimeHasTheTable) {
  NfmeterdProcess first(OnNftables());
  ASSERT_OK(first.WaitUntilReady());
  ASSERT_OK(Create(first, "web"));
  NfmeterdProcess second(OnNftables());
  EXPECT_EQ(second.process().Wait(absl::Seconds(20)), 3);
  EXPECT_THAT(second.Log(), HasSubstr("reason=NFT_TABLE_OWNED"));
  // Whoever only reads may be beside it.
  NfmeterdProcess reader(With({"--backend", "nftables", "--read-only"}));
  ASSERT_OK(reader.WaitUntilReady());
  EXPECT_EQ(Get(reader, "web").name(), "web");
}

TEST(NftDaemonTest, AForeignTableOfThatNameIsLeftAlone) {
  ASSERT_EQ(Nft("add table inet nfmeter").exit_code, 0);
  NfmeterdProcess server(OnNftables());
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 3);
  EXPECT_THAT(server.Log(), HasSubstr("reason=NFT_TABLE_FOREIGN"));
}

TEST(NftDaemonTest, AQuotaOfPacketsIsRefused) {
  NfmeterdProcess server(OnNftables());
  ASSERT_OK(server.WaitUntilReady());
  v1::Counter cap;
  cap.set_name("cap");
  cap.mutable_quota()->set_packets(7);
  const grpc::Status status = Create(server, std::move(cap));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("bytes only"));
}

}  // namespace
}  // namespace nfmeter
