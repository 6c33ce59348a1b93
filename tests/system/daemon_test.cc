// SPDX-License-Identifier: GPL-3.0-or-later
// The life of nfmeterd: start, readiness, health, end.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallRaw;
using ::nfmeter::testing::FirstAnswerRaw;
using ::nfmeter::testing::HealthOf;
using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kReflection[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
// ServerReflectionRequest{list_services: "*"}
constexpr char kListServices[] = "\x3a\x01*";
constexpr char kGetServers[] = "/grpc.channelz.v1.Channelz/GetServers";

// Without these a process of root has no more rights than others.
std::vector<std::string> Without(const std::string& capability) {
  return {"setpriv", "--bounding-set", "-" + capability, "--inh-caps",
          "-" + capability};
}

grpc::Status Create(const std::shared_ptr<grpc::Channel>& channel,
                    const std::string& name,
                    const std::map<std::string, std::string>& labels = {}) {
  grpc::ClientContext context;
  v1::CreateCounterRequest request;
  v1::CreateCounterResponse response;
  request.mutable_counter()->set_name(name);
  request.mutable_counter()->mutable_labels()->insert(labels.begin(),
                                                      labels.end());
  return v1::CounterService::NewStub(channel)->CreateCounter(&context, request,
                                                             &response);
}

v1::Node GetNode(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  v1::GetNodeResponse response;
  const grpc::Status status =
      v1::NodeService::NewStub(channel)->GetNode(&context, {}, &response);
  EXPECT_OK(status);
  return response.node();
}

TEST(DaemonTest, ServesHealthReflectionAndChannelz) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  const auto channel = server.Channel();
  for (const char* service :
       {"", "nfmeter.v1.CounterService", "nfmeter.v1.RuleService",
        "nfmeter.v1.SnapshotService", "nfmeter.v1.NodeService"}) {
    EXPECT_EQ(HealthOf(channel, service), "SERVING") << service;
  }
  EXPECT_EQ(HealthOf(channel, "nfmeter.v1.Nobody"), "NOT_FOUND");
  EXPECT_THAT(
      FirstAnswerRaw(channel, kReflection, kListServices),
      testing::IsOkAndHolds(AllOf(HasSubstr("nfmeter.v1.CounterService"),
                                  HasSubstr("nfmeter.v1.RuleService"),
                                  HasSubstr("nfmeter.v1.SnapshotService"),
                                  HasSubstr("nfmeter.v1.NodeService"))));
  EXPECT_OK(CallRaw(channel, kGetServers, ""));
}

// Whether new flows get counters and start times in this network namespace.
std::string FlowSettings() {
  std::string both;
  for (const char* setting : {"acct", "timestamp"}) {
    std::ifstream in(
        absl::StrCat("/proc/sys/net/netfilter/nf_conntrack_", setting));
    std::string value;
    in >> value;
    both += value;
  }
  return both;
}

TEST(DaemonTest, TurnsFlowAccountingOnOnlyWhenTold) {
  ASSERT_EQ(FlowSettings(), "00");
  {
    NfmeterdProcess server;
    ASSERT_OK(server.WaitUntilReady());
    EXPECT_FALSE(GetNode(server.Channel()).flow_tracking().accounting());
    EXPECT_EQ(FlowSettings(), "00");
  }
  {
    NfmeterdProcess server({.arguments = {"--enable-flow-accounting"}});
    ASSERT_OK(server.WaitUntilReady());
    const v1::Node node = GetNode(server.Channel());
    EXPECT_TRUE(node.flow_tracking().accounting());
    EXPECT_TRUE(node.flow_tracking().timestamps());
    EXPECT_EQ(FlowSettings(), "11");
  }
  // It does not take them away from others either.
  EXPECT_EQ(FlowSettings(), "11");
}

