// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter context ..., and commands on several servers.
#include "absl/strings/str_split.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Two servers, each with a counter of its own name.
class ContextsTest : public CliTest {
 protected:
  ContextsTest() {
    Fill(server_, "first");
    Fill(second_, "second");
  }

  static void Fill(FakeServer& server, const std::string& name) {
    server.counters.on_ListCounters = [name](const auto&, auto* response) {
      response->add_counters()->set_name(name);
      response->mutable_counters(0)->set_packets(12);
      return grpc::Status::OK;
    };
    server.node.on_GetNode = [name](const auto&, auto* response) {
      response->mutable_node()->set_hostname(name);
      return grpc::Status::OK;
    };
  }

  // With a file of contexts of its own, and no server in the environment.
  RunResult Run(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {
        "env",
        "-u",
        "NFMETER_SERVER",
        "-u",
        "NFMETER_CONTEXT",
        "NFMETER_CONFIG=" + folder_ / "new/config.yaml",
        NFMETER};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return testing::Run(argv);
  }

  void AddBoth() {
    for (const auto& [name, server] :
         {std::pair("a", &server_), std::pair("b", &second_)}) {
      EXPECT_THAT(
          Run({"context", "add", name, "--server", server->address()}).err,
          StartsWith(absl::StrCat("Saved '", name, "' for ", server->address(),
                                  " in ", folder_ / "new/config.yaml")));
    }
    EXPECT_THAT(Run({"context", "add", "both", "--group", "a,b"}).err,
                StartsWith("Saved 'both' for a,b in "));
  }

  FakeServer second_;
};

TEST_F(ContextsTest, TheFirstOneIsUsedUntilAnotherIsChosen) {
  AddBoth();
  EXPECT_EQ(Run({"counter", "list", "-o", "name"}).out, "first\n");
  EXPECT_EQ(Run({"context", "use", "b"}).exit_code, 0);
  EXPECT_EQ(Run({"counter", "list", "-o", "name"}).out, "second\n");
  EXPECT_EQ(Run({"counter", "list", "-o", "name", "--context", "a"}).out,
            "first\n");
  // With --server no context is used.
  EXPECT_EQ(
      Run({"counter", "list", "-o", "name", "--server", server_.address()}).out,
      "first\n");
  EXPECT_EQ(Run({"context", "list", "-o", "name"}).out, "a\nb\nboth\n");
  EXPECT_EQ(Run({"context", "delete", "b"}).exit_code, 0);
  EXPECT_EQ(Run({"context", "list", "-o", "name"}).out, "a\nboth\n");
}

TEST_F(ContextsTest, SeveralServersMakeOneTableWithAColumnMore) {
  AddBoth();
  EXPECT_EQ(Run({"counter", "list", "--context", "a,b"}).out,
            "CONTEXT  NAME    PACKETS  BYTES  QUOTA  HELD BY\n"
            "a        first        12    0 B  -            0\n"
            "b        second       12    0 B  -            0\n");
  EXPECT_EQ(Run({"counter", "list", "--context", "both", "-o", "name"}).out,
            "a/first\nb/second\n");
  EXPECT_THAT(Run({"counter", "list", "--context", "both", "-o", "csv"}).out,
              AllOf(HasSubstr("context,name,packets"), HasSubstr("\na,first,"),
                    HasSubstr("\nb,second,")));
  EXPECT_THAT(Run({"counter", "list", "--context", "both", "-o", "json"}).out,
              AllOf(HasSubstr("{\"context\": \"a\", \"answer\": {"),
                    HasSubstr("{\"context\": \"b\", \"answer\": {")));
  EXPECT_THAT(Run({"context", "test", "--context", "both"}).out,
              AllOf(HasSubstr("first"), HasSubstr("second")));
}

TEST_F(ContextsTest, EachOfSeveralAnswersSaysItsContext) {
  AddBoth();
  for (FakeServer* const server : {&server_, &second_}) {
    server->plans.on_ListPlans = [](const auto&, auto* response) {
      response->add_plans()->set_name("p");
      return grpc::Status::OK;
    };
    server->plans.on_GetPlanStatus = [](const auto& request, auto* response) {
      response->mutable_status()->set_name(request.name());
      return grpc::Status::OK;
    };
  }
  const auto said = [&](const char* form, const char* before) {
    const std::vector<std::string> answers = absl::StrSplit(
        Run({"plan", "status", "--context", "both", "-o", form}).out, before);
    return answers.size() - 1;
  };
  EXPECT_EQ(said("json", "{\"context\": \"a\", \"answer\": {\n"), 2);
  EXPECT_EQ(said("yaml", "---\n# context: b\nname: "), 2);
  ASSERT_EQ(
      Run({"context", "add", "\"c\"", "--server", server_.address()}).exit_code,
      0);
  EXPECT_THAT(Run({"plan", "status", "--context", "a,\"c\"", "-o", "json"}).out,
              HasSubstr("{\"context\": \"\\\"c\\\"\", \"answer\": {\n"));
}

TEST_F(ContextsTest, TheirNamesAreCompleted) {
  AddBoth();
  for (const std::vector<std::string>& line :
       std::vector<std::vector<std::string>>{{"context", "use", ""},
                                             {"--context", ""},
                                             {"node", "--context", ""}}) {
    std::vector<std::string> words = {"__complete"};
    words.insert(words.end(), line.begin(), line.end());
    EXPECT_EQ(Run(words).out, "a\nb\nboth\n") << line[0];
  }
}

