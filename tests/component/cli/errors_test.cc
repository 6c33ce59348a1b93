// SPDX-License-Identifier: GPL-3.0-or-later
// What people and scripts see when something goes wrong.
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

using ErrorsTest = CliTest;

TEST_F(ErrorsTest, ExitCodeIsTheClassOfTheServersCode) {
  const std::pair<grpc::StatusCode, int> codes[] = {
      {grpc::StatusCode::INVALID_ARGUMENT, 2},
      {grpc::StatusCode::NOT_FOUND, 3},
      {grpc::StatusCode::ALREADY_EXISTS, 4},
      {grpc::StatusCode::FAILED_PRECONDITION, 4},
      {grpc::StatusCode::ABORTED, 4},
      {grpc::StatusCode::PERMISSION_DENIED, 5},
      {grpc::StatusCode::UNAUTHENTICATED, 5},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, 7},
      {grpc::StatusCode::UNIMPLEMENTED, 8},
      {grpc::StatusCode::INTERNAL, 1},
  };
  for (const auto& [code, exit_code] : codes) {
    server_.counters.on_GetCounter = [code](const auto&, auto*) {
      return Error(code, "The sentence of the server.");
    };
    const RunResult result = Nfmeter({"counter", "get", "a"});
    EXPECT_EQ(result.exit_code, exit_code) << code;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, StartsWith("nfmeter: The sentence of the server."));
  }
}

// There 1 is an answer.
TEST_F(ErrorsTest, NoErrorOfADiffLooksLikeADifference) {
  for (const auto code :
       {grpc::StatusCode::INTERNAL, grpc::StatusCode::DATA_LOSS,
        grpc::StatusCode::CANCELLED, grpc::StatusCode::UNKNOWN}) {
    server_.plans.on_ApplyPlan = [code](const auto&, auto*) {
      return Error(code, "The sentence of the server.");
    };
    EXPECT_EQ(
        Nfmeter({"diff", "-f", "-"}, "name: a\naccounts: [{counter: a}]\n")
            .exit_code,
        2)
        << code;
  }
}

TEST_F(ErrorsTest, AnErrorNamesItsFileOfAFolder) {
  const TemporaryDirectory folder;
  for (const char* name : {"one", "two"}) {
    std::ofstream(folder / absl::StrCat(name, ".yaml"))
        << "accounts: [{counter: a}]\n";
  }
  server_.plans.on_ApplyPlan = [](const auto& request, auto*) {
    return request.plan().name() == "one"
               ? grpc::Status::OK
               : Error(grpc::StatusCode::FAILED_PRECONDITION,
                       "counter a is one of plan one", {},
                       "COUNTER_OF_OTHER_PLAN");
  };
  const RunResult result = Nfmeter({"apply", "-f", folder.path()});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err,
              StartsWith(absl::StrCat("nfmeter: ", folder / "two.yaml",
                                      ": counter a is one of plan one")));
}

TEST_F(ErrorsTest, WrongFieldsAreListedOneALine) {
  server_.rules.on_CreateRule = [](const auto&, auto*) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT, "2 fields are wrong.",
                 {{"rule.match.source", "'x' is not an address"},
                  {"rule.chain", "there is no chain 'NOPE'"}});
  };
  const RunResult result =
      Nfmeter({"rule", "add", "--counter", "a", "--chain", "NOPE", "-s", "x"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("nfmeter: 2 fields are wrong.\n"
                                     "  --src: 'x' is not an address\n"
                                     "  --chain: there is no chain 'NOPE'\n"));
}

TEST_F(ErrorsTest, AMessageMadeOfItsFieldsIsNotSaidTwice) {
  server_.counters.on_CreateCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT,
                 "counter.name: is empty; counter.quota: is 0",
                 {{"counter.name", "is empty"}, {"counter.quota", "is 0"}});
  };
  EXPECT_EQ(Nfmeter({"counter", "create", "x"}).err,
            "nfmeter: 2 things are wrong:\n"
            "  NAME: is empty\n"
            "  --quota-bytes or --quota-packets: is 0\n");
  server_.counters.on_CreateCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT, "counter.name: is empty",
                 {{"counter.name", "is empty"}});
  };
  EXPECT_EQ(Nfmeter({"counter", "create", "x"}).err,
            "nfmeter: NAME: is empty\n");
  // The name of a field may be a word of the description.
  server_.counters.on_GetCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT,
                 "name: is empty; name a counter",
                 {{"name", "is empty; name a counter"}});
  };
  EXPECT_EQ(Nfmeter({"counter", "get", ""}).err,
            "nfmeter: NAME: is empty; name a counter\n");
  server_.counters.on_CreateCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::NOT_FOUND, "there is no counter 'x'",
                 {{"rule.counter", "there is no counter 'x'"}});
  };
  EXPECT_EQ(Nfmeter({"counter", "create", "x"}).err,
            "nfmeter: there is no counter 'x'\n");
  // The message may say more than the field's part of it.
  server_.rules.on_CreateRule = [](const auto&, auto*) {
    return Error(grpc::StatusCode::NOT_FOUND,
                 "there is no chain 'X'; there are INPUT, OUTPUT",
                 {{"rule.chain", "there is no chain 'X'"}});
  };
  EXPECT_EQ(Nfmeter({"rule", "add", "--counter", "x", "--chain", "X"}).err,
            "nfmeter: there is no chain 'X'; there are INPUT, OUTPUT\n");
}