// It counts, and answers again after clients have taken all descriptors.
TEST(DaemonTest, LivesWithSixtyFourDescriptors) {
  NfmeterdProcess server({.wrapper = {"prlimit", "--nofile=64:64"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_OK(Create(server.Channel(), "web"));
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_counter("web");
  request.mutable_rule()->set_chain("INPUT");
  grpc::ClientContext context;
  EXPECT_OK(v1::RuleService::NewStub(server.Channel())
                ->CreateRule(&context, request, &response));
  {
    sockaddr_un name{.sun_family = AF_UNIX};
    server.socket_path().copy(name.sun_path, sizeof(name.sun_path) - 1);
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 100; ++i) {
      clients.emplace_back(
          socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      connect(clients.back().get(), reinterpret_cast<sockaddr*>(&name),
              sizeof(name));
    }
  }
  EXPECT_OK(Create(server.Channel(), "dns"));
  EXPECT_EQ(server.Stop(), 0);
}

TEST(DaemonTest, ReflectionAndChannelzCanBeTurnedOff) {
  NfmeterdProcess server({.arguments = {"--no-reflection", "--no-channelz"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(FirstAnswerRaw(server.Channel(), kReflection, kListServices),
              StatusIs(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(CallRaw(server.Channel(), kGetServers, ""),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST(DaemonTest, GetNodeDescribesThisHostAndItsLimits) {
  NfmeterdProcess server(
      {.arguments = {"--hostname", "node7", "--max-batch-size", "17",
                     "--max-streams", "5"}});
  ASSERT_OK(server.WaitUntilReady());
  const v1::Node node = GetNode(server.Channel());
  EXPECT_EQ(node.hostname(), "node7");
  EXPECT_EQ(node.version(), "0.1.0");
  struct stat network {};
  ASSERT_EQ(stat("/proc/self/ns/net", &network), 0);
  EXPECT_EQ(node.network_namespace(), network.st_ino);
  EXPECT_EQ(node.limits().max_batch_size(), 17u);
  EXPECT_EQ(node.limits().max_streams(), 5u);
  EXPECT_EQ(node.limits().max_request_bytes(), 16u << 20);
  std::vector<std::string> names;
  for (const v1::Capability& capability : node.capabilities()) {
    names.push_back(capability.name());
    // What nothing needs comes with nfmeter's own modules.
    EXPECT_TRUE(capability.available() || capability.methods_size() == 0)
        << capability.name() << ": " << capability.detail();
    EXPECT_NE(capability.detail(), "") << capability.name();
  }
  EXPECT_THAT(names,
              ::testing::ElementsAre("backend", "nfacct", "nfacct_extended",
                                     "nfacct_match_ipv4", "nfacct_target_ipv4",
                                     "nfacct_match_ipv6", "nfacct_target_ipv6",
                                     "iptables_ipv4", "iptables_ipv6",
                                     "quota_events", "flows"));
}

TEST(DaemonTest, TellsTheServiceManagerWhatItDoes) {
  NfmeterdProcess server;
  EXPECT_THAT(
      server.notifications().Next(absl::Seconds(30)),
      testing::IsOkAndHolds("READY=1\nSTATUS=Serving on " + server.target()));
  server.process().Signal(SIGTERM);
  EXPECT_THAT(server.notifications().Next(absl::Seconds(30)),
              testing::IsOkAndHolds("STOPPING=1\nSTATUS=Ending calls and "
                                    "streams"));
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 0);
}

TEST(DaemonTest, TheReadyLineComesOnceAndNamesTheListeners) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  const std::vector<std::string> parts =
      absl::StrSplit(server.Log(), " info ready ");
  ASSERT_EQ(parts.size(), 2u) << server.Log();
  EXPECT_THAT(parts[1],
              StartsWith("listen=" + server.target() + " version=0.1.0 pid="));
}

// What is under way has a second to end; a busy machine takes longer.
constexpr absl::Duration kSoon = absl::Seconds(5);

// A stream that has had its first answer.
template <typename Response>
struct OpenStream {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<Response>> reader;

  grpc::Status ReadToTheEnd() {
    Response response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  }
};

TEST(DaemonTest, SigtermEndsOpenStreamsProperlyAndSoon) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  const auto channel = server.Channel();
  OpenStream<v1::WatchSnapshotsResponse> snapshots;
  snapshots.reader = v1::SnapshotService::NewStub(channel)->WatchSnapshots(
      &snapshots.context, {});
  v1::WatchSnapshotsResponse frame;
  ASSERT_TRUE(snapshots.reader->Read(&frame));
  OpenStream<v1::WatchQuotaEventsResponse> quotas;
  quotas.reader = v1::CounterService::NewStub(channel)->WatchQuotaEvents(
      &quotas.context, {});
  v1::WatchQuotaEventsResponse event;
  ASSERT_TRUE(quotas.reader->Read(&event));
  EXPECT_EQ(event.kind(), v1::QUOTA_EVENT_KIND_SYNCED);

  const absl::Time begin = absl::Now();
  server.process().Signal(SIGTERM);
  for (const grpc::Status& end :
       {snapshots.ReadToTheEnd(), quotas.ReadToTheEnd()}) {
    EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(end.error_details(), HasSubstr("SERVER_SHUTDOWN"));
  }
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 0);
  EXPECT_LT(absl::Now() - begin, kSoon);
  EXPECT_FALSE(std::filesystem::exists(server.socket_path()));
  EXPECT_THAT(server.Log(), HasSubstr(" info stopped\n"));
}

// gRPC's servers wait for their clients to close connections, and its clients
// do so only while their program is in a call.
TEST(DaemonTest, ClientsBetweenTwoCallsDoNotHoldItUp) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  const auto channel = server.Channel();
  ASSERT_OK(Create(channel, "one"));
  const absl::Time begin = absl::Now();
  EXPECT_EQ(server.Stop(), 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(1));  // what calls would get
}

TEST(DaemonTest, SigintEndsItToo) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  server.process().Signal(SIGINT);
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 0);
}

// Holds the lock that all writers of iptables take.
class HeldXtablesLock {
 public:
  HeldXtablesLock()
      : fd_(open(getenv("XTABLES_LOCKFILE"), O_RDWR | O_CREAT | O_CLOEXEC,
                 0600)) {
    EXPECT_EQ(flock(fd_, LOCK_EX), 0);
  }
  ~HeldXtablesLock() { close(fd_); }

 private:
  const int fd_;
};

// Waits until the process has opened the lock's file.
void AwaitLockWaiter(pid_t pid) {
  const std::filesystem::path lock = getenv("XTABLES_LOCKFILE");
  EXPECT_TRUE(testing::Eventually([&] {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(
             absl::StrCat("/proc/", pid, "/fd"), error)) {
      if (std::filesystem::read_symlink(entry, error) == lock) return true;
    }
    return false;
  })) << "nobody waits for the lock";
}

TEST(DaemonTest, SigtermEndsACallThatWaitsForTheXtablesLock) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  const auto channel = server.Channel();
  ASSERT_OK(Create(channel, "held"));
  const HeldXtablesLock lock;
  grpc::Status status;
  std::thread waiting([&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    v1::CreateRuleRequest request;
    v1::CreateRuleResponse response;
    request.mutable_rule()->set_chain("INPUT");
    request.mutable_rule()->set_counter("held");
    status = v1::RuleService::NewStub(channel)->CreateRule(&context, request,
                                                           &response);
  });
  AwaitLockWaiter(server.process().pid());
  const absl::Time begin = absl::Now();
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 0);
  EXPECT_LT(absl::Now() - begin, kSoon);
  waiting.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_details(), HasSubstr("XTABLES_LOCK_HELD"));
}

