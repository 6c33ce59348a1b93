// SPDX-License-Identifier: GPL-3.0-or-later
// What scripts use: columns of their choice, waiting, commands on events; and
// the words that explain.
#include "google/protobuf/struct.pb.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ScriptTest : public CliTest {
 protected:
  ScriptTest() {
    server_.counters.on_ListCounters = [](const auto&, auto* response) {
      v1::Counter& a = *response->add_counters();
      a.set_name("a");
      a.mutable_quota()->set_bytes(5);
      (*a.mutable_labels())["team/x.y"] = "blue";
      response->add_counters()->set_name("long-name");
      return grpc::Status::OK;
    };
    server_.counters.on_GetCounter = [](const auto& request, auto* response) {
      response->mutable_counter()->set_name(request.name());
      response->mutable_counter()->mutable_quota()->set_bytes(5);
      return grpc::Status::OK;
    };
    server_.counters.on_WatchQuotaEvents = [this](grpc::ServerContext& context,
                                                  const auto& request,
                                                  auto& writer) {
      watched_ = request.filter().name_glob();
      v1::WatchQuotaEventsResponse event;
      event.set_kind(v1::QUOTA_EVENT_KIND_SYNCED);
      writer.Write(event);
      if (crossed_) {
        event.set_kind(v1::QUOTA_EVENT_KIND_CROSSED);
        event.mutable_counter()->set_name("a");
        event.mutable_counter()->set_bytes(7);
        writer.Write(event);
      }
      WaitForCancellation(context);
      return grpc::Status::CANCELLED;
    };
  }
  bool crossed_ = true;
  std::string watched_;  // the glob
};

TEST_F(ScriptTest, ColumnsAreThoseAskedFor) {
  const std::string columns =
      "custom-columns=N:.name,LIMIT:.quota.bytes,TEAM:.labels.team/x.y";
  EXPECT_EQ(Nfmeter({"counter", "list", "-o", columns}).out,
            "N          LIMIT   TEAM\n"
            "a          5       blue\n"
            "long-name  <none>  <none>\n");
  EXPECT_EQ(Nfmeter({"counter", "get", "a", "-o", columns, "--no-headers"}).out,
            "a  5      <none>\n");
  const RunResult wrong =
      Nfmeter({"counter", "list", "-o", "custom-columns=NAME"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("'NAME' is not a column such as"));
}

TEST_F(ScriptTest, HeadingsCanBeLeftOut) {
  EXPECT_THAT(Nfmeter({"counter", "list", "--no-headers"}).out,
              StartsWith("a "));
  EXPECT_THAT(Nfmeter({"counter", "list", "--no-headers", "-o", "csv"}).out,
              StartsWith("a,0,0"));
  EXPECT_THAT(Shell("NFMETER_NO_HEADERS=1 NFMETER_OUTPUT=csv $NFMETER counter "
                    "list")
                  .out,
              StartsWith("a,0,0"));
}

TEST_F(ScriptTest, FlagsOfACommandMayStandInTheEnvironment) {
  const RunResult waited = Shell(
      "NFMETER_WAIT_QUOTA_EXCEEDED=1 NFMETER_OUTPUT=name $NFMETER wait quota "
      "a");
  EXPECT_EQ(waited.exit_code, 0) << waited.err;
  EXPECT_EQ(waited.out, "a\n");
  EXPECT_THAT(Nfmeter({"wait", "quota", "--help"}).out,
              HasSubstr("--exceeded as NFMETER_WAIT_QUOTA_EXCEEDED"));
}

TEST_F(ScriptTest, AWrongVariableIsNamedWhereItMatters) {
  const RunResult wrong =
      Shell("NFMETER_TOP_INTERVAL=often $NFMETER top; exit $?");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err,
              HasSubstr("--interval is from NFMETER_TOP_INTERVAL=often"));
  const RunResult given =
      Shell("NFMETER_TOP_INTERVAL=1s $NFMETER top --interval rarely; exit $?");
  EXPECT_THAT(given.err, AllOf(HasSubstr("rarely"),
                               Not(HasSubstr("NFMETER_TOP_INTERVAL"))));
  // Other commands have nothing to do with it.
  EXPECT_EQ(Shell("NFMETER_TOP_INTERVAL=often $NFMETER counter list").exit_code,
            0);
}