TEST_F(ErrorsTest, SentencesNameFlagsAndItems) {
  server_.rules.on_CreateRule = [](const auto&, auto*) {
    return Error(
        grpc::StatusCode::INVALID_ARGUMENT,
        "rule.match.out_interface: is none yet; use in_interface",
        {{"rule.match.out_interface", "is none yet; use in_interface"}});
  };
  EXPECT_EQ(Nfmeter({"rule", "add", "--counter", "x", "--chain", "X"}).err,
            "nfmeter: --out: is none yet; use --in\n");
  server_.counters.on_BatchCreateCounters = [](const auto&, auto*) {
    return Error(grpc::StatusCode::INVALID_ARGUMENT,
                 "counters[1].name: 'a' is the same as counters[0].name",
                 {{"counters[1].name", "'a' is the same as counters[0].name"}});
  };
  EXPECT_EQ(Nfmeter({"counter", "create", "a", "a"}).err,
            "nfmeter: item 2, NAME: 'a' is the same as item 1, NAME\n");
  EXPECT_THAT(Nfmeter({"node", "-o", "jsn"}).err,
              HasSubstr("csv, name, custom-columns=NAME:.name"));
}

TEST_F(ErrorsTest, InsecureIsNotOverruledByFilesForTls) {
  for (const RunResult& result :
       {Nfmeter({"node", "--insecure", "--ca", "ca.crt"}),
        Shell("NFMETER_CA=ca.crt $NFMETER node --insecure")}) {
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.err,
              "nfmeter: --insecure is no TLS, which --ca, --cert, --key and "
              "--tls-server-name ask for\n"
              "hint: leave out either, also NFMETER_CA, NFMETER_CERT and "
              "NFMETER_KEY in the environment\n");
  }
}

TEST_F(ErrorsTest, HintsSpeakOfThisCommand) {
  server_.counters.on_DeleteCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::FAILED_PRECONDITION, "In use by rule x.", {},
                 "COUNTER_IN_USE");
  };
  const RunResult result = Nfmeter({"counter", "delete", "x"});
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.err,
            "nfmeter: In use by rule x.\n"
            "hint: 'nfmeter counter delete --with-rules' deletes nfmeter's own "
            "rules first\n");
  const RunResult foreign = Nfmeter({"counter", "delete", "x", "--with-rules"});
  EXPECT_EQ(foreign.exit_code, 4);
  EXPECT_THAT(foreign.err, HasSubstr("hint: 'nfmeter rule list' shows"));
  // Where there is no rule of nfmeter's, that flag is no help.
  server_.counters.on_DeleteCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::FAILED_PRECONDITION, "In use.", {},
                 "COUNTER_IN_USE", {{"rules", "~12,~34"}});
  };
  EXPECT_THAT(Nfmeter({"counter", "delete", "x"}).err,
              HasSubstr("hint: 'nfmeter rule list' shows"));
  server_.plans.on_ApplyPlan = [](const auto&, auto*) {
    return Error(grpc::StatusCode::FAILED_PRECONDITION, "In use.", {},
                 "COUNTER_IN_USE", {{"rules", "~12,~34"}});
  };
  EXPECT_THAT(Nfmeter({"apply", "--prune", "-f", "-"},
                      "name: a\naccounts: [{counter: a}]\n")
                  .err,
              HasSubstr("hint: 'nfmeter rule list' shows"));
}

