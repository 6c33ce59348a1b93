// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter rule ...
#include "google/protobuf/util/message_differencer.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class RuleCommandsTest : public CliTest {
 protected:
  RuleCommandsTest() {
    server_.rules.on_CreateRule = [this](const auto& request, auto* response) {
      create_ = request;
      *response->mutable_rule() = request.rule();
      if (request.rule().id().empty()) response->mutable_rule()->set_id("r1");
      response->mutable_rule()->set_table("filter");
      response->mutable_rule()->set_family(v1::FAMILY_IPV4);
      return grpc::Status::OK;
    };
    server_.rules.on_BatchCreateRules = [this](const auto& request,
                                               auto* response) {
      batch_ = request;
      *response->mutable_rules() = request.rules();
      return grpc::Status::OK;
    };
    server_.rules.on_ListRules = [this](const auto& request, auto* response) {
      list_ = request;
      *response->add_rules() = WebIn();
      return grpc::Status::OK;
    };
  }

  static v1::Rule WebIn() {
    return Json<v1::Rule>(R"({"id":"web-in","family":"FAMILY_IPV4",
        "table":"filter","chain":"INPUT","counter":"http-traffic",
        "match":{"protocol":"tcp","sourcePorts":[{"first":80}]},
        "verdict":"VERDICT_CONTINUE","packets":"12","bytes":"3456",
        "managed":true,"position":1,
        "spec":"-A INPUT -p tcp -m tcp --sport 80"})");
  }

  v1::CreateRuleRequest create_;
  v1::BatchCreateRulesRequest batch_;
  v1::ListRulesRequest list_;
};