// Keeps others from writing to an SQLite database in WAL mode, as a writer
// does: WAL_WRITE_LOCK is byte 120 of the file in shared memory.
class HeldLabelStore {
 public:
  explicit HeldLabelStore(const std::string& state_dir)
      : fd_(open((state_dir + "/ledger.db-shm").c_str(), O_RDWR | O_CLOEXEC)) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 120;
    lock.l_len = 1;
    EXPECT_EQ(fcntl(fd_, F_SETLK, &lock), 0);
  }
  ~HeldLabelStore() { close(fd_); }

 private:
  const int fd_;
};

TEST(DaemonTest, ASecondSignalEndsItAtOnce) {
  testing::TemporaryDirectory dir;
  const std::string state = dir / "state";
  NfmeterdProcess server({.state_dir = state});
  ASSERT_OK(server.WaitUntilReady());
  const auto channel = server.Channel();
  ASSERT_OK(Create(channel, "first", {{"team", "a"}}));
  // A call that keeps the server from ending for two seconds: it has made its
  // counter, and waits for the labels' turn.
  const HeldLabelStore store(state);
  std::thread waiting([&channel] {
    EXPECT_FALSE(Create(channel, "second", {{"team", "a"}}).ok());
  });
  const auto stub = v1::CounterService::NewStub(channel);
  grpc::Status found;
  do {
    grpc::ClientContext context;
    v1::GetCounterRequest request;
    v1::GetCounterResponse response;
    request.set_name("second");
    found = stub->GetCounter(&context, request, &response);
  } while (found.error_code() == grpc::StatusCode::NOT_FOUND);
  EXPECT_OK(found);
  server.process().Signal(SIGTERM);
  EXPECT_THAT(server.notifications().Next(absl::Seconds(30)),
              testing::IsOkAndHolds(StartsWith("STOPPING=1")));
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(absl::Seconds(10)), 128 + SIGTERM);
  waiting.join();
}

