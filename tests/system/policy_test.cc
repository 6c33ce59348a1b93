// SPDX-License-Identifier: GPL-3.0-or-later
// The policy of the real nfmeterd: who may do what over TLS, and how a changed
// file is taken.
#include <grpcpp/grpcpp.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"
#include "tests/support/status_matchers.h"
#include "tests/system/certificates.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Eventually;
using ::nfmeter::testing::HealthOf;
using ::nfmeter::testing::NfmeterdPath;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::RunResult;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ReadFile;

using Channel = std::shared_ptr<grpc::Channel>;

class PolicyTest : public ::testing::Test {
 protected:
  void Write(const std::string& rules) {
    std::ofstream(policy_) << "version: 1\nrules:\n" << rules;
  }

  void Start(std::vector<std::string> more = {}) {
    std::vector<std::string> flags = files_.ServerFlags();
    flags.insert(flags.end(), more.begin(), more.end());
    server_ = std::make_unique<NfmeterdProcess>(
        NfmeterdProcess::Options{.arguments = std::move(flags)});
    ASSERT_OK(server_->WaitUntilReady());
  }

  void StartWithPolicy(const std::string& rules,
                       std::vector<std::string> more = {}) {
    Write(rules);
    more.insert(more.end(), {"--policy", policy_});
    Start(std::move(more));
  }

  Channel As(const std::string& client) const {
    return files_.Connect(server_->TcpAddress("127.0.0.1"), client);
  }

  static grpc::Status GetNode(const Channel& channel, v1::Node* node) {
    grpc::ClientContext context;
    v1::GetNodeResponse response;
    const grpc::Status status = v1::NodeService::NewStub(channel)->GetNode(
        &context, v1::GetNodeRequest(), &response);
    *node = response.node();
    return status;
  }

  static grpc::Status GetNode(const Channel& channel) {
    v1::Node node;
    return GetNode(channel, &node);
  }

  static grpc::Status Create(const Channel& channel, const std::string& name) {
    grpc::ClientContext context;
    v1::CreateCounterRequest request;
    v1::CreateCounterResponse response;
    request.mutable_counter()->set_name(name);
    return v1::CounterService::NewStub(channel)->CreateCounter(
        &context, request, &response);
  }

  testing::Certificates files_;
  const std::string policy_ = files_.dir() / "policy.yaml";
  std::unique_ptr<NfmeterdProcess> server_;
};

TEST_F(PolicyTest, ACallerIsCalledByItsCertificate) {
  files_.Issue("spiffe", {.alternative_names =
                              "DNS:Host.example,URI:spiffe://example.org/a"});
  files_.Issue("malformed",
               {.alternative_names = "URI:spiffe://Example.org/a?x"});
  files_.Issue("two", {.alternative_names =
                           "URI:spiffe://example.org/a,URI:https://x/y"});
  files_.Issue("dns", {.alternative_names = "DNS:Host.example"});
  files_.Issue("umlaut", {.subject = "/CN=Zoë"});
  StartWithPolicy("  - {principals: ['*'], role: viewer}\n");
  const std::pair<const char*, const char*> cases[] = {
      {"spiffe", "spiffe://example.org/a"},
      {"malformed", "cn:malformed"},
      {"two", "uri:https://x/y"},
      {"dns", "dns:host.example"},
      {"umlaut", "cn:Zoë"}};
  for (const auto& [client, principal] : cases) {
    v1::Node node;
    const grpc::Status status = GetNode(As(client), &node);
    EXPECT_OK(status) << client;
    EXPECT_EQ(node.caller().principal(), principal);
    ASSERT_EQ(node.caller().grants_size(), 1);
    EXPECT_EQ(node.caller().grants(0).role(), "viewer");
  }
  v1::Node node;
  EXPECT_OK(GetNode(server_->Channel(), &node));
  EXPECT_EQ(node.caller().principal(), "socket:" + server_->socket_path());
}