TEST_F(ErrorsTest, AnEmptyAddressIsNotTheDefaultOne) {
  const RunResult result = testing::Run({NFMETER, "--server", "", "node"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("the address is empty"));
}

TEST_F(ErrorsTest, ALargeBatchBlamesThoseThatWereRefused) {
  int calls = 0;
  server_.counters.on_BatchResetCounters = [&](const auto& request, auto* got) {
    if (++calls == 2) {
      return Error(grpc::StatusCode::NOT_FOUND, "there is no counter 'nope'",
                   {}, "COUNTER_NOT_FOUND", {{"counters", "nope"}});
    }
    for (const auto& name : request.names())
      got->add_counters()->set_name(name);
    return grpc::Status::OK;
  };
  std::string names;
  for (int i = 0; i < 2500; ++i) absl::StrAppend(&names, "c", i, "\n");
  const RunResult result = Nfmeter({"counter", "reset", "-"}, names + "nope\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.err,
            "  nope: there is no counter 'nope'\n"
            "nfmeter: 501 of 2501 counters could not be reset, as listed "
            "above; 500 of them, from 'c2000' on, were not tried: repeat it "
            "without the others\n");
}

TEST_F(ErrorsTest, AMissingServerIsNamedWithWhatToDo) {
  server_.Stop();
  const RunResult result =
      testing::Run({NFMETER, "--server", "unix:/nowhere/nfmeter.sock", "node"});
  EXPECT_EQ(result.exit_code, 6);
  EXPECT_THAT(result.err,
              AllOf(StartsWith("nfmeter: "), HasSubstr("/nowhere/nfmeter.sock"),
                    HasSubstr("\nhint: ")));
  EXPECT_EQ(Nfmeter({"watch"}).exit_code, 6);
}

TEST_F(ErrorsTest, TheTimeoutIsKept) {
  absl::Notification done;
  server_.node.on_GetNode = [&done](const auto&, auto*) {
    done.WaitForNotificationWithTimeout(absl::Seconds(20));
    return grpc::Status::OK;
  };
  const RunResult result = Nfmeter({"node", "--timeout", "200ms"});
  done.Notify();
  server_.Stop();  // no handler outlives the notification
  EXPECT_EQ(result.exit_code, 6);
}

TEST_F(ErrorsTest, TextThatIsNotUtf8IsRefused) {
  const RunResult result =
      Nfmeter({"counter", "create", "ok", "--label", "a=\xff\x1b["});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              AllOf(StartsWith("nfmeter: "), HasSubstr("' is not UTF-8\n")));
}

TEST_F(ErrorsTest, SentencesSpeakOfCommandsAndFlags) {
  server_.counters.on_GetCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::NOT_FOUND,
                 "no counter 'MyListCounters'; see ListCounters, or set "
                 "max_staleness");
  };
  EXPECT_EQ(Nfmeter({"counter", "get", "x"}).err,
            "nfmeter: no counter 'MyListCounters'; see 'nfmeter counter list', "
            "or set --max-staleness\n");
}

TEST_F(ErrorsTest, MethodsThatPoliciesNameAreCommandsToo) {
  server_.counters.on_GetCounter = [](const auto&, auto*) {
    return Error(grpc::StatusCode::PERMISSION_DENIED,
                 "a may not call nfmeter.v1.CounterService/ListCounters: that, "
                 "nfmeter.v1.UsageService/ListUsage and nfmeter.v1");
  };
  EXPECT_EQ(Nfmeter({"counter", "get", "x"}).err,
            "nfmeter: a may not call 'nfmeter counter list': that, "
            "nfmeter.v1.UsageService/ListUsage and nfmeter.v1\n");
}

TEST_F(ErrorsTest, WrongUsageIsExplained) {
  const struct {
    std::vector<std::string> arguments;
    const char* sentence;
  } cases[] = {
      {{}, "'nfmeter' needs a command: counter, rule,"},
      {{"counter"}, "'nfmeter counter' needs a command: create, get,"},
      {{"couner"}, "did you mean counter?"},
      {{"counter", "lst"}, "did you mean list?"},
      {{"counter", "lst", "--help"}, "did you mean list?"},
      {{"plam", "--help"}, "'nfmeter' has no command 'plam'"},
      {{"counter", "list", "a", "b"}, "does not take 'b'"},
      {{"watch", "--intervall", "1s"}, "did you mean --interval?"},
      {{"watch", "--interval", "0"}, "--interval: '0' is not a time above 0"},
      {{"watch", "--count", "x"}, "'x'"},
      {{"node", "-o", "xml"}, "'xml' is none of table, wide, json"},
      {{"node", "--color", "red"}, "'red' is none of auto, always, never"},
      {{"rule", "add", "--src"}, "--src needs a value: --src CIDR"},
      {{"rule", "add", "--tcp-flags", "SYN"},
       "--tcp-flags needs a value: --tcp-flags MASK SET"},
      {{"rule", "add", "--not-src"}, "--not-src needs a value: --not-src CIDR"},
      {{"rule", "add", "--not-match-set", "a"},
       "--not-match-set needs a value: --not-match-set NAME DIRECTIONS"},
      {{"rule", "add", "-j", "REJECT"}, "'REJECT' is none of continue, accept"},
      {{"rule", "add", "--chain", "INPUT"}, "needs --counter and --chain"},
      {{"rule", "get"}, "ID is required"},
      {{"completion", "csh"}, "it has bash, zsh, fish"},
      {{"rule", "add", "-4", "-6"}, "--ipv"},
  };
  for (const auto& c : cases) {
    const RunResult result = Nfmeter(c.arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err,
                AllOf(StartsWith("nfmeter: "), HasSubstr(c.sentence)));
  }
}

