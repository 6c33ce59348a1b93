// SPDX-License-Identifier: GPL-3.0-or-later
// Counters that change while real packets run into them, and counters with long
// names, on both backends.
#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::kUdpPacketBytes;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::SendUdp;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kPort = 5353;

// UDP packets to kPort, without a pause, until it ends.
class UdpTraffic {
 public:
  UdpTraffic()
      : thread_([this] {
          while (!stopping_) {
            SendUdp(kPort, 50);
            sent_ += 50;
          }
        }) {}
  ~UdpTraffic() { Stop(); }

  // How many there were.
  uint64_t Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return sent_;
  }

 private:
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> sent_ = 0;
  std::thread thread_;
};

class CounterUpdateTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { Start(); }

  void Start(const std::string& state_dir = "") {
    // At the same socket in each life, as that names the caller whose
    // request_ids are known again.
    const std::string target = "unix:" + (sockets_ / "nfmeter.sock");
    server_ = std::make_unique<NfmeterdProcess>(NfmeterdProcess::Options{
        .arguments = {"--backend", GetParam(), "--listen", target},
        .listen_on_socket = false,
        .state_dir = state_dir.empty() ? state_.path() : state_dir});
    ASSERT_OK(server_->WaitUntilReady());
    grpc::ChannelArguments own;  // knows nothing of the life before
    own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(
        target, grpc::InsecureChannelCredentials(), own);
    counters_ = v1::CounterService::NewStub(channel_);
  }
  void Kill() {
    server_->process().Signal(SIGKILL);
    EXPECT_EQ(server_->process().Wait(absl::Seconds(30)), testing::kKilled);
  }

  v1::Counter Create(const std::string& name, uint64_t quota_bytes = 0) {
    grpc::ClientContext context;
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name(name);
    if (quota_bytes > 0) {
      request.mutable_counter()->mutable_quota()->set_bytes(quota_bytes);
    }
    v1::CreateCounterResponse response;
    const grpc::Status status =
        counters_->CreateCounter(&context, request, &response);
    EXPECT_OK(status);
    return response.counter();
  }
  grpc::Status Get(const std::string& name, v1::Counter* counter) {
    grpc::ClientContext context;
    v1::GetCounterRequest request;
    request.set_name(name);
    v1::GetCounterResponse response;
    const grpc::Status status =
        counters_->GetCounter(&context, request, &response);
    *counter = response.counter();
    return status;
  }
  v1::Counter Get(const std::string& name) {
    v1::Counter counter;
    const grpc::Status status = Get(name, &counter);
    EXPECT_OK(status);
    return counter;
  }
  // 0: no quota any more.
  grpc::Status SetQuota(const std::string& name, uint64_t bytes) {
    grpc::ClientContext context;
    v1::UpdateCounterRequest request;
    request.mutable_counter()->set_name(name);
    request.mutable_update_mask()->add_paths("quota");
    if (bytes > 0) request.mutable_counter()->mutable_quota()->set_bytes(bytes);
    v1::UpdateCounterResponse response;
    return counters_->UpdateCounter(&context, request, &response);
  }
  v1::Rule Count(const std::string& counter,
                 v1::Verdict verdict = v1::VERDICT_CONTINUE) {
    grpc::ClientContext context;
    v1::CreateRuleRequest request;
    v1::Rule& rule = *request.mutable_rule();
    rule.set_chain("INPUT");
    rule.set_counter(counter);
    rule.set_verdict(verdict);
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kPort);
    v1::CreateRuleResponse response;
    const grpc::Status status = v1::RuleService::NewStub(channel_)->CreateRule(
        &context, request, &response);
    EXPECT_OK(status);
    return response.rule();
  }
  // The kernel's objects as its own tools list them.
  std::string Listed() const {
    const bool nft = absl::string_view(GetParam()) == "nftables";
    return nft ? testing::Run({"nft", "list", "ruleset"}).out
               : testing::Run({"nfacct", "list"}).out;
  }

  testing::TemporaryDirectory state_;
  testing::TemporaryDirectory sockets_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<NfmeterdProcess> server_;
  std::unique_ptr<v1::CounterService::Stub> counters_;
};

INSTANTIATE_TEST_SUITE_P(Backends, CounterUpdateTest,
                         ::testing::Values("iptables", "nftables"),
                         [](const auto& info) { return info.param; });