TEST_F(RuleCommandsTest, AddTakesTheClassicExample) {
  const RunResult result =
      Nfmeter({"rule", "add", "--counter", "http-traffic", "--chain", "INPUT",
               "--protocol", "tcp", "--sport", "80"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "Added rule r1: ipv4 filter INPUT: tcp sport 80 -> http-traffic\n");
  EXPECT_TRUE(MessageDifferencer::Equals(
      create_.rule(),
      Json<v1::Rule>(R"({"chain":"INPUT","counter":"http-traffic",
          "match":{"protocol":"tcp","sourcePorts":[{"first":80}]}})")))
      << create_.DebugString();
  EXPECT_EQ(create_.placement(), v1::RULE_PLACEMENT_UNSPECIFIED);
}

TEST_F(RuleCommandsTest, AddTakesTheVerdictAsIptablesWritesIt) {
  server_.counters.on_GetCounter = [](const auto& request, auto* response) {
    response->mutable_counter()->set_name(request.name());
    response->mutable_counter()->mutable_quota()->set_bytes(1);
    return grpc::Status::OK;
  };
  const RunResult result = Nfmeter(
      {"rule", "add", "-c", "http-traffic", "--chain", "INPUT", "-j", "DROP"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(create_.rule().verdict(), v1::VERDICT_DROP);
}

TEST_F(RuleCommandsTest, ADropWithoutQuotaMustBeMeant) {
  server_.counters.on_GetCounter = [](const auto& request, auto* response) {
    response->mutable_counter()->set_name(request.name());
    return grpc::Status::OK;
  };
  std::vector<std::string> add = {"rule",    "add",   "-c", "web",
                                  "--chain", "INPUT", "-j", "drop"};
  const RunResult refused = Nfmeter(add);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("counter 'web' has no quota"));
  EXPECT_THAT(refused.err, HasSubstr("--unconditional"));
  EXPECT_EQ(create_.rule().counter(), "");
  add.push_back("--unconditional");
  EXPECT_EQ(Nfmeter(add).exit_code, 0);
  EXPECT_EQ(create_.rule().verdict(), v1::VERDICT_DROP);
}

TEST_F(RuleCommandsTest, ListTellsOfRulesThatItDoesNotSee) {
  server_.rules.on_ListRules = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  server_.node.on_GetNode = [](const auto&, auto* response) {
    response->mutable_node()->add_notices("nf_tables is in use, too");
    response->mutable_node()->add_notices("something else");
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"rule", "list"}).err,
              EndsWith("note: nf_tables is in use, too\n"));
  EXPECT_EQ(Nfmeter({"rule", "list", "-o", "json"}).err, "");
}

TEST_F(RuleCommandsTest, AddTakesTheFormOfCounting) {
  const std::vector<std::string> add = {"rule",         "add",     "-c",
                                        "http-traffic", "--chain", "INPUT"};
  const auto with_form = [&](const std::string& form) {
    std::vector<std::string> command = add;
    command.insert(command.end(), {"--counting-form", form});
    return Nfmeter(command).exit_code;
  };
  EXPECT_EQ(with_form("target"), 0);
  EXPECT_EQ(create_.rule().counting_form(), v1::COUNTING_FORM_TARGET);
  EXPECT_EQ(with_form("match"), 0);
  EXPECT_EQ(create_.rule().counting_form(), v1::COUNTING_FORM_MATCH);
  EXPECT_EQ(with_form("both"), 2);
}

TEST_F(RuleCommandsTest, AddTakesEveryFlag) {
  const RunResult result = Nfmeter({"rule",
                                    "add",
                                    "-c",
                                    "all",
                                    "--chain",
                                    "OUT-X",
                                    "-t",
                                    "mangle",
                                    "-6",
                                    "-j",
                                    "drop",
                                    "--tail",
                                    "--id",
                                    "my-rule",
                                    "--request-id",
                                    "q",
                                    "--validate-only",
                                    "-p",
                                    "tcp",
                                    "-s",
                                    "fd00::/8",
                                    "--not-dst",
                                    "fd00::1",
                                    "--not-sport",
                                    "80,90:99",
                                    "--dport",
                                    "https",
                                    "-i",
                                    "eth+",
                                    "--not-out",
                                    "wg0",
                                    "--not-ctstate",
                                    "NEW,RELATED",
                                    "--mark",
                                    "1/0xff",
                                    "--uid-owner",
                                    "1000-1999",
                                    "--not-gid-owner",
                                    "7",
                                    "--cgroup",
                                    "a/b",
                                    "--not-match-set",
                                    "vips",
                                    "src,dst",
                                    "--dscp",
                                    "ef",
                                    "--pkt-type",
                                    "unicast",
                                    "--src-type",
                                    "LOCAL",
                                    "--not-dst-type",
                                    "BROADCAST,MULTICAST",
                                    "--unconditional",
                                    "--tcp-flags",
                                    "SYN,ACK",
                                    "SYN",
                                    "--comment",
                                    "a b"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "1 rule could be added; nothing was changed.\n");
  const auto expected = Json<v1::CreateRuleRequest>(R"({
    "rule":{"id":"my-rule","family":"FAMILY_IPV6","table":"mangle",
      "chain":"OUT-X","counter":"all","verdict":"VERDICT_DROP",
      "match":{"protocol":"tcp","source":"fd00::/8","destination":"fd00::1",
        "notDestination":true,
        "sourcePorts":[{"first":80},{"first":90,"last":99}],
        "notSourcePorts":true,"destinationPorts":[{"first":443}],
        "inInterface":"eth+","outInterface":"wg0","notOutInterface":true,
        "conntrackStates":["CONNTRACK_STATE_NEW","CONNTRACK_STATE_RELATED"],
        "notConntrackStates":true,"mark":{"value":1,"mask":255},
        "ownerUid":{"first":1000,"last":1999},"ownerGid":{"first":7},
        "notOwnerGid":true,"cgroupPath":"a/b",
        "ipSet":{"name":"vips","directions":["IP_SET_DIRECTION_SOURCE",
          "IP_SET_DIRECTION_DESTINATION"]},"notIpSet":true,"dscp":46,
        "packetType":"PACKET_TYPE_UNICAST",
        "sourceAddressTypes":["ADDRESS_TYPE_LOCAL"],
        "destinationAddressTypes":["ADDRESS_TYPE_BROADCAST",
          "ADDRESS_TYPE_MULTICAST"],"notDestinationAddressTypes":true,
        "tcpFlags":{"mask":["TCP_FLAG_SYN","TCP_FLAG_ACK"],
          "set":["TCP_FLAG_SYN"]},"comment":"a b"}},
    "placement":"RULE_PLACEMENT_TAIL","validateOnly":true,"requestId":"q"})");
  EXPECT_TRUE(MessageDifferencer::Equals(create_, expected))
      << create_.DebugString();
}

TEST_F(RuleCommandsTest, AddReadsBatchesFromFiles) {
  const std::string file =
      WriteFile("rules.json", R"([{"chain":"INPUT","counter":"a"},
                        {"chain":"OUTPUT","counter":"a","id":"x"}])");
  EXPECT_EQ(Nfmeter({"rule", "add", "--from", file, "--tail"}).out,
            "Added 2 rules.\n");
  EXPECT_EQ(batch_.rules(1).id(), "x");
  EXPECT_EQ(batch_.placement(), v1::RULE_PLACEMENT_TAIL);
  EXPECT_EQ(
      Nfmeter({"rule", "add", "--from", file, "--chain", "INPUT"}).exit_code,
      2);
  EXPECT_EQ(Nfmeter({"rule", "add", "--from", "-"}, "nonsense").exit_code, 2);
}

TEST_F(RuleCommandsTest, WhatListPrintsCanBeAddedAgain) {
  const RunResult listed = Nfmeter({"rule", "list", "-o", "json"});
  EXPECT_EQ(Nfmeter({"rule", "add", "--from", "-"}, listed.out).out,
            "Added rule web-in: ipv4 filter INPUT: tcp sport 80 -> "
            "http-traffic\n");
  EXPECT_TRUE(MessageDifferencer::Equals(batch_.rules(0), WebIn()));
}

