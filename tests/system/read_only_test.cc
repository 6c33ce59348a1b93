// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd --read-only: everything is seen, nothing is changed.
#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/support/read_file.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;
using ::testing::HasSubstr;

class ReadOnlyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(nfmeter::testing::Run({"nfacct", "add", "old"}).exit_code, 0);
    ASSERT_EQ(nfmeter::testing::Run({"iptables-legacy", "-A", "OUTPUT", "-m",
                                     "nfacct", "--nfacct-name", "old"})
                  .exit_code,
              0);
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = {"--read-only"}});
    ASSERT_OK(server_->WaitUntilReady());
    counters_ = v1::CounterService::NewStub(server_->Channel());
    rules_ = v1::RuleService::NewStub(server_->Channel());
  }

  std::unique_ptr<NfmeterdProcess> server_;
  std::unique_ptr<v1::CounterService::Stub> counters_;
  std::unique_ptr<v1::RuleService::Stub> rules_;
  grpc::ClientContext context_;
};

TEST_F(ReadOnlyTest, NetAdminAloneIsLeftInAllThreads) {
  size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", server_->process().pid(), "/task"))) {
    const std::string status = testing::ReadFile(task.path() / "status");
    EXPECT_THAT(status, HasSubstr("CapPrm:\t0000000000001000\n"));
    EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000001000\n"));
    ++threads;
  }
  EXPECT_GT(threads, 3u);
  EXPECT_THAT(server_->Log(), HasSubstr("capabilities=cap_net_admin "));
}

TEST_F(ReadOnlyTest, CountersAreRead) {
  v1::GetCounterRequest request;
  request.set_name("old");
  v1::GetCounterResponse response;
  const grpc::Status status =
      counters_->GetCounter(&context_, request, &response);
  EXPECT_OK(status);
}

TEST_F(ReadOnlyTest, SnapshotsAreComplete) {
  const auto stream = v1::SnapshotService::NewStub(server_->Channel())
                          ->GetSnapshot(&context_, {});
  v1::GetSnapshotResponse response;
  EXPECT_TRUE(stream->Read(&response));
  while (stream->Read(&response)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_OK(status);
}

// libiptc would open a raw socket for that, which takes CAP_NET_RAW.
TEST_F(ReadOnlyTest, RulesAreReadWithoutRawSockets) {
  v1::ListRulesResponse response;
  const grpc::Status status = rules_->ListRules(&context_, {}, &response);
  EXPECT_OK(status);
  ASSERT_EQ(response.rules_size(), 1);
  EXPECT_EQ(response.rules(0).counter(), "old");
}

TEST_F(ReadOnlyTest, ChangesAreRefused) {
  {
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name("new");
    v1::CreateCounterResponse response;
    const grpc::Status status =
        counters_->CreateCounter(&context_, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_details(), HasSubstr("READ_ONLY"));
  }
  {
    grpc::ClientContext context;
    v1::ResetCounterRequest request;
    request.set_name("old");
    v1::ResetCounterResponse response;
    EXPECT_EQ(
        counters_->ResetCounter(&context, request, &response).error_code(),
        grpc::StatusCode::FAILED_PRECONDITION);
  }
  {
    grpc::ClientContext context;
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_chain("INPUT");
    request.mutable_rule()->set_counter("old");
    v1::CreateRuleResponse response;
    EXPECT_EQ(rules_->CreateRule(&context, request, &response).error_code(),
              grpc::StatusCode::FAILED_PRECONDITION);
  }
  EXPECT_THAT(nfmeter::testing::Run({"nfacct", "list"}).out,
              ::testing::Not(HasSubstr("new")));
}

}  // namespace
}  // namespace nfmeter
