// SPDX-License-Identifier: GPL-3.0-or-later
// A gRPC client that we did not write (buf curl: Go, over reflection) calls
// every method of the real server on the real kernel.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/system/buf_client.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Background;
using ::nfmeter::testing::BufPath;
using ::nfmeter::testing::Compact;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::RunResult;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::MatchesRegex;
using ::testing::Not;

std::string Between(const std::string& text, const std::string& begin,
                    const std::string& end) {
  const size_t at = text.find(begin);
  if (at == std::string::npos) return "";
  const size_t from = at + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

// The error has a detail of this type that contains this text; buf shows its
// bytes in base64.
MATCHER_P2(HasDetail, type, text, "") {
  std::string bytes;
  absl::Base64Unescape(
      Between(arg, absl::StrCat("\"type\":\"", type, "\",\"value\":\""), "\""),
      &bytes);
  return absl::StrContains(bytes, text);
}

// What a program writes, read while it runs.
class Fifo {
 public:
  explicit Fifo(const std::string& path) : path_(path) {
    EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    fd_ = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  ~Fifo() { close(fd_); }

  const std::string& path() const { return path_; }

  // Reads until `enough`, the writer's end, or a long time has gone by.
  template <typename Enough>
  std::string ReadUntil(Enough enough) const {
    std::string text;
    pollfd ready = {fd_, POLLIN, 0};
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!enough(text) && absl::Now() < deadline &&
           poll(&ready, 1, 20'000) == 1) {
      char buffer[4096];
      const ssize_t size = read(fd_, buffer, sizeof(buffer));
      if (size <= 0) break;
      text.append(buffer, size);
    }
    return text;
  }

 private:
  const std::string path_;
  int fd_;
};

class ForeignClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("BUF_CACHE_DIR", dir_.path().c_str(), 1);
    setenv("BUF_CONFIG_DIR", dir_.path().c_str(), 1);
    const RunResult version = testing::Run({buf_, "--version"});
    ASSERT_EQ(version.exit_code, 0)
        << "buf is not usable (" << version.err
        << "); install it with: scripts/install-deps test";
    ASSERT_OK(server_.WaitUntilReady());
  }

  void TearDown() override {
    if (HasFailure()) ADD_FAILURE() << "the server's log: " << server_.Log();
  }

  std::vector<std::string> Curl(const std::vector<std::string>& more) const {
    // A call that hangs is an error of that call.
    std::vector<std::string> argv = {"timeout",
                                     "30",
                                     buf_,
                                     "curl",
                                     "--unix-socket",
                                     server_.socket_path(),
                                     "--http2-prior-knowledge",
                                     "--protocol",
                                     "grpc"};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }

  // Calls "package.Service/Method" and returns its answer or error, compact.
  std::string Call(const std::string& method, const std::string& request) {
    called_.insert(method);
    const RunResult run = testing::Run(
        Curl({"-d", request, absl::StrCat("http://localhost/", method)}));
    return Compact(run.exit_code == 0 ? run.out : run.err);
  }
  std::string Counters(const std::string& method, const std::string& request) {
    return Call("nfmeter.v1.CounterService/" + method, request);
  }
  std::string Rules(const std::string& method, const std::string& request) {
    return Call("nfmeter.v1.RuleService/" + method, request);
  }

  // The same for a stream that does not end by itself: ended by the client
  // when `wanted` has come so many times. What came until then, compact.
  std::string CallUntil(const std::string& method, const std::string& request,
                        const std::string& wanted, size_t times = 1) {
    called_.insert(method);
    const Fifo fifo(dir_ / absl::StrCat("stream-", called_.size()));
    Background stream(
        Curl({"-d", request, absl::StrCat("http://localhost/", method)}),
        fifo.path());
    const std::string received = fifo.ReadUntil([&](const std::string& text) {
      const std::vector<std::string> parts =
          absl::StrSplit(Compact(text), wanted);
      return parts.size() > times;
    });
    stream.Signal(SIGTERM);
    stream.Wait(absl::Seconds(10));
    return Compact(received);
  }

  std::set<std::string> List(const std::string& flag) {
    const RunResult run = testing::Run(Curl({flag, "http://localhost"}));
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  }

  void CallCounterMethods();
  void CallBatchCounterMethods();
  void CallRuleMethods();
  void CallSnapshotMethods();
  void CallNodeMethods();
  void CallPlanMethods();
  void CallUsageMethods();
  void CallFlowMethods();
  void CallMethodsOfGrpc();

  const std::string buf_ = BufPath();
  TemporaryDirectory dir_;
  NfmeterdProcess server_;
  std::set<std::string> called_;
};