TEST_F(ErrorsTest, AnAnswerThatIsNotUtf8IsOneErrorAndNoLibraryTalks) {
  server_.counters.on_GetCounter = [](const auto&, auto* response) {
    response->mutable_counter()->set_name("a\xff");
    return grpc::Status::OK;
  };
  const RunResult result = Nfmeter({"counter", "get", "a"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, StartsWith("nfmeter: "));
  EXPECT_THAT(result.err, Not(HasSubstr("libprotobuf")));
}

// The names below "Commands:" in a help text.
std::vector<std::string> CommandsIn(absl::string_view help) {
  std::vector<std::string> names;
  bool in_commands = false;
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    if (in_commands && line.empty()) break;
    if (in_commands) {
      names.emplace_back(*absl::StrSplit(line, ' ', absl::SkipEmpty()).begin());
    }
    in_commands |= line == "Commands:";
  }
  return names;
}

TEST_F(ErrorsTest, HelpOfEveryCommandEndsWithExamplesAndFitsInEightyColumns) {
  std::vector<std::vector<std::string>> commands = {{}};
  size_t with_examples = 0;
  while (!commands.empty()) {
    const std::vector<std::string> command = std::move(commands.back());
    commands.pop_back();
    SCOPED_TRACE(absl::StrJoin(command, " "));
    std::vector<std::string> words = command;
    words.push_back("-h");
    const RunResult result = Nfmeter(words);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, AllOf(HasSubstr("\nUsage: nfmeter"),
                                  Not(HasSubstr("nfmeter nfmeter"))));
    EXPECT_THAT(std::vector<std::string>(absl::StrSplit(result.out, '\n')),
                Each(SizeIs(Le(80u))));
    const std::vector<std::string> below = CommandsIn(result.out);
    for (const std::string& name : below) {
      commands.push_back(command);
      commands.back().push_back(name);
    }
    // A noun shows its commands, which have examples.
    if (!command.empty() && !below.empty()) continue;
    EXPECT_THAT(result.out, HasSubstr("\nExamples:\n  "));
    ++with_examples;
  }
  EXPECT_GT(with_examples, 30u);
}

TEST_F(ErrorsTest, HelpOfANounNamesItsCommandsAndNothingOfOthers) {
  const RunResult result = Nfmeter({"quota", "--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("\nCommands:\n  watch "),
                    HasSubstr("'nfmeter quota COMMAND --help'"),
                    Not(HasSubstr("rule add")), Not(HasSubstr("Exit codes"))));
}

TEST_F(ErrorsTest, AFullOrClosedOutputIsAnError) {
  server_.node.on_GetNode = [](const auto&, auto*) { return grpc::Status::OK; };
  RunResult result = Shell("$NFMETER node >/dev/full");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("can't write to standard output"));
  result = Shell("$NFMETER node >&-");
  EXPECT_EQ(result.exit_code, 1);
}

TEST_F(ErrorsTest, AnInputThatCannotBeReadIsAnError) {
  for (const char* command :
       {"counter get -", "counter create --from -", "rule add --from -"}) {
    const RunResult result = Shell(absl::StrCat("$NFMETER ", command, " </"));
    EXPECT_EQ(result.exit_code, 4) << command;
    EXPECT_THAT(result.err, StartsWith("nfmeter: can't read standard input"))
        << command;
  }
}

TEST_F(ErrorsTest, NumbersOfFramesAndCrossingsAreWholeNumbers) {
  for (const char* command : {"watch", "top", "quota watch"}) {
    for (const char* count : {"-1", "x", "1.5", "''"}) {
      const RunResult result =
          Shell(absl::StrCat("$NFMETER ", command, " -n ", count));
      EXPECT_EQ(result.exit_code, 2) << command << count;
      EXPECT_THAT(result.err, HasSubstr("is not a whole number"))
          << command << count;
    }
  }
}

}  // namespace
}  // namespace nfmeter::testing
