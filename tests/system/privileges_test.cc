// SPDX-License-Identifier: GPL-3.0-or-later
// What nfmeterd can still do once it serves, as root and as somebody else.
#include <dirent.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::HealthOf;
using ::nfmeter::testing::NfmeterdProcess;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

constexpr char kNetAdmin[] = "0000000000001000";
constexpr char kNetAdminAndRaw[] = "0000000000003000";
constexpr char kNone[] = "0000000000000000";

// /proc/PID/task/TID/status, one map a thread.
std::vector<std::map<std::string, std::string>> Threads(pid_t pid) {
  std::vector<std::map<std::string, std::string>> threads;
  for (const auto& task : std::filesystem::directory_iterator(
           absl::StrCat("/proc/", pid, "/task"))) {
    std::map<std::string, std::string>& status = threads.emplace_back();
    std::ifstream in(task.path() / "status");
    for (std::string line; std::getline(in, line);) {
      const std::pair<std::string, std::string> entry =
          absl::StrSplit(line, absl::MaxSplits(":\t", 1));
      status.insert(entry);
    }
  }
  return threads;
}

::testing::Matcher<std::map<std::string, std::string>> Has(
    const std::string& key, const std::string& value) {
  return ::testing::Contains(Pair(key, value));
}

grpc::Status CreateCounter(const std::shared_ptr<grpc::Channel>& channel,
                           const std::string& name) {
  grpc::ClientContext context;
  v1::CreateCounterRequest request;
  v1::CreateCounterResponse response;
  request.mutable_counter()->set_name(name);
  return v1::CounterService::NewStub(channel)->CreateCounter(&context, request,
                                                             &response);
}

grpc::Status AddRule(const std::shared_ptr<grpc::Channel>& channel,
                     const std::string& counter) {
  grpc::ClientContext context;
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("OUTPUT");
  request.mutable_rule()->set_counter(counter);
  return v1::RuleService::NewStub(channel)->CreateRule(&context, request,
                                                       &response);
}

// Counters, rules of both kinds of access, and a snapshot.
void DoEverything(const std::shared_ptr<grpc::Channel>& channel) {
  EXPECT_OK(CreateCounter(channel, "all"));
  const grpc::Status added = AddRule(channel, "all");
  EXPECT_OK(added);
  {
    grpc::ClientContext context;
    v1::ListRulesResponse response;
    const grpc::Status status =
        v1::RuleService::NewStub(channel)->ListRules(&context, {}, &response);
    EXPECT_OK(status);
    EXPECT_EQ(response.rules_size(), 1);
  }
  {
    grpc::ClientContext context;
    const auto stream =
        v1::SnapshotService::NewStub(channel)->GetSnapshot(&context, {});
    v1::GetSnapshotResponse response;
    EXPECT_TRUE(stream->Read(&response));
    while (stream->Read(&response)) {
    }
    EXPECT_OK(stream->Finish());
  }
}

bool IsRealRoot() {
  std::ifstream in("/proc/self/uid_map");
  uint64_t inside = 0;
  uint64_t outside = 0;
  uint64_t count = 0;
  in >> inside >> outside >> count;
  return outside == 0 && count > 65535;
}

TEST(PrivilegesTest, OfRootNetAdminAndNetRawAreLeftInAllThreads) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  DoEverything(server.Channel());
  const auto threads = Threads(server.process().pid());
  EXPECT_GT(threads.size(), 3u);
  EXPECT_THAT(threads, Each(AllOf(Has("CapPrm", kNetAdminAndRaw),
                                  Has("CapEff", kNetAdminAndRaw),
                                  Has("CapInh", kNone), Has("CapAmb", kNone))));
  EXPECT_THAT(threads, Each(AllOf(Has("CapBnd", kNetAdminAndRaw),
                                  Has("NoNewPrivs", "1"))));
}

TEST(PrivilegesTest, TheSystemCallFilterIsOnInAllThreads) {
  NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  DoEverything(server.Channel());
  EXPECT_THAT(Threads(server.process().pid()), Each(Has("Seccomp", "2")));
  EXPECT_THAT(server.Log(),
              AllOf(HasSubstr(" info restricted "), HasSubstr("seccomp=on")));
}