TEST_F(ContextsTest, GroupsAreListedForProgramsToo) {
  AddBoth();
  EXPECT_EQ(
      Run({"context", "list", "-o", "custom-columns=GROUP:.both.group"}).out,
      "GROUP\na,b\n");
  EXPECT_THAT(Run({"context", "list", "-o", "yaml"}).out,
              AllOf(HasSubstr("both:\n  group:"), HasSubstr("a:\n  server:")));
  EXPECT_THAT(Run({"context", "list", "-o", "csv"}).out,
              AllOf(StartsWith("current,name,server,tls\n*,a,"),
                    HasSubstr("\n,both,\"a,b\",group\n")));
  EXPECT_THAT(Run({"node", "--context", "both", "-o", "csv"}).out,
              AllOf(StartsWith("context,hostname,"), HasSubstr("\na,"),
                    HasSubstr("\nb,")));
}

TEST_F(ContextsTest, AServerThatIsAwayDoesNotHideTheOthers) {
  AddBoth();
  second_.Stop();
  const RunResult result = Run({"counter", "list", "--context", "both"});
  EXPECT_EQ(result.exit_code, 6);
  EXPECT_THAT(result.out, HasSubstr("a        first"));
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("b: nfmeter: "), Not(HasSubstr("a: nfmeter: "))));
}

TEST_F(ContextsTest, WhatTheExitCodeAnswersIsThatOfTheWorst) {
  AddBoth();
  std::ofstream(folder_ / "plan.yaml")
      << "name: all\naccounts: [{counter: a}]\n";
  server_.plans.on_ApplyPlan = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  second_.plans.on_ApplyPlan = [](const auto&, auto* response) {
    response->add_changes()->set_counter("a");
    response->set_change_count(1);
    return grpc::Status::OK;
  };
  const auto diff = [&](const std::string& context) {
    return Run({"diff", "-f", folder_ / "plan.yaml", "--context", context})
        .exit_code;
  };
  EXPECT_EQ(diff("a"), 0);
  EXPECT_EQ(diff("b"), 1);
  EXPECT_EQ(diff("both"), 1);
  second_.Stop();
  EXPECT_EQ(diff("both"), 6);
}

TEST_F(ContextsTest, AContextKeepsWhatItsFlagsSaid) {
  EXPECT_EQ(
      Run({"context", "add", "a", "--server", server_.address(), "-o", "name"})
          .exit_code,
      0);
  EXPECT_EQ(Run({"counter", "list"}).out, "first\n");
  EXPECT_THAT(Run({"counter", "list", "-o", "csv"}).out,
              HasSubstr("name,packets"));
}

TEST_F(ContextsTest, AGroupMayBeMadeOfGroups) {
  AddBoth();
  EXPECT_EQ(Run({"context", "add", "all", "--group", "both"}).exit_code, 0);
  EXPECT_EQ(Run({"counter", "list", "--context", "all", "-o", "name"}).out,
            "a/first\nb/second\n");
}

// Else commands for the group would go to the server of this host.
TEST_F(ContextsTest, AGroupGoesWithItsLastContext) {
  AddBoth();
  EXPECT_EQ(Run({"context", "add", "second", "--group", "b"}).exit_code, 0);
  EXPECT_EQ(Run({"context", "use", "second"}).exit_code, 0);
  const RunResult result = Run({"context", "delete", "b"});
  EXPECT_THAT(result.err, AllOf(HasSubstr("have it no more: both."),
                                HasSubstr("no other: second."),
                                HasSubstr("No context is used now")));
  EXPECT_EQ(Run({"counter", "list", "--context", "second"}).exit_code, 3);
  EXPECT_EQ(Run({"counter", "list", "--context", "both", "-o", "name"}).out,
            "first\n");
  std::ofstream(folder_ / "new/config.yaml") << "groups: {none: []}\n";
  const RunResult none = Run({"counter", "list", "--context", "none"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("the group 'none' has no contexts"));
  EXPECT_EQ(Run({"counter", "list", "--context", ","}).exit_code, 2);
}

TEST_F(ContextsTest, MistakesAreNamed) {
  AddBoth();
  EXPECT_THAT(Run({"counter", "list", "--context", "a,nope"}).err,
              HasSubstr("there is no context or group 'nope'"));
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{
           {"watch"},
           {"flow", "watch"},
           {"plan", "watch"},
           {"quota", "watch"},
           {"usage", "collect", "--consumer", "c"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--context", "both"});
    const RunResult result = Run(arguments);
    EXPECT_EQ(result.exit_code, 2) << command[0];
    EXPECT_THAT(result.err, HasSubstr("give one --context")) << command[0];
  }
  EXPECT_EQ(Run({"node", "--context", "a", "--server", "unix:/x"}).exit_code,
            2);
  EXPECT_EQ(Run({"context", "add", "c"}).exit_code, 2);
  std::ofstream(folder_ / "new/config.yaml")
      << "contexts: {a: {server: x, colour: red}}\n";
  EXPECT_THAT(Run({"node"}).err, HasSubstr("context 'a' has 'colour'"));
}

}  // namespace
}  // namespace nfmeter::testing