TEST_F(RuleCommandsTest, ListPrintsEveryFormat) {
  EXPECT_EQ(
      Nfmeter({"rule", "list"}).out,
      "ID      FAMILY  TABLE   CHAIN  COUNTER       MATCH         THEN    "
      "  PACKETS     BYTES\n"
      "web-in  ipv4    filter  INPUT  http-traffic  tcp sport 80  "
      "continue       12  3.38 KiB\n");
  EXPECT_EQ(Nfmeter({"rule", "list", "-o", "name"}).out, "web-in\n");
  EXPECT_EQ(
      Nfmeter({"rule", "list", "-o", "csv"}).out,
      "id,family,table,chain,position,counter,match,verdict,packets,bytes,"
      "managed,target,comment,spec\n"
      "web-in,ipv4,filter,INPUT,1,http-traffic,tcp sport 80,continue,12,3456,"
      "true,,,-A INPUT -p tcp -m tcp --sport 80\n");
  EXPECT_THAT(Nfmeter({"rule", "list", "-o", "wide"}).out,
              HasSubstr("-A INPUT -p tcp -m tcp --sport 80"));
  EXPECT_THAT(Nfmeter({"rule", "list", "-o", "yaml"}).out,
              StartsWith("rules:\n  - id: web-in\n    family: FAMILY_IPV4\n"));
}

TEST_F(RuleCommandsTest, ListSendsItsFilter) {
  Nfmeter({"rule", "list", "--family", "ipv6", "-t", "raw", "--chain", "X",
           "--counter", "h*", "--managed"});
  EXPECT_EQ(list_.filter().family(), v1::FAMILY_IPV6);
  EXPECT_EQ(list_.filter().table(), "raw");
  EXPECT_EQ(list_.filter().chain(), "X");
  EXPECT_EQ(list_.filter().counter_glob(), "h*");
  EXPECT_TRUE(list_.filter().managed_only());
}

TEST_F(RuleCommandsTest, GetPrintsOneRule) {
  server_.rules.on_GetRule = [](const auto& request, auto* response) {
    EXPECT_EQ(request.id(), "web-in");
    *response->mutable_rule() = WebIn();
    return grpc::Status::OK;
  };
  const auto response = Json<v1::GetRuleResponse>(
      Nfmeter({"rule", "get", "web-in", "-o", "json"}).out);
  EXPECT_TRUE(MessageDifferencer::Equals(response.rule(), WebIn()));
}

TEST_F(RuleCommandsTest, DeleteTakesIdsAndStandardInput) {
  v1::BatchDeleteRulesRequest batch;
  server_.rules.on_DeleteRule = [](const auto& request, auto* response) {
    response->mutable_rule()->set_id(request.id());
    return grpc::Status::OK;
  };
  server_.rules.on_BatchDeleteRules = [&](const auto& request, auto* response) {
    batch = request;
    for (const auto& id : request.ids()) response->add_rules()->set_id(id);
    return grpc::Status::OK;
  };
  EXPECT_THAT(Nfmeter({"rule", "delete", "a"}).out,
              StartsWith("Deleted 1 rule. As they were:\nID"));
  EXPECT_EQ(Nfmeter({"rule", "delete", "-", "-o", "name"}, "a\nb\n").out,
            "a\nb\n");
  EXPECT_THAT(batch.ids(), ElementsAre("a", "b"));
}

TEST_F(RuleCommandsTest, ColumnsAreThoseOfTheRuleAlsoBesideNotices) {
  server_.rules.on_DeleteRule = [](const auto& request, auto* response) {
    response->mutable_rule()->set_id(request.id());
    response->add_notices("something to know");
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"rule", "delete", "r1", "-o", "custom-columns=R:.id"}).out,
            "R\nr1\n");
}

TEST_F(RuleCommandsTest, ChainsShowPolicies) {
  server_.rules.on_ListChains = [](const auto& request, auto* response) {
    EXPECT_EQ(request.family(), v1::FAMILY_IPV4);
    EXPECT_EQ(request.table(), "filter");
    v1::Chain* chain = response->add_chains();
    chain->set_family(v1::FAMILY_IPV4);
    chain->set_table("filter");
    chain->set_name("INPUT");
    chain->set_builtin(true);
    chain->set_policy("DROP");
    chain->set_packets(3);
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"rule", "chains", "-4", "--table", "filter"}).out,
            "FAMILY  TABLE   CHAIN  POLICY  PACKETS  BYTES  RULES\n"
            "ipv4    filter  INPUT  DROP          3    0 B      0\n");
}

}  // namespace
}  // namespace nfmeter::testing