TEST(PrivilegesTest, WithoutTheSandboxItSaysSo) {
  NfmeterdProcess server({.arguments = {"--no-sandbox"}});
  ASSERT_OK(server.WaitUntilReady());
  EXPECT_THAT(Threads(server.process().pid()),
              Each(AllOf(Has("Seccomp", "0"), Has("NoNewPrivs", "1"),
                         Has("CapPrm", kNetAdminAndRaw))));
  EXPECT_THAT(server.Log(), AllOf(HasSubstr(" warning restricted "),
                                  HasSubstr("seccomp=off landlock=off")));
}

TEST(PrivilegesTest, ASocketIsGivenToItsGroupWithoutCapChown) {
  if (!IsRealRoot()) GTEST_SKIP() << "has no other groups";
  NfmeterdProcess server({.arguments = {"--socket-group", "daemon"}});
  ASSERT_OK(server.WaitUntilReady());
  struct stat found {};
  ASSERT_EQ(stat(server.socket_path().c_str(), &found), 0);
  EXPECT_EQ(found.st_gid, 1u);
}

TEST(PrivilegesTest, FilesOfOthersAreNotReadAsRootWouldRead) {
  if (!IsRealRoot()) GTEST_SKIP() << "has no other users";
  testing::TemporaryDirectory dir;
  for (const char* name : {"crt", "key", "ca"}) {
    std::ofstream(dir / name) << "x";
    ASSERT_EQ(chmod((dir / name).c_str(), 0600), 0);
    ASSERT_EQ(chown((dir / name).c_str(), 12345, 12345), 0);
  }
  NfmeterdProcess server(
      {.arguments = {"--listen", "tcp:127.0.0.1:0", "--tls-certificate",
                     dir / "crt", "--tls-key", dir / "key", "--tls-client-ca",
                     dir / "ca"}});
  EXPECT_EQ(server.process().Wait(absl::Seconds(20)), 2);
  EXPECT_THAT(server.Log(),
              HasSubstr("cannot be read: Permission denied; let the user that "
                        "nfmeterd runs as read it"));
}

// As the unit runs it: not root, with two ambient capabilities.
class OtherUserTest : public ::testing::Test {
 protected:
  static constexpr int kUser = 65534;