TEST(DaemonTest, WithoutPrivilegesItSaysWhatToDo) {
  NfmeterdProcess server({.wrapper = Without("all")});
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 3);
  EXPECT_THAT(server.Log(), AllOf(HasSubstr(" error no access to the kernel "),
                                  HasSubstr("reason=PERMISSION_DENIED"),
                                  HasSubstr("CAP_NET_ADMIN")));
  const std::string log = server.Log();
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1);
}

TEST(DaemonTest, WithoutNetRawItCountsButMakesNoRules) {
  NfmeterdProcess server(
      {.arguments = {"--backend", "iptables"}, .wrapper = Without("net_raw")});
  ASSERT_OK(server.WaitUntilReady());
  const auto channel = server.Channel();
  EXPECT_EQ(HealthOf(channel, ""), "SERVING");
  EXPECT_EQ(HealthOf(channel, "nfmeter.v1.CounterService"), "SERVING");
  EXPECT_EQ(HealthOf(channel, "nfmeter.v1.RuleService"), "NOT_SERVING");
  EXPECT_OK(Create(channel, "counts"));
  const v1::Node node = GetNode(channel);
  for (const v1::Capability& each : node.capabilities()) {
    const bool rules = each.name().find("iptables") != std::string::npos;
    if (each.name() == "nfacct" || each.name() == "quota_events") {
      EXPECT_TRUE(each.available()) << each.name();
    }
    if (rules) {
      EXPECT_FALSE(each.available()) << each.name();
      EXPECT_THAT(each.detail(), HasSubstr("CAP_NET_RAW"));
    }
  }
  grpc::ClientContext context;
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("counts");
  const grpc::Status status = v1::RuleService::NewStub(channel)->CreateRule(
      &context, request, &response);
  EXPECT_THAT(status.error_message(), HasSubstr("CAP_NET_RAW"));
  EXPECT_THAT(server.Log(),
              HasSubstr("kernel part missing part=iptables_ipv4"));
}

TEST(DaemonTest, LabelsSurviveARestart) {
  testing::TemporaryDirectory dir;
  const std::string state = dir / "state";
  {
    NfmeterdProcess server({.state_dir = state});
    ASSERT_OK(server.WaitUntilReady());
    ASSERT_OK(Create(server.Channel(), "web", {{"team", "a"}}));
    EXPECT_EQ(server.Stop(), 0);
  }
  NfmeterdProcess server({.state_dir = state});
  ASSERT_OK(server.WaitUntilReady());
  grpc::ClientContext context;
  v1::GetCounterRequest request;
  v1::GetCounterResponse response;
  request.set_name("web");
  ASSERT_OK(v1::CounterService::NewStub(server.Channel())
                ->GetCounter(&context, request, &response));
  EXPECT_EQ(response.counter().labels().at("team"), "a");
}