TEST_F(ScriptTest, WaitEndsWhenTheQuotaIsExceeded) {
  const RunResult result =
      Nfmeter({"wait", "quota", "a", "--exceeded", "-o", "name"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "a\n");
}

// Not for "a" or any other that it would match as a glob.
TEST_F(ScriptTest, WaitIsForTheCounterOfThatName) {
  EXPECT_EQ(Nfmeter({"wait", "quota", "a*[?", "--exceeded"}).exit_code, 0);
  EXPECT_EQ(watched_, "a[*][[][?]");
}

TEST_F(ScriptTest, WaitGivesUpAfterItsTimeout) {
  crossed_ = false;
  const RunResult result =
      Nfmeter({"wait", "quota", "a", "--exceeded", "--timeout", "300ms"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err,
            "nfmeter: counter 'a' did not exceed its quota within 300ms\n");
}

TEST_F(ScriptTest, EventsRunCommands) {
  const std::string out = folder_ / "out";
  const RunResult result =
      Nfmeter({"quota", "watch", "--count", "1", "--exec",
               "echo $NFMETER_EVENT $NFMETER_COUNTER $NFMETER_BYTES >" + out +
                   "; exit 3"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("ended with exit status 3"));
  EXPECT_EQ(testing::Run({"cat", out}).out, "crossed a 7\n");
}

TEST_F(ScriptTest, AMaskThatLooksAtNoBitOfAMarkIsAskedFor) {
  v1::FlowFilter asked;
  server_.flows.on_ListFlows = [&](auto&, const auto& request, auto& writer) {
    asked = request.filter();
    v1::ListFlowsResponse last;
    last.mutable_reading();
    writer.Write(last);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"flow", "list", "--mark", "0/0"}).exit_code, 0);
  EXPECT_TRUE(asked.mark().has_mask());
  EXPECT_EQ(asked.mark().mask(), 0);
}

TEST_F(ScriptTest, HelpIsACommandToo) {
  EXPECT_EQ(Nfmeter({"help", "rule", "add"}).out,
            Nfmeter({"rule", "add", "--help"}).out);
  EXPECT_EQ(Nfmeter({"help"}).out, Nfmeter({"--help"}).out);
  EXPECT_EQ(Nfmeter({"help", "rule", "nope"}).exit_code, 2);
}

TEST_F(ScriptTest, ExplainHasTheWordsOfTheProtos) {
  EXPECT_THAT(
      Nfmeter({"explain", "counter.quota"}).out,
      AllOf(StartsWith("counter.quota  <Quota>\n    Absent: none."),
            HasSubstr("\nFIELDS\n"), HasSubstr("  exceeded  <bool>\n")));
  EXPECT_EQ(Nfmeter({"explain", "rule.match.sourcePorts"}).exit_code, 0);
  EXPECT_EQ(Nfmeter({"explain", "rule.match.source_ports"}).exit_code, 0);
  EXPECT_THAT(Nfmeter({"explain"}).out, HasSubstr("  counter  "));
  const RunResult wrong = Nfmeter({"explain", "counter.colour"});
  EXPECT_EQ(wrong.exit_code, 3);
  EXPECT_THAT(wrong.err, HasSubstr("'counter' has no field 'colour'"));
  EXPECT_THAT(Nfmeter({"explain", "counters"}).err,
              HasSubstr("hint: did you mean counter?"));
  // A number has no fields that could be listed.
  EXPECT_THAT(Nfmeter({"explain", "counter.bytes.x"}).err,
              Not(HasSubstr("hint:")));
}

TEST_F(ScriptTest, ExplainHasEveryForm) {
  const std::vector<std::string> quota = {"explain", "counter.quota", "-o"};
  const auto explained = [&](const std::string& form) {
    std::vector<std::string> words = quota;
    words.push_back(form);
    return Nfmeter(words).out;
  };
  const auto json = Json<google::protobuf::Struct>(explained("json"));
  EXPECT_EQ(json.fields().at("name").string_value(), "counter.quota");
  EXPECT_EQ(json.fields().at("type").string_value(), "Quota");
  EXPECT_EQ(json.fields().at("fields").list_value().values_size(), 3);
  EXPECT_THAT(explained("yaml"), HasSubstr("name: counter.quota.exceeded\n"));
  EXPECT_THAT(explained("csv"),
              AllOf(StartsWith("name,type,description\ncounter.quota,Quota,"),
                    HasSubstr("\ncounter.quota.exceeded,bool,")));
  EXPECT_EQ(explained("name"),
            "counter.quota.packets\ncounter.quota.bytes\n"
            "counter.quota.exceeded\n");
  EXPECT_THAT(explained("custom-columns=TYPE:.type"),
              AllOf(StartsWith("TYPE\n"), HasSubstr("bool\n")));
  EXPECT_THAT(Nfmeter({"explain", "-o", "name"}).out,
              StartsWith("counter\nquota\n"));
}

TEST_F(ScriptTest, ExplainNamesFieldsAsJsonAndMethodsAsCommands) {
  EXPECT_THAT(Nfmeter({"explain", "counter"}).out,
              AllOf(HasSubstr("since createTime"),
                    HasSubstr("missing: 'nfmeter usage gaps'"),
                    HasSubstr("one of nf_tables"),  // no field
                    Not(HasSubstr("create_time"))));
  // What the server itself prints stays so.
  EXPECT_THAT(Nfmeter({"explain", "capability.methods"}).out,
              HasSubstr("nfmeter.v1.RuleService/CreateRule"));
}

class PlanScriptTest : public CliTest {
 protected:
  PlanScriptTest() {
    server_.plans.on_ListPlans = [](const auto&, auto* response) {
      *response = Json<v1::ListPlansResponse>(R"({"plans": [
          {"name": "a", "owner": "me", "etag": "12",
           "applyTime": "2026-11-02T10:00:00Z"}, {"name": "b"}]})");
      return grpc::Status::OK;
    };
    server_.plans.on_GetPlanStatus = [](const auto& request, auto* response) {
      response->mutable_status()->set_name(request.name());
      response->mutable_status()->set_state(v1::PlanStatus::STATE_IN_SYNC);
      return grpc::Status::OK;
    };
    server_.plans.on_WatchPlanStatus = [](auto&, const auto&, auto& writer) {
      v1::WatchPlanStatusResponse next;
      next.mutable_status()->set_state(v1::PlanStatus::STATE_IN_SYNC);
      for (const char* name : {"a", "b"}) {
        next.mutable_status()->set_name(name);
        writer.Write(next);
      }
      return Error(grpc::StatusCode::PERMISSION_DENIED, "enough");
    };
  }
};