void ForeignClientTest::CallCounterMethods() {
  EXPECT_THAT(Counters("CreateCounter",
                       R"({"counter": {"name": "web", "packets": 7,
                            "bytes": "4200", "labels": {"team": "a"}},
                           "requestId": "r1"})"),
              AllOf(HasSubstr(R"("name":"web")"), HasSubstr(R"("packets":"7")"),
                    HasSubstr(R"("labels":{"team":"a"})")));
  // A repeated request is answered as the first; another one is refused.
  EXPECT_THAT(Counters("CreateCounter",
                       R"({"counter": {"name": "web", "packets": 7,
                            "bytes": "4200", "labels": {"team": "a"}},
                           "requestId": "r1"})"),
              HasSubstr(R"("packets":"7")"));
  EXPECT_THAT(Counters("CreateCounter", R"({"counter": {"name": "web"}})"),
              AllOf(HasSubstr(R"("code":"already_exists")"),
                    HasDetail("google.rpc.ErrorInfo", "COUNTER_EXISTS")));
  EXPECT_THAT(Counters("CreateCounter", R"({"counter": {"name": "a b"}})"),
              AllOf(HasSubstr(R"("code":"invalid_argument")"),
                    HasDetail("google.rpc.BadRequest", "counter.name")));
  EXPECT_THAT(
      Counters("GetCounter", R"({"name": "web"})"),
      AllOf(HasSubstr(R"("packets":"7")"), HasSubstr(R"("bytes":"4200")")));
  EXPECT_THAT(Counters("GetCounter", R"({"name": "none"})"),
              HasSubstr(R"("code":"not_found")"));
  EXPECT_THAT(
      Counters("ListCounters", R"({"filter": {"nameGlob": "w*"}})"),
      AllOf(HasSubstr(R"("name":"web")"), HasSubstr(R"("totalSize":1)")));
  EXPECT_THAT(Counters("UpdateCounter",
                       R"({"counter": {"name": "web", "description": "all"},
                           "updateMask": "description"})"),
              AllOf(HasSubstr(R"("description":"all")"),
                    HasSubstr(R"("labels":{"team":"a"})")));
  EXPECT_THAT(Counters("ResetCounter", R"({"name": "web"})"),
              HasSubstr(R"("packets":"7")"));
  EXPECT_THAT(Counters("GetCounter", R"({"name": "web"})"),
              Not(HasSubstr(R"("packets")")));
  EXPECT_THAT(Counters("DeleteCounter", R"({"name": "web"})"),
              HasSubstr(R"("name":"web")"));
}

void ForeignClientTest::CallBatchCounterMethods() {
  EXPECT_THAT(Counters("BatchCreateCounters",
                       R"({"counters": [{"name": "a", "packets": 1},
                           {"name": "b", "quota": {"bytes": "100"}}]})"),
              AllOf(HasSubstr(R"("name":"a")"),
                    HasSubstr(R"("quota":{"bytes":"100"})")));
  EXPECT_THAT(Counters("BatchGetCounters", R"({"names": ["b", "a"]})"),
              AllOf(HasSubstr(R"("name":"a")"), HasSubstr(R"("name":"b")")));
  EXPECT_THAT(Counters("BatchResetCounters", R"({"names": ["a", "b"]})"),
              HasSubstr(R"("packets":"1")"));
  EXPECT_THAT(Counters("BatchDeleteCounters", R"({"names": ["a", "b"]})"),
              AllOf(HasSubstr(R"("name":"a")"), HasSubstr(R"("name":"b")")));
  EXPECT_THAT(Counters("ListCounters", "{}"), Not(HasSubstr("\"name\"")));
  // A quota that is reached by the counter's first packet.
  Counters("CreateCounter", R"({"counter": {"name": "capped",
                                            "quota": {"packets": 1}}})");
  Rules("CreateRule", R"({"rule": {"chain": "OUTPUT", "counter": "capped",
                          "match": {"protocol": "udp"}}})");
  testing::Run({"bash", "-c", "echo > /dev/udp/127.0.0.1/9"});
  EXPECT_THAT(
      CallUntil("nfmeter.v1.CounterService/WatchQuotaEvents", "{}",
                "QUOTA_EVENT_KIND_SYNCED"),
      AllOf(HasSubstr("QUOTA_EVENT_KIND_STANDING"),
            HasSubstr(R"("name":"capped")"), HasSubstr(R"("exceeded":true)")));
  EXPECT_THAT(
      Counters("DeleteCounter", R"({"name": "capped"})"),
      AllOf(HasSubstr(R"("code":"failed_precondition")"), HasSubstr("OUTPUT")));
  EXPECT_THAT(Counters("DeleteCounter",
                       R"({"name": "capped", "deleteManagedRules": true})"),
              HasSubstr(R"("name":"capped")"));
}