// The directory may be everybody's to enter, as a hostPath of Kubernetes is.
TEST(DaemonTest, OthersDoNotReadItsState) {
  testing::TemporaryDirectory dir;
  const std::string state = dir / "state";
  ASSERT_EQ(mkdir(state.c_str(), 0755), 0);
  NfmeterdProcess server({.state_dir = state});
  ASSERT_OK(server.WaitUntilReady());
  for (const auto& file : std::filesystem::directory_iterator(state)) {
    EXPECT_EQ(file.status().permissions() & std::filesystem::perms::others_all,
              std::filesystem::perms::none)
        << file.path();
  }
}

TEST(DaemonTest, AStateDirectoryHasOneServer) {
  testing::TemporaryDirectory dir;
  const std::string state = dir / "state";
  NfmeterdProcess first({.state_dir = state});
  ASSERT_OK(first.WaitUntilReady());
  NfmeterdProcess second({.state_dir = state});
  EXPECT_EQ(second.process().Wait(absl::Seconds(20)), 5);
  EXPECT_THAT(second.Log(),
              HasSubstr("state directory " + state +
                        ": another nfmeterd uses it; choose another with "
                        "--state-dir"));
}

TEST(DaemonTest, AnUnusableStateDirectoryIsNamed) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "file") << "x";
  for (const auto& [path, why] :
       std::vector<std::pair<std::string, std::string>>{
           {dir / "file", "opening it: Not a directory"},
           {dir / "no/state", "making it: No such file or directory"}}) {
    NfmeterdProcess server({.state_dir = path});
    EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 5);
    EXPECT_THAT(server.Log(),
                HasSubstr("state directory " + path + ": " + why +
                          "; choose another with --state-dir, or --state-dir "
                          "'' to keep totals and labels in memory only"));
  }
}

TEST(DaemonTest, KeepsNothingWithoutAStateDirectory) {
  NfmeterdProcess server({.arguments = {"--state-dir", ""}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_OK(Create(server.Channel(), "kept", {{"team", "a"}}));
}

TEST(DaemonTest, BesideTheAuditTheLogDoesNotContainWhatClientsSend) {
  const testing::TemporaryDirectory dir;
  NfmeterdProcess server(
      {.arguments = {"--log-format", "json", "--log-level", "debug",
                     "--audit-file", dir / "audit.log"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_OK(Create(server.Channel(), "hush-hush", {{"key", "hush-value"}}));
  EXPECT_FALSE(Create(server.Channel(), "hush-hush").ok());
  EXPECT_EQ(server.Stop(), 0);
  const std::string log = server.Log();
  EXPECT_THAT(log, Not(HasSubstr("hush")));
  for (const absl::string_view line :
       absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    EXPECT_THAT(std::string(line),
                MatchesRegex("\\{\"time\":\"[^\"]*\",\"level\":\"[a-z]+\","
                             "\"message\":\"[^\"]+\".*\\}"));
  }
}

TEST(DaemonTest, RequestsOverTheBoundAreRefusedAndTenThousandItemsFit) {
  NfmeterdProcess server({.arguments = {"--max-request-bytes", "2000000"}});
  ASSERT_OK(server.WaitUntilReady());
  const auto stub = v1::CounterService::NewStub(server.Channel());
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < 10'000; ++i) {
    request.add_counters()->set_name(
        absl::StrCat("counter-with-a-long-name-", i));
  }
  {
    grpc::ClientContext context;
    v1::BatchCreateCountersResponse response;
    const grpc::Status status =
        stub->BatchCreateCounters(&context, request, &response);
    EXPECT_OK(status);
    EXPECT_EQ(response.counters_size(), 10'000);
  }
  request.mutable_counters(0)->set_name(std::string(3'000'000, 'x'));
  grpc::ClientContext context;
  v1::BatchCreateCountersResponse response;
  EXPECT_EQ(
      stub->BatchCreateCounters(&context, request, &response).error_code(),
      grpc::StatusCode::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace nfmeter