  void SetUp() override {
    if (!IsRealRoot()) GTEST_SKIP() << "can't become another user";
    ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0);
    for (const char* name : {"state", "run"}) {
      std::filesystem::create_directory(dir_ / name);
      ASSERT_EQ(chown((dir_ / name).c_str(), kUser, kUser), 0);
    }
    // The program may lie where only root goes.
    std::filesystem::copy_file(testing::NfmeterdPath(), dir_ / "nfmeterd");
    ASSERT_EQ(chmod((dir_ / "nfmeterd").c_str(), 0755), 0);
    MakeLock(0640, kUser);
  }

  static void MakeLock(mode_t mode, gid_t group) {
    const char* const path = getenv("XTABLES_LOCKFILE");
    std::ofstream(path).close();
    ASSERT_EQ(chown(path, 0, group), 0);
    ASSERT_EQ(chmod(path, mode), 0);
  }

  std::vector<std::string> Wrapper(const std::vector<std::string>& arguments) {
    std::vector<std::string> command = {
        "setpriv",
        absl::StrCat("--reuid=", kUser),
        absl::StrCat("--regid=", kUser),
        "--clear-groups",
        "--pdeathsig=keep",
        "--inh-caps=-all,+net_admin,+net_raw",
        "--ambient-caps=-all,+net_admin,+net_raw",
        "--bounding-set=-all,+net_admin,+net_raw",
        "--",
        dir_ / "nfmeterd",
        "--listen",
        absl::StrCat("unix:", dir_ / "run/s"),
        "--state-dir",
        dir_ / "state"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }

  // Starts it and waits; its log otherwise.
  void Start(const std::vector<std::string>& arguments = {}) {
    log_ = dir_ / "log";
    std::ofstream(log_).close();
    process_ = std::make_unique<testing::Background>(Wrapper(arguments), log_);
    ASSERT_TRUE(testing::Eventually([&] {
      return absl::StrContains(Log(), " info ready ");
    })) << Log();
    channel_ = grpc::CreateChannel(absl::StrCat("unix:", dir_ / "run/s"),
                                   grpc::InsecureChannelCredentials());
  }

  std::string Log() const { return testing::ReadFile(log_); }

  testing::TemporaryDirectory dir_;
  std::string log_;
  std::unique_ptr<testing::Background> process_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(OtherUserTest, DoesEverythingWithTwoAmbientCapabilities) {
  Start();
  DoEverything(channel_);
  EXPECT_THAT(Threads(process_->pid()),
              Each(AllOf(Has("CapPrm", kNetAdminAndRaw), Has("CapAmb", kNone),
                         Has("CapInh", kNone), Has("Seccomp", "2"))));
  EXPECT_THAT(Log(), Not(HasSubstr("kernel part missing part=xtables_lock")));
}

TEST_F(OtherUserTest, WithoutTheLockItCountsAndSaysWhatToDo) {
  MakeLock(0600, 0);
  Start();
  EXPECT_THAT(Log(), AllOf(HasSubstr("kernel part missing part=xtables_lock"),
                           HasSubstr("chmod 0640 /run/xtables.lock")));
  EXPECT_OK(CreateCounter(channel_, "counts"));
  const grpc::Status refused = AddRule(channel_, "counts");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(refused.error_message(), HasSubstr("chmod 0640"));
  grpc::ClientContext context;
  v1::ListRulesResponse response;
  EXPECT_OK(
      v1::RuleService::NewStub(channel_)->ListRules(&context, {}, &response));
}

// The tables that there are in this network namespace, of both families.
std::vector<std::string> Tables() {
  std::vector<std::string> tables;
  for (const char* path : {"/proc/thread-self/net/ip_tables_names",
                           "/proc/thread-self/net/ip6_tables_names"}) {
    std::ifstream names(path);
    EXPECT_TRUE(names.is_open()) << path;
    for (std::string name; std::getline(names, name);) tables.push_back(name);
  }
  return tables;
}

// What iptables-nft says beside its rules.
std::string NftWarnings() {
  std::string warnings;
  for (const char* program : {"iptables-nft", "ip6tables-nft"}) {
    warnings += nfmeter::testing::Run({program, "-S"}).err;
  }
  return warnings;
}

// That user can't see which tables there are, and asking the kernel would make
// them.
TEST_F(OtherUserTest, ReadingAndProbingMakeNoTable) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--read-only"}, std::vector<std::string>{}}) {
    Start(arguments);
    const auto rules = v1::RuleService::NewStub(channel_);
    for (const v1::Family family :
         {v1::FAMILY_UNSPECIFIED, v1::FAMILY_IPV4, v1::FAMILY_IPV6}) {
      grpc::ClientContext list_context;
      v1::ListRulesRequest list;
      v1::ListRulesResponse listed;
      list.mutable_filter()->set_family(family);
      EXPECT_OK(rules->ListRules(&list_context, list, &listed));
      grpc::ClientContext chain_context;
      v1::ListChainsRequest chains;
      v1::ListChainsResponse found;
      chains.set_family(family);
      EXPECT_OK(rules->ListChains(&chain_context, chains, &found));
    }
    grpc::ClientContext named_context;
    v1::ListRulesRequest named;
    v1::ListRulesResponse listed;
    named.mutable_filter()->set_table("filter");
    EXPECT_THAT(
        rules->ListRules(&named_context, named, &listed).error_message(),
        HasSubstr("chgrp nfmeter /proc/net/ip_tables_names"));
    grpc::ClientContext node_context;
    v1::GetNodeResponse node;
    ASSERT_OK(
        v1::NodeService::NewStub(channel_)->GetNode(&node_context, {}, &node));
    EXPECT_THAT(node.node().notices(),
                ::testing::Contains(HasSubstr("ip6_tables_names")));
    EXPECT_THAT(Tables(), IsEmpty());
    EXPECT_EQ(NftWarnings(), "");
    process_.reset();
  }
}

TEST_F(OtherUserTest, DeletionsAndRefusedRulesMakeNoTable) {
  Start();
  ASSERT_OK(CreateCounter(channel_, "c"));
  grpc::ClientContext context;
  v1::CreateRuleRequest rule;
  v1::CreateRuleResponse created;
  rule.mutable_rule()->set_chain("OUTPUT");
  rule.mutable_rule()->set_counter("none");
  EXPECT_FALSE(v1::RuleService::NewStub(channel_)
                   ->CreateRule(&context, rule, &created)
                   .ok());
  grpc::ClientContext dry_context;
  rule.mutable_rule()->set_counter("c");
  rule.set_validate_only(true);
  EXPECT_OK(v1::RuleService::NewStub(channel_)->CreateRule(&dry_context, rule,
                                                           &created));
  grpc::ClientContext delete_context;
  v1::DeleteCounterRequest remove;
  v1::DeleteCounterResponse removed;
  remove.set_name("c");
  remove.set_delete_managed_rules(true);
  const grpc::Status status =
      v1::CounterService::NewStub(channel_)->DeleteCounter(&delete_context,
                                                           remove, &removed);
  EXPECT_OK(status);
  EXPECT_THAT(Tables(), IsEmpty());
  EXPECT_EQ(NftWarnings(), "");
}