void ForeignClientTest::CallRuleMethods() {
  Counters("CreateCounter", R"({"counter": {"name": "http-traffic"}})");
  EXPECT_THAT(
      Rules("CreateRule",
            R"({"rule": {"id": "http-in", "chain": "INPUT",
                "counter": "http-traffic", "match": {"protocol": "tcp",
                "sourcePorts": [{"first": 80}]}}})"),
      AllOf(HasSubstr(R"("id":"http-in")"), HasSubstr(R"("managed":true)"),
            HasSubstr("--sport 80"), HasSubstr("--nfacct-name")));
  EXPECT_THAT(Rules("BatchCreateRules",
                    R"({"rules": [{"id": "http-out", "chain": "OUTPUT",
                "counter": "http-traffic", "match": {"protocol": "tcp",
                "destinationPorts": [{"first": 80, "last": 88}]}},
                {"id": "six", "family": "FAMILY_IPV6", "chain": "INPUT",
                 "counter": "http-traffic",
                 "match": {"source": "2001:db8::/32"}}]})"),
              AllOf(HasSubstr(R"("id":"http-out")"), HasSubstr("FAMILY_IPV6")));
  EXPECT_THAT(Rules("GetRule", R"({"id": "six"})"), HasSubstr("2001:db8::/32"));
  EXPECT_THAT(Rules("GetRule", R"({"id": "none"})"),
              HasSubstr(R"("code":"not_found")"));
  EXPECT_THAT(Rules("ListRules", R"({"filter": {"managedOnly": true}})"),
              HasSubstr(R"("totalSize":3)"));
  EXPECT_THAT(Rules("ListChains", R"({"table": "filter"})"),
              AllOf(HasSubstr(R"("name":"FORWARD")"),
                    HasSubstr(R"("policy":"ACCEPT")")));
  EXPECT_THAT(Rules("DeleteRule", R"({"id": "six"})"),
              HasSubstr(R"("id":"six")"));
  EXPECT_THAT(
      Rules("BatchDeleteRules", R"({"ids": ["http-in", "http-out"]})"),
      AllOf(HasSubstr(R"("id":"http-in")"), HasSubstr(R"("id":"http-out")")));
  EXPECT_THAT(Rules("ListRules", "{}"), Not(HasSubstr("\"id\"")));
}

void ForeignClientTest::CallSnapshotMethods() {
  Counters("CreateCounter", R"({"counter": {"name": "shown", "packets": 5}})");
  EXPECT_THAT(
      Call("nfmeter.v1.SnapshotService/GetSnapshot",
           R"({"filter": {"nameGlob": "shown"}})"),
      AllOf(HasSubstr(R"("name":"shown")"), HasSubstr(R"("packets":"5")"),
            HasSubstr(R"("complete":true)"), HasSubstr(R"("lastChunk":true)")));
  EXPECT_THAT(Call("nfmeter.v1.SnapshotService/GetSnapshot",
                   R"({"view": "SNAPSHOT_VIEW_COLUMNS",
                       "filter": {"nameGlob": "shown"}})"),
              AllOf(HasSubstr(R"("packets":["5"])"),
                    HasSubstr(R"("newNames":"shown\n")")));
  EXPECT_THAT(
      CallUntil("nfmeter.v1.SnapshotService/WatchSnapshots",
                R"({"interval": "0.1s",
                            "filter": {"nameGlob": "shown"}})",
                R"("lastChunk":true)", 3),
      AllOf(HasSubstr(R"("name":"shown")"), HasSubstr(R"("full":true)")));
}

void ForeignClientTest::CallPlanMethods() {
  const std::string plans = "nfmeter.v1.PlanService/";
  EXPECT_THAT(
      Call(plans + "ApplyPlan",
           R"({"plan": {"name": "p", "accounts": [{"counter": "of-plan"}]}})"),
      HasSubstr("of-plan"));
  EXPECT_THAT(Call(plans + "GetPlan", R"({"name": "p"})"),
              HasSubstr("of-plan"));
  EXPECT_THAT(Call(plans + "ListPlans", "{}"), HasSubstr("\"p\""));
  EXPECT_THAT(Call(plans + "ExportPlan", "{}"), HasSubstr("exported"));
  EXPECT_THAT(Call(plans + "GetPlanStatus", R"({"name": "p"})"),
              HasSubstr("STATE_IN_SYNC"));
  EXPECT_THAT(Call(plans + "WatchPlanStatus", R"({"name": "absent"})"),
              HasSubstr("not_found"));
  EXPECT_THAT(Call(plans + "DeletePlan", R"({"name": "p"})"),
              HasSubstr("deletedCounters"));
}