TEST_P(CounterUpdateTest, NoPacketIsLostWhileQuotasChange) {
  constexpr uint64_t kFar = uint64_t{1} << 40;
  Create("web");
  Count("web");
  UdpTraffic traffic;
  for (const uint64_t quota :
       {kFar, 2 * kFar, 3 * kFar, uint64_t{0}, kFar, uint64_t{0}, 5 * kFar}) {
    const grpc::Status status = SetQuota("web", quota);
    ASSERT_OK(status);
  }
  const uint64_t sent = traffic.Stop();
  const v1::Counter counter = Get("web");
  EXPECT_EQ(counter.total_packets(), sent);
  EXPECT_EQ(counter.total_bytes(), sent * kUdpPacketBytes);
  EXPECT_EQ(counter.quota().bytes(), 5 * kFar);
  EXPECT_EQ(counter.use_count(), 1u);
  EXPECT_THAT(Listed(), Not(HasSubstr("nfmeterd.")));
  // Records of it, after a kill.
  Kill();
  Start();
  EXPECT_EQ(Get("web").total_packets(), sent);
}

TEST_P(CounterUpdateTest, ACapGoesOnFromWhatWasUsed) {
  Create("cap", 10 * kUdpPacketBytes);
  Count("cap", v1::VERDICT_DROP);
  SendUdp(kPort, 8);
  EXPECT_FALSE(Get("cap").quota().exceeded());
  ASSERT_OK(SetQuota("cap", 12 * kUdpPacketBytes));
  SendUdp(kPort, 3);
  EXPECT_FALSE(Get("cap").quota().exceeded());
  SendUdp(kPort, 1);
  EXPECT_TRUE(Get("cap").quota().exceeded());
  ASSERT_OK(SetQuota("cap", 100 * kUdpPacketBytes));
  EXPECT_FALSE(Get("cap").quota().exceeded());
  EXPECT_EQ(Get("cap").total_packets(), 12u);
}

TEST_P(CounterUpdateTest, LongNamesCountAndStayOverRestarts) {
  const std::string name = absl::StrCat("tenant:42/", std::string(242, 'x'));
  const std::string twin = absl::StrCat(name, "2");
  const v1::Counter made = Create(absl::StrCat(name, "1"));
  Create(twin);
  EXPECT_EQ(Count(made.name()).counter(), made.name());
  SendUdp(kPort, 5);
  EXPECT_EQ(Get(made.name()).packets(), 5u);
  EXPECT_EQ(Get(twin).packets(), 0u);
  EXPECT_EQ(Get(made.name()).name().size(), 253u);
  EXPECT_THAT(Listed(), HasSubstr(Get(made.name()).kernel_name()));
  Kill();
  Start();
  grpc::ClientContext context;
  v1::ListCountersResponse all;
  ASSERT_OK(counters_->ListCounters(&context, {}, &all));
  ASSERT_EQ(all.counters_size(), 2);
  EXPECT_EQ(all.counters(0).name(), made.name());
  EXPECT_EQ(all.counters(1).name(), twin);
  SendUdp(kPort, 2);
  EXPECT_EQ(Get(made.name()).total_packets(), 7u);
  ASSERT_OK(SetQuota(made.name(), 1 << 20));
  SendUdp(kPort, 1);
  EXPECT_EQ(Get(made.name()).total_packets(), 8u);
}

TEST_P(CounterUpdateTest, ALongNameIsFoundWhenTheStateIsLost) {
  const std::string name(200, 'n');
  Create(name);
  Count(name);
  Kill();
  const testing::TemporaryDirectory other;
  Start(other.path());
  SendUdp(kPort, 3);
  EXPECT_EQ(Get(name).packets(), 3u);
  EXPECT_EQ(Get(name).name(), name);
}

TEST_P(CounterUpdateTest, AnAnswerIsGivenAgainAfterAKill) {
  Create("web");
  Count("web");
  SendUdp(kPort, 4);
  v1::ResetCounterRequest request;
  request.set_name("web");
  request.set_request_id("the only one");
  v1::ResetCounterResponse first;
  {
    grpc::ClientContext context;
    ASSERT_OK(counters_->ResetCounter(&context, request, &first));
  }
  EXPECT_EQ(first.counter().packets(), 4u);
  Kill();
  Start();
  SendUdp(kPort, 1);
  grpc::ClientContext context;
  v1::ResetCounterResponse again;
  ASSERT_OK(counters_->ResetCounter(&context, request, &again));
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Get("web").packets(), 1u);
  EXPECT_EQ(Get("web").total_packets(), 5u);
}

}  // namespace
}  // namespace nfmeter