TEST_F(OtherUserTest, ARuleMakesTheTableThatItNeeds) {
  Start();
  ASSERT_OK(CreateCounter(channel_, "c"));
  grpc::ClientContext context;
  v1::CreateRuleRequest rule;
  v1::CreateRuleResponse created;
  rule.mutable_rule()->set_table("mangle");
  rule.mutable_rule()->set_chain("OUTPUT");
  rule.mutable_rule()->set_counter("c");
  ASSERT_OK(
      v1::RuleService::NewStub(channel_)->CreateRule(&context, rule, &created));
  EXPECT_THAT(Tables(), ElementsAre("mangle"));
  grpc::ClientContext list_context;
  v1::ListRulesResponse listed;
  ASSERT_OK(v1::RuleService::NewStub(channel_)->ListRules(&list_context, {},
                                                          &listed));
  EXPECT_EQ(listed.rules_size(), 1);
}

// What the packaged unit does before it starts nfmeterd.
TEST_F(OtherUserTest, SeesAllTablesWhereItsGroupMayReadTheirNames) {
  for (const char* path : {"/proc/thread-self/net/ip_tables_names",
                           "/proc/thread-self/net/ip6_tables_names"}) {
    ASSERT_EQ(chown(path, 0, kUser), 0);
  }
  ASSERT_EQ(
      nfmeter::testing::Run({"ip6tables-legacy", "-t", "raw", "-A", "OUTPUT"})
          .exit_code,
      0);
  Start();
  grpc::ClientContext context;
  v1::ListRulesResponse listed;
  ASSERT_OK(
      v1::RuleService::NewStub(channel_)->ListRules(&context, {}, &listed));
  EXPECT_EQ(listed.rules_size(), 1);
  grpc::ClientContext node_context;
  v1::GetNodeResponse node;
  ASSERT_OK(
      v1::NodeService::NewStub(channel_)->GetNode(&node_context, {}, &node));
  EXPECT_EQ(node.node().notices_size(), 0) << node.DebugString();
  EXPECT_THAT(Tables(), ElementsAre("raw"));
}

// What systemd's watchdog hears.
TEST(WatchdogTest, IsFedWhileTheServerWorks) {
  setenv("WATCHDOG_USEC", "400000", 1);
  NfmeterdProcess server;
  unsetenv("WATCHDOG_USEC");
  ASSERT_OK(server.WaitUntilReady());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(server.notifications().Next(absl::Seconds(20)),
                testing::IsOkAndHolds("WATCHDOG=1"));
  }
}

// The counter lane alone hangs: it is kept from leaving its next system call.
TEST(WatchdogTest, IsNotFedWhileTheCounterLaneHangs) {
  setenv("WATCHDOG_USEC", "400000", 1);
  NfmeterdProcess server;
  unsetenv("WATCHDOG_USEC");
  ASSERT_OK(server.WaitUntilReady());
  std::string lane;
  for (const auto& thread : Threads(server.process().pid())) {
    if (thread.at("Name") == "nfm-counters") lane = thread.at("Pid");
  }
  ASSERT_NE(lane, "");
  testing::TemporaryDirectory dir;
  testing::Background strace({"strace", "-o", "/dev/null", "-p", lane, "-e",
                              "inject=futex:delay_exit=600000000"},
                             dir / "strace");
  // It falls silent, whatever was on its way.
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  bool silent = false;
  while (!silent && absl::Now() < deadline) {
    silent = !server.notifications().Next(absl::Seconds(2)).ok();
  }
  EXPECT_TRUE(silent);
  // The rest of the server still works.
  EXPECT_EQ(HealthOf(server.Channel(), ""), "SERVING");
}

}  // namespace
}  // namespace nfmeter