void ForeignClientTest::CallUsageMethods() {
  const std::string usage = "nfmeter.v1.UsageService/";
  EXPECT_THAT(Call(usage + "CollectUsage", "{}"),
              HasSubstr("invalid_argument"));
  for (const char* method : {"ListUsage", "ListGaps", "ListConsumers"}) {
    EXPECT_THAT(Call(usage + method, "{}"), HasSubstr("{")) << method;
  }
  EXPECT_THAT(Call(usage + "DeleteConsumer", R"({"name": "absent"})"),
              HasSubstr("{"));
}

// No role includes flows, and nothing else lets this socket see them.
void ForeignClientTest::CallFlowMethods() {
  for (const char* method : {"ListFlows", "SummarizeFlows", "WatchFlows"}) {
    EXPECT_THAT(Call(absl::StrCat("nfmeter.v1.FlowService/", method), "{}"),
                HasSubstr("permission_denied"))
        << method;
  }
}

void ForeignClientTest::CallNodeMethods() {
  EXPECT_THAT(Call("nfmeter.v1.NodeService/GetNode", "{}"),
              AllOf(HasSubstr(R"("version":"0.1.0")"),
                    HasSubstr(R"("name":"nfacct","available":true)"),
                    HasSubstr(R"("maxBatchSize":20000)")));
}

// Health, channelz and reflection itself.
void ForeignClientTest::CallMethodsOfGrpc() {
  EXPECT_THAT(Call("grpc.health.v1.Health/Check",
                   R"({"service": "nfmeter.v1.RuleService"})"),
              HasSubstr(R"("status":"SERVING")"));
  EXPECT_THAT(CallUntil("grpc.health.v1.Health/Watch", "{}", "SERVING"),
              HasSubstr(R"("status":"SERVING")"));
  const std::string channelz = "grpc.channelz.v1.Channelz/";
  EXPECT_THAT(Call(channelz + "GetServers", "{}"), HasSubstr("\"server\""));
  EXPECT_THAT(Call(channelz + "GetTopChannels", "{}"), HasSubstr("{"));
  const std::string server = absl::StrCat(
      R"({"serverId": ")",
      Between(Call(channelz + "GetServers", "{}"), R"("serverId":")", "\""),
      "\"}");
  EXPECT_THAT(Call(channelz + "GetServer", server),
              HasSubstr("\"listenSocket\""));
  EXPECT_THAT(Call(channelz + "GetServerSockets", server),
              HasSubstr("\"socketRef\""));
  // What the server has none of.
  for (const char* method : {"GetChannel", "GetSubchannel", "GetSocket"}) {
    EXPECT_THAT(Call(channelz + method, "{}"),
                HasSubstr(R"("code":"not_found")"))
        << method;
  }
  EXPECT_THAT(Call("grpc.reflection.v1alpha.ServerReflection/"
                   "ServerReflectionInfo",
                   R"({"listServices": "*"})"),
              HasSubstr("nfmeter.v1.CounterService"));
}

TEST_F(ForeignClientTest, EveryMethodThatReflectionListsWorks) {
  EXPECT_THAT(
      List("--list-services"),
      IsSupersetOf({"nfmeter.v1.CounterService", "nfmeter.v1.RuleService",
                    "nfmeter.v1.SnapshotService", "nfmeter.v1.NodeService",
                    "grpc.health.v1.Health"}));
  CallCounterMethods();
  CallBatchCounterMethods();
  CallRuleMethods();
  CallSnapshotMethods();
  CallNodeMethods();
  CallPlanMethods();
  CallUsageMethods();
  CallFlowMethods();
  CallMethodsOfGrpc();
  std::vector<std::string> not_called;
  for (const std::string& method : List("--list-methods")) {
    if (!called_.contains(method)) not_called.push_back(method);
  }
  EXPECT_THAT(not_called, ::testing::IsEmpty())
      << "methods without a call in this test";
  EXPECT_EQ(server_.Stop(), 0);
}

// buf's own protocol is none of gRPC's; gRPC complains about it.
TEST_F(ForeignClientTest, WhatGrpcSaysIsALineOfOurLog) {
  const RunResult run = testing::Run(
      {buf_, "curl", "--unix-socket", server_.socket_path(),
       "--http2-prior-knowledge", "--schema", NFMETER_SOURCE_ROOT "/proto",
       "-d", "{}", "http://localhost/nfmeter.v1.NodeService/GetNode"});
  EXPECT_NE(run.exit_code, 0);
  EXPECT_EQ(server_.Stop(), 0);
  const std::vector<std::string> lines =
      absl::StrSplit(server_.Log(), '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, Contains(HasSubstr(" warning grpc detail=")));
  EXPECT_THAT(lines, Each(Not(HasSubstr("connect+proto"))));
  EXPECT_THAT(lines, Each(MatchesRegex("[0-9-]+T[0-9:.]+Z [a-z]+ .*")));
}

}  // namespace
}  // namespace nfmeter