TEST_F(PlanScriptTest, CsvHasOneHeadingOfStableNames) {
  EXPECT_EQ(Nfmeter({"plan", "list", "-o", "csv"}).out,
            "name,owner,apply_time,etag\n"
            "a,me,2026-11-02T10:00:00Z,12\n"
            "b,,1970-01-01T00:00:00Z,\n");
  EXPECT_EQ(Nfmeter({"plan", "status", "-o", "csv"}).out,
            "name,state,check_time,repairs,may_have_missed,why\n"
            ".rules,in sync,1970-01-01T00:00:00Z,0,,\n"
            "a,in sync,1970-01-01T00:00:00Z,0,,\n"
            "b,in sync,1970-01-01T00:00:00Z,0,,\n");
  EXPECT_EQ(Nfmeter({"plan", "status", "-o", "custom-columns=N:.name"}).out,
            "N\n.rules\na\nb\n");
  server_.node.on_GetNode = [](const auto&, auto* response) {
    response->mutable_node()->set_hostname("gw1");
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"node", "-o", "csv", "--no-headers"}).out,
              Not(HasSubstr("hostname")));
}

TEST_F(PlanScriptTest, SeveralAnswersAreDocumentsOfYaml) {
  EXPECT_THAT(
      Nfmeter({"plan", "status", "-o", "yaml"}).out,
      AllOf(StartsWith("name: \".rules\"\n"), HasSubstr("\n---\nname: a\n"),
            HasSubstr("\n---\nname: b\n")));
}

TEST_F(PlanScriptTest, AWatchPrintsEachForm) {
  const auto watched = [&](const std::string& form) {
    return Nfmeter({"plan", "watch", "-o", form}).out;
  };
  EXPECT_EQ(watched("name"), "a\nb\n");
  EXPECT_EQ(watched("custom-columns=N:.name"), "N\na\nb\n");
  EXPECT_THAT(watched("csv"),
              AllOf(StartsWith("name,state,"), HasSubstr("\na,in sync,"),
                    HasSubstr("\nb,in sync,")));
  EXPECT_THAT(watched("yaml"), StartsWith("---\nname: a\n"));
}

}  // namespace
}  // namespace nfmeter::testing