TEST_F(PolicyTest, WithoutAPolicyNobodyCanCallOverTlsAndItIsWarnedOf) {
  files_.Issue("client");
  Start();
  EXPECT_THAT(server_->Log(),
              HasSubstr("nobody can call over TLS: there is no policy"));
  const grpc::Status status = GetNode(As("client"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(),
            "cn:client may not call nfmeter.v1.NodeService/GetNode: that needs "
            "the role viewer, and the caller has been granted nothing; this "
            "server has no policy; give it one with --policy");
  EXPECT_THAT(
      testing::FirstAnswerRaw(
          As("client"),
          "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ""),
      testing::StatusIs(absl::StatusCode::kPermissionDenied));
  // Probes need no role.
  EXPECT_EQ(HealthOf(As("client"), ""), "SERVING");
  EXPECT_OK(GetNode(server_->Channel()));
}

TEST_F(PolicyTest, ATenantTouchesAndSeesItsOwnCountersOnly) {
  files_.Issue("a", {.alternative_names = "URI:spiffe://example.org/a"});
  StartWithPolicy(
      "  - {principals: ['spiffe://example.org/a'], role: operator, "
      "counter_prefixes: ['a-']}\n");
  EXPECT_OK(Create(server_->Channel(), "b-1"));
  EXPECT_OK(Create(As("a"), "a-1"));
  EXPECT_EQ(Create(As("a"), "b-2").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext context;
  v1::ListCountersResponse list;
  ASSERT_OK(v1::CounterService::NewStub(As("a"))->ListCounters(
      &context, v1::ListCountersRequest(), &list));
  ASSERT_EQ(list.counters_size(), 1);
  EXPECT_EQ(list.counters(0).name(), "a-1");
}

TEST_F(PolicyTest, ARefusalDoesNotTellWhereThePolicyIs) {
  files_.Issue("nobody");
  files_.Issue("viewer");
  StartWithPolicy("  - {principals: ['cn:viewer'], role: viewer}\n");
  for (const char* client : {"nobody", "viewer"}) {
    const grpc::Status refused = Create(As(client), "web");
    EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_THAT(refused.error_message(), HasSubstr("the server's policy"));
    EXPECT_THAT(refused.error_message(), Not(HasSubstr("policy.yaml")));
  }
}

// An answer is kept for the caller who asked, and tells nothing to others.
TEST_F(PolicyTest, ARequestIdIsOfTheCallerWhoGaveIt) {
  files_.Issue("one");
  files_.Issue("other");
  StartWithPolicy("  - {principals: ['cn:*'], role: operator}\n");
  v1::CreateCounterRequest request;
  v1::CreateCounterResponse response;
  request.mutable_counter()->set_name("web");
  request.set_request_id("r1");
  const auto create = [&](const std::string& client) {
    grpc::ClientContext context;
    return v1::CounterService::NewStub(As(client))
        ->CreateCounter(&context, request, &response);
  };
  EXPECT_OK(create("one"));
  EXPECT_OK(create("one"));
  EXPECT_EQ(create("other").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  // Nor is the id taken for them, or its other use refused.
  request.mutable_counter()->set_name("dns");
  EXPECT_OK(create("other"));
  EXPECT_EQ(response.counter().name(), "dns");
}

// A page token is worth nothing in other hands: what it continues is the list
// of a caller who sees the same.
TEST_F(PolicyTest, APageTokenShowsNobodyWhatOthersSee) {
  files_.Issue("all");
  files_.Issue("tenant");
  StartWithPolicy(
      "  - {principals: ['cn:all'], role: operator}\n"
      "  - {principals: ['cn:tenant'], role: operator, counter_prefixes: "
      "[a-]}\n");
  for (const char* name : {"a-1", "a-2", "b-1", "b-2"}) {
    ASSERT_OK(Create(As("all"), name));
    grpc::ClientContext context;
    v1::CreateRuleRequest request;
    v1::CreateRuleResponse response;
    request.mutable_rule()->set_counter(name);
    request.mutable_rule()->set_chain("INPUT");
    ASSERT_OK(v1::RuleService::NewStub(As("all"))->CreateRule(&context, request,
                                                              &response));
  }
  const auto counters = [&](const std::string& client, std::string& token) {
    grpc::ClientContext context;
    v1::ListCountersRequest request;
    v1::ListCountersResponse response;
    request.set_page_size(1);
    request.set_page_token(token);
    const grpc::Status status =
        v1::CounterService::NewStub(As(client))
            ->ListCounters(&context, request, &response);
    token = response.next_page_token();
    return status;
  };
  const auto rules = [&](const std::string& client, std::string& token) {
    grpc::ClientContext context;
    v1::ListRulesRequest request;
    v1::ListRulesResponse response;
    request.set_page_size(1);
    request.set_page_token(token);
    const grpc::Status status = v1::RuleService::NewStub(As(client))
                                    ->ListRules(&context, request, &response);
    token = response.next_page_token();
    return status;
  };
  const auto is_bound = [&](auto list) {
    std::string token;
    EXPECT_OK(list("all", token));
    std::string others = token;
    EXPECT_EQ(list("tenant", others).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_OK(list("all", token));
    std::string own;
    EXPECT_OK(list("tenant", own));
    EXPECT_EQ(list("all", own).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  };
  is_bound(counters);
  is_bound(rules);
}

TEST_F(PolicyTest, AChangedPolicyIsTakenWithoutARestart) {
  files_.Issue("client");
  StartWithPolicy("  - {principals: ['cn:client'], role: viewer}\n");
  const Channel channel = As("client");
  ASSERT_OK(GetNode(channel));
  Write("  - {principals: ['cn:other'], role: admin}\n");
  EXPECT_TRUE(Eventually([&] {
    return GetNode(channel).error_code() == grpc::StatusCode::PERMISSION_DENIED;
  }));
  Write("  - {principals: ['cn:client'], role: viewer}\n");
  EXPECT_TRUE(Eventually([&] { return GetNode(channel).ok(); }));
  EXPECT_THAT(server_->Log(), HasSubstr("policy taken"));
}

TEST_F(PolicyTest, SighupTakesItAtOnce) {
  files_.Issue("client");
  StartWithPolicy("  - {principals: ['cn:x'], role: viewer}\n",
                  {"--tls-reload-interval", "24h"});
  ASSERT_FALSE(GetNode(As("client")).ok());
  Write("  - {principals: ['cn:client'], role: viewer}\n");
  server_->process().Signal(SIGHUP);
  EXPECT_TRUE(Eventually([&] { return GetNode(As("client")).ok(); }));
}

TEST_F(PolicyTest, ABrokenFileKeepsTheOldPolicyAndSaysSo) {
  files_.Issue("client");
  StartWithPolicy("  - {principals: ['cn:client'], role: viewer}\n");
  Write("  - principals: ['cn:client']\n    rolle: admin\n");
  server_->process().Signal(SIGHUP);
  v1::Node node;
  EXPECT_TRUE(Eventually([&] {
    return GetNode(As("client"), &node).ok() &&
           absl::StrContains(absl::StrJoin(node.notices(), "\n"),
                             "policy.yaml:4:5: unknown key 'rolle'; did you "
                             "mean 'role'?");
  }));
  EXPECT_THAT(server_->Log(), HasSubstr("policy refused, the old one stays"));
  EXPECT_THAT(server_->Log(), HasSubstr("policy.yaml:4:5: unknown key"));
  Write("  - {principals: ['cn:client'], role: viewer}\n");
  server_->process().Signal(SIGHUP);
  EXPECT_TRUE(Eventually([&] {
    GetNode(As("client"), &node).ok();
    return !absl::StrContains(absl::StrJoin(node.notices(), "\n"),
                              "policy file");
  }));
}

TEST_F(PolicyTest, AChangedPolicyThatLocksEverybodyOutIsWarnedOf) {
  StartWithPolicy("  - {principals: ['cn:client'], role: admin}\n");
  Write("  - {principals: ['client'], role: admin}\n");
  server_->process().Signal(SIGHUP);
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(server_->Log(), "nobody can be 'client'") &&
           absl::StrContains(server_->Log(),
                             "nobody can call over TLS: no rule of");
  })) << server_->Log();
}

TEST(LockedOutTest, ASocketWithoutARoleAndWithoutAPolicyIsWarnedOf) {
  NfmeterdProcess server({.arguments = {"--socket-role", "none"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(server.Log(), HasSubstr("nobody can call over unix:"));
}

TEST_F(PolicyTest, StreamsThatAreNoLongerAllowedEnd) {
  files_.Issue("lost");
  files_.Issue("narrowed");
  files_.Issue("kept");
  StartWithPolicy("  - {principals: ['cn:*'], role: viewer}\n");
  struct Watch {
    Channel channel;
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchSnapshotsResponse>> reader;
    v1::WatchSnapshotsResponse frame;
  };
  const auto watch = [&](const std::string& client) {
    auto opened = std::make_unique<Watch>();
    opened->channel = As(client);
    v1::WatchSnapshotsRequest request;
    request.mutable_interval()->set_nanos(100'000'000);
    opened->reader = v1::SnapshotService::NewStub(opened->channel)
                         ->WatchSnapshots(&opened->context, request);
    EXPECT_TRUE(opened->reader->Read(&opened->frame));
    return opened;
  };
  const auto lost = watch("lost");
  const auto narrowed = watch("narrowed");
  const auto kept = watch("kept");
  Write(
      "  - {principals: ['cn:kept'], role: viewer}\n"
      "  - {principals: ['cn:narrowed'], role: viewer, counter_prefixes: "
      "[n]}\n");
  server_->process().Signal(SIGHUP);
  while (lost->reader->Read(&lost->frame)) {
  }
  EXPECT_EQ(lost->reader->Finish().error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  while (narrowed->reader->Read(&narrowed->frame)) {
  }
  EXPECT_EQ(narrowed->reader->Finish().error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(kept->reader->Read(&kept->frame));
  kept->context.TryCancel();
  kept->reader->Finish();
}

TEST_F(PolicyTest, ACallerWithACertificateHasARateAndSocketsHaveNone) {
  files_.Issue("client");
  files_.Issue("other");
  StartWithPolicy("  - {principals: ['cn:*'], role: viewer}\n",
                  {"--max-calls-per-second", "5"});
  const Channel channel = As("client");
  grpc::Status status;
  int calls = 0;
  while (status.ok() && calls < 1000) {
    status = GetNode(channel);
    ++calls;
  }
  EXPECT_GE(calls, 10);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(),
              HasSubstr("cn:client has made more than 5 calls a second"));
  EXPECT_OK(GetNode(As("other")));
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(GetNode(server_->Channel()));
  }
}

TEST_F(PolicyTest, ACallerWithACertificateHasSoManyStreams) {
  files_.Issue("client");
  StartWithPolicy("  - {principals: ['cn:*'], role: viewer}\n",
                  {"--max-streams-per-caller", "1"});
  const auto open = [&](grpc::ClientContext* context) {
    return v1::CounterService::NewStub(As("client"))
        ->WatchQuotaEvents(context, v1::WatchQuotaEventsRequest());
  };
  grpc::ClientContext first_context;
  const auto first = open(&first_context);
  v1::WatchQuotaEventsResponse event;
  ASSERT_TRUE(first->Read(&event));
  grpc::ClientContext second_context;
  const auto second = open(&second_context);
  EXPECT_FALSE(second->Read(&event));
  const grpc::Status refused = second->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("cn:client already has 1"));
  first_context.TryCancel();
  first->Finish();
}

TEST_F(PolicyTest, ChangesAndDenialsAreInTheAuditFile) {
  files_.Issue("client");
  const std::string audit = files_.dir() / "audit.log";
  StartWithPolicy("  - {principals: ['cn:*'], role: viewer}\n",
                  {"--audit-file", audit});
  ASSERT_OK(Create(server_->Channel(), "made"));
  ASSERT_OK(GetNode(As("client")));
  ASSERT_FALSE(Create(As("client"), "refused").ok());
  ASSERT_FALSE(testing::CallRaw(As("client"),
                                "/grpc.channelz.v1.Channelz/GetServers", "")
                   .ok());
  const std::string lines = ReadFile(audit);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3) << lines;
  EXPECT_THAT(
      lines,
      HasSubstr("\"principal\":\"socket:" + server_->socket_path() + "\""));
  EXPECT_THAT(lines,
              HasSubstr("\"targets\":[\"made\"],\"target_count\":1,\"code\":"
                        "\"OK\""));
  EXPECT_THAT(lines, HasSubstr("\"code\":\"PERMISSION_DENIED\",\"reason\":"
                               "\"NOT_PERMITTED\""));
  EXPECT_THAT(lines, HasSubstr("grpc.channelz.v1.Channelz/GetServers"));
  EXPECT_EQ(std::filesystem::status(audit).permissions() &
                std::filesystem::perms::others_all,
            std::filesystem::perms::none);
  std::filesystem::rename(audit, audit + ".1");
  ASSERT_OK(Create(server_->Channel(), "later"));
  EXPECT_THAT(ReadFile(audit), HasSubstr("\"later\""));
}

TEST_F(PolicyTest, WhatCannotServeEndsAtTheStartWithACodeByItsCause) {
  Write("  - {principals: ['cn:*'], role: king}\n");
  NfmeterdProcess wrong({.arguments = {"--policy", policy_}});
  EXPECT_EQ(wrong.process().Wait(absl::Seconds(20)), 2);
  EXPECT_EQ(wrong.Log(), "nfmeterd: " + policy_ +
                             ":3:34: 'role' must be viewer, operator or admin, "
                             "not 'king'\n");
  NfmeterdProcess audit({.arguments = {"--audit-file", "/nonexistent/a"}});
  EXPECT_EQ(audit.process().Wait(absl::Seconds(20)), 5);
  EXPECT_THAT(audit.Log(),
              AllOf(HasSubstr(" error no place for state or audit "),
                    HasSubstr("audit.file /nonexistent/a cannot be written")));
}

TEST_F(PolicyTest, CheckPolicySaysWhoGetsWhatAndWarns) {
  const auto check = [&] {
    return testing::Run({NfmeterdPath(), "--check-policy", policy_});
  };
  Write(
      "  - {name: tenant, principals: ['spiffe://a/b'], role: viewer, "
      "counter_prefixes: [a]}\n");
  const RunResult warned = check();
  EXPECT_EQ(warned.exit_code, 0) << warned.err;
  EXPECT_EQ(warned.out,
            "ok: " + policy_ +
                "\n"
                "RULE    PRINCIPALS    ROLE    METHODS               COUNTERS\n"
                "tenant  spiffe://a/b  viewer  all of the role (13)  a*\n"
                "warning: " +
                policy_ +
                ": no rule makes anybody admin of everything: only those who "
                "come in over a socket with that role can mend what others "
                "break\n");
  Write("  - {principals: [], role: viewer}\n");
  const RunResult wrong = check();
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_EQ(wrong.out, "");
  EXPECT_EQ(wrong.err, "nfmeterd: " + policy_ +
                           ":3:6: 'principals' must be a list of at least "
                           "one\n");
}

TEST(CheckPolicyTest, TheExampleIsRightAndHasNoWarnings) {
  const RunResult run =
      testing::Run({NfmeterdPath(), "--check-policy",
                    NFMETER_SOURCE_ROOT "/packaging/policy.yaml"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, Not(HasSubstr("warning")));
}

}  // namespace
}  // namespace nfmeter
