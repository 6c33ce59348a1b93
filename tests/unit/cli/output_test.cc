// SPDX-License-Identifier: GPL-3.0-or-later
// Tables, CSV, JSON and YAML, letter by letter.
#include "cli/errors.h"
#include "cli/message_text.h"
#include "cli/table.h"
#include "cli/views.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename Message>
Message Parse(const std::string& json) {
  Message message;
  EXPECT_OK(google::protobuf::util::JsonStringToMessage(json, &message))
      << json;
  return message;
}

Counters CountersToShow() {
  return Parse<v1::ListCountersResponse>(R"({"counters":[
      {"name":"http-traffic","packets":"1234567","bytes":"987654321",
       "useCount":2,"managed":true,"readTime":"2026-11-23T14:00:00.250Z",
       "totalPackets":"2000000","totalBytes":"1987654321",
       "startTime":"2026-11-20T08:00:00Z",
       "labels":{"tenant":"acme","role":"web, \"main\""}},
      {"name":"cap","packets":"7","bytes":"1073741824","useCount":0,
       "quota":{"bytes":"1073741824","exceeded":true}},
      {"name":"half","packets":"5","quota":{"packets":"10"}}]})")
      .counters();
}

TEST(CounterTableTest, IsAlignedAndHasUnits) {
  EXPECT_EQ(RenderTable(CounterTable(CountersToShow(), Layout::kTable), {}),
            R"(NAME          PACKETS     BYTES  QUOTA               HELD BY
http-traffic    1.23M   942 MiB  -                         2
cap                 7  1.00 GiB  1.00 GiB, exceeded        0
half                5       0 B  10 packets, 50%           0
)");
}

TEST(CounterTableTest, WideHasPlainNumbersAndMoreColumns) {
  EXPECT_EQ(
      RenderTable(CounterTable(CountersToShow(), Layout::kWide), {}),
      R"(NAME          PACKETS       BYTES  QUOTA                       HELD BY  TOTAL PACKETS  TOTAL BYTES  SURE SINCE            MANAGED  LABELS                        READ AT                   DESCRIPTION
http-traffic  1234567   987654321  -                                 2        2000000   1987654321  2026-11-20T08:00:00Z  yes      role=web, "main",tenant=acme  2026-11-23T14:00:00.250Z  -
cap                 7  1073741824  1073741824 bytes, exceeded        0              0            0  -                     no       -                                                       -
half                5           0  10 packets, 50%                   0              0            0  -                     no       -                                                       -
)");
}

TEST(CounterTableTest, CsvQuotesAndKeepsItsColumns) {
  EXPECT_EQ(
      RenderCsv(CounterTable(CountersToShow(), Layout::kCsv)),
      R"(name,packets,bytes,quota,quota_unit,quota_exceeded,use_count,total_packets,total_bytes,start_time,labels,read_time,managed,description
http-traffic,1234567,987654321,,,false,2,2000000,1987654321,2026-11-20T08:00:00Z,"role=web\x2c ""main"",tenant=acme",2026-11-23T14:00:00.250Z,true,
cap,7,1073741824,1073741824,bytes,true,0,0,0,,,,false,
half,5,0,10,packets,false,0,0,0,,,,false,
)");
}

Rules RulesToShow() {
  return Parse<v1::ListRulesResponse>(R"({"rules":[
      {"id":"web-in","family":"FAMILY_IPV4","table":"filter","chain":"INPUT",
       "match":{"protocol":"tcp","sourcePorts":[{"first":80}],
                "source":"10.0.0.0/8","notSource":true,"comment":"web"},
       "counter":"http-traffic","verdict":"VERDICT_CONTINUE","packets":"12",
       "bytes":"3456","managed":true,"position":1,
       "spec":"-A INPUT -p tcp -m tcp --sport 80"},
      {"id":"~1f","family":"FAMILY_IPV6","table":"mangle","chain":"FORWARD",
       "verdict":"VERDICT_OTHER","target":"LOG","position":3,
       "otherMatches":["recent"],"spec":"-A FORWARD -j LOG"}]})")
      .rules();
}

TEST(RuleTableTest, SaysWhatARuleMatches) {
  EXPECT_EQ(
      RenderTable(RuleTable(RulesToShow(), Layout::kTable), {}),
      R"(ID      FAMILY  TABLE   CHAIN    COUNTER       MATCH                         THEN      PACKETS     BYTES
web-in  ipv4    filter  INPUT    http-traffic  tcp src !10.0.0.0/8 sport 80  continue       12  3.38 KiB
~1f     ipv6    mangle  FORWARD  -             [recent]                      LOG             0       0 B
)");
}

TEST(RuleTableTest, CsvKeepsItsColumns) {
  EXPECT_EQ(
      RenderCsv(RuleTable(RulesToShow(), Layout::kCsv)),
      R"(id,family,table,chain,position,counter,match,verdict,packets,bytes,managed,target,comment,spec
web-in,ipv4,filter,INPUT,1,http-traffic,tcp src !10.0.0.0/8 sport 80,continue,12,3456,true,,web,-A INPUT -p tcp -m tcp --sport 80
~1f,ipv6,mangle,FORWARD,3,,[recent],other,0,0,false,LOG,,-A FORWARD -j LOG
)");
}

TEST(ChainTableTest, ShowsPoliciesOfBuiltInChainsOnly) {
  const auto response = Parse<v1::ListChainsResponse>(R"({"chains":[
      {"family":"FAMILY_IPV4","table":"filter","name":"INPUT","builtin":true,
       "policy":"ACCEPT","packets":"10","bytes":"800","ruleCount":2},
      {"family":"FAMILY_IPV4","table":"filter","name":"NFM-IN",
       "references":1,"ruleCount":5,"managed":true}]})");
  EXPECT_EQ(RenderTable(ChainTable(response.chains(), Layout::kTable), {}),
            R"(FAMILY  TABLE   CHAIN   POLICY  PACKETS  BYTES  RULES
ipv4    filter  INPUT   ACCEPT       10  800 B      2
ipv4    filter  NFM-IN  -             -      -      5
)");
}

TEST(NodeTextTest, NamesWhatIsMissing) {
  const auto node = Parse<v1::Node>(R"({"hostname":"gw1","version":"0.1.0",
      "kernelRelease":"6.1.0","networkNamespace":"4026531840",
      "startTime":"2026-11-23T14:00:00.5Z","counterCount":3,
      "capabilities":[
        {"name":"nfacct","available":true,"detail":"nfnetlink_acct"},
        {"name":"iptables_ipv6","detail":"no ip6_tables: modprobe it",
         "methods":["nfmeter.v1.RuleService/CreateRule"]}],
      "notices":["nf_tables rules count beside ours"]})");
  EXPECT_EQ(NodeText(node, Layout::kTable, false),
            R"(host                gw1
nfmeterd            0.1.0
kernel              6.1.0
network namespace   4026531840
started             2026-11-23T14:00:00Z
counters            3, when last read
open watches        0

CAPABILITY     STATE      DETAIL
nfacct         available  nfnetlink_acct
iptables_ipv6  missing    no ip6_tables: modprobe it

NOTICES
- nf_tables rules count beside ours
)");
  EXPECT_EQ(
      RenderCsv(NodeTable(node)),
      "hostname,version,kernel_release,network_namespace,epoch,start_time,"
      "counter_count,snapshot_subscribers,missing_capabilities\n"
      "gw1,0.1.0,6.1.0,4026531840,0,2026-11-23T14:00:00.500Z,3,0,"
      "iptables_ipv6\n");
}

TEST(NodeTextTest, GoesOnBelowWhereLinesAreNarrow) {
  const auto node = Parse<v1::Node>(R"({"hostname":"gw1","version":"0.1.0",
      "kernelRelease":"6.1.0","networkNamespace":"1",
      "startTime":"2026-11-23T14:00:00Z",
      "capabilities":[
        {"name":"nfacct","available":true,"detail":"nfnetlink_acct"},
        {"name":"iptables_ipv6","detail":"no ip6_tables: modprobe it"}],
      "caller":{"principal":"socket:/run/nfmeter/nfmeter.sock","grants":[
        {"role":"viewer","counterPrefixes":["a-","b-","customers-of-"]}]},
      "notices":["2 counters have no rule that counts into them"]})");
  EXPECT_EQ(NodeText(node, Layout::kTable, false, /*width=*/40),
            R"(host                gw1
nfmeterd            0.1.0
kernel              6.1.0
network namespace   1
started             2026-11-23T14:00:00Z
you are             socket:/run/nfmeter/nfmeter.sock
you may act as      viewer of a-*, b-*,
                    customers-of-*

CAPABILITY     STATE      DETAIL
nfacct         available  nfnetlink_acct
iptables_ipv6  absent
    no ip6_tables: modprobe it

NOTICES
- 2 counters have no rule that counts
  into them
)");
}

TEST(NodeTextTest, TellsCallersWhoTheyAreAndWhatTheyMayDo) {
  auto node = Parse<v1::Node>(R"({"hostname":"gw1","version":"0.1.0",
      "kernelRelease":"6.1.0","networkNamespace":"1",
      "startTime":"2026-11-23T14:00:00Z","counterCount":3,"readOnly":true,
      "caller":{"principal":"cn:alice","grants":[
        {"role":"admin","methods":["nfmeter.v1.CounterService/*"]},
        {"role":"viewer","counterPrefixes":["a-","b-"]}]}})");
  EXPECT_EQ(NodeText(node, Layout::kTable, false),
            R"(host                gw1
nfmeterd            0.1.0
kernel              6.1.0
network namespace   1
started             2026-11-23T14:00:00Z
counters            3, when last read
open watches        0
changes             refused: it is read only
you are             cn:alice
you may act as      admin, for nfmeter.v1.CounterService/*
you may act as      viewer of a-*, b-*
)");
  // A caller that may see only some counters is not told how many there are.
  node.mutable_caller()->mutable_grants()->DeleteSubrange(0, 1);
  EXPECT_THAT(NodeText(node, Layout::kTable, false),
              Not(HasSubstr("counters    ")));
}

TEST(RenderTableTest, ControlCharactersCannotCommandTheTerminal) {
  Table table;
  table.headings = {{"A"}, {"B"}};
  table.rows = {{{"x\x1b[2Jy\n"}, {"ü"}}};
  EXPECT_EQ(RenderTable(table, {}), "A              B\nx\\x1b[2Jy\\x0a  ü\n");
  EXPECT_EQ(RenderCsv(table), "A,B\nx\\x1b[2Jy\\x0a,ü\n");
  // The same command as one character of the C1 set, and a letter like it.
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J\xc2\xa9"),
            "\\xc2\\x9b"
            "2J\xc2\xa9");
}

TEST(RenderTableTest, CutsToTheWidthOfTheTerminal) {
  Table table;
  table.headings = {{"NAME"}, {"VALUE", Align::kRight}};
  table.rows = {{{"abcdefgh"}, {"12345"}}};
  // A part of a number would be another number.
  EXPECT_EQ(RenderTable(table, {.max_width = 14}), "NAME\nabcdefgh\n");
  EXPECT_EQ(RenderTable(table, {.max_width = 15}),
            "NAME      VALUE\nabcdefgh  12345\n");
  EXPECT_EQ(RenderTable(table, {.max_width = 4}), "NAME\nabc>\n");
  table.headings[1].align = Align::kLeft;
  EXPECT_EQ(RenderTable(table, {.max_width = 12}),
            "NAME      V>\nabcdefgh  1>\n");
}

TEST(RenderTableTest, LeavesOutWhatMattersLeastAndCutsTheFirstColumn) {
  Table table;
  table.headings = {
      {"NAME"}, {"TOTAL", Align::kRight, 1}, {"RATE", Align::kRight}, {"NOTE"}};
  table.rows = {{{"a-long-name"}, {"12345"}, {"7/s"}, {"over quota"}}};
  EXPECT_EQ(RenderTable(table, {.max_width = 24}),
            "NAME         TOTAL  RATE\n"
            "a-long-name  12345   7/s\n");
  EXPECT_EQ(RenderTable(table, {.max_width = 20}),
            "NAME         RATE  >\n"
            "a-long-name   7/s  >\n");
  EXPECT_EQ(RenderTable(table, {.max_width = 14}),
            "NAME      RATE\n"
            "a-long->   7/s\n");
}

TEST(RenderTableTest, WrapsTheLastColumnWhereThatIsAsked) {
  Table table;
  table.headings = {{"NAME"}, {"DETAIL"}};
  table.rows = {{{"abcd"}, {"what there is to tell of it"}},
                {{"e"}, {"short"}}};
  EXPECT_EQ(RenderTable(table, {.max_width = 26, .wrap = true}),
            "NAME  DETAIL\n"
            "abcd  what there is to\n"
            "      tell of it\n"
            "e     short\n");
  // Too narrow for that: below the others.
  EXPECT_EQ(RenderTable(table, {.max_width = 16, .wrap = true}),
            "NAME  DETAIL\n"
            "abcd\n"
            "    what there\n"
            "    is to tell\n"
            "    of it\n"
            "e     short\n");
  // And too narrow for anything: it is cut.
  EXPECT_EQ(RenderTable(table, {.max_width = 8, .wrap = true}),
            "NAME  D>\nabcd  w>\ne     s>\n");
}

TEST(RenderTableTest, ColoursOnlyWhenAsked) {
  Table table;
  table.headings = {{"A"}};
  table.rows = {{{"bad", Style::kWarning}}};
  EXPECT_EQ(RenderTable(table, {.color = false}), "A\nbad\n");
  EXPECT_EQ(RenderTable(table, {.color = true}),
            "\x1b[1mA\x1b[0m\n\x1b[1;31mbad\x1b[0m\n");
}

TEST(MessageToJsonTest, ShowsZeroesButNotTheFortyFieldsOfAMatch) {
  const auto rule = Parse<v1::GetRuleResponse>(
      R"({"rule":{"id":"a","match":{"protocol":"tcp","mark":{"value":0}}}})");
  EXPECT_EQ(MessageToJson(rule, JsonLayout::kOneLine),
            R"({"rule":{"id":"a","family":"FAMILY_UNSPECIFIED","table":"",)"
            R"("chain":"","match":{"sourcePorts":[],"destinationPorts":[],)"
            R"("conntrackStates":[],"mark":{"value":0},)"
            R"("sourceAddressTypes":[],"destinationAddressTypes":[],)"
            R"("protocol":"tcp"},)"
            R"("counter":"","verdict":"VERDICT_UNSPECIFIED","packets":"0",)"
            R"("bytes":"0","managed":false,"spec":"","target":"",)"
            R"("position":0,"otherMatches":[],)"
            R"("countingForm":"COUNTING_FORM_UNSPECIFIED"}})");
}

TEST(MessageToJsonTest, ProtobufReadsItBack) {
  v1::ListCountersResponse response;
  *response.mutable_counters() = CountersToShow();
  (*response.mutable_counters(0)->mutable_labels())["odd"] =
      "\"\\\n\t\x01 ü \x7f";
  response.set_total_size(3);
  for (JsonLayout layout : {JsonLayout::kLines, JsonLayout::kOneLine}) {
    const auto back =
        Parse<v1::ListCountersResponse>(MessageToJson(response, layout));
    EXPECT_TRUE(
        google::protobuf::util::MessageDifferencer::Equals(response, back));
  }
  EXPECT_THAT(MessageToJson(response, JsonLayout::kOneLine),
              ::testing::Not(::testing::HasSubstr("\n")));
}

TEST(MessageToJsonTest, IsIndentedForReading) {
  EXPECT_EQ(MessageToJson(Parse<v1::BatchResetCountersResponse>(
                              R"({"counters":[{"name":"a"}]})"),
                          JsonLayout::kLines),
            R"({
 "counters": [
  {
   "name": "a",
   "packets": "0",
   "bytes": "0",
   "useCount": 0,
   "etag": "",
   "labels": {},
   "totalPackets": "0",
   "totalBytes": "0",
   "managed": false,
   "description": "",
   "kernelName": ""
  }
 ],
 "failures": []
}
)");
}

TEST(MessageToYamlTest, IsBlockStyleWithPlainNumbers) {
  EXPECT_EQ(MessageToYaml(Parse<v1::ListCountersResponse>(
                R"({"counters":[{"name":"a","packets":"18446744073709551615",
                    "readTime":"2026-11-23T14:00:00Z",
                    "quota":{"bytes":"5"},
                    "labels":{"k":"true","n":"12"}},{"name":"1:2"}]})")),
            R"(counters:
  - name: a
    packets: 18446744073709551615
    bytes: 0
    quota:
      exceeded: false
      bytes: 5
    useCount: 0
    etag: ""
    labels:
      k: "true"
      "n": "12"
    totalPackets: 0
    totalBytes: 0
    managed: false
    description: ""
    kernelName: ""
    readTime: "2026-11-23T14:00:00Z"
  - name: "1:2"
    packets: 0
    bytes: 0
    useCount: 0
    etag: ""
    labels: {}
    totalPackets: 0
    totalBytes: 0
    managed: false
    description: ""
    kernelName: ""
nextPageToken: ""
totalSize: 0
)");
}

TEST(MessageToYamlTest, SaysOneFactAsJsonDoes) {
  EXPECT_EQ(MessageToYaml(Fact("status", "SERVING")), "status: SERVING\n");
  EXPECT_EQ(MessageToYaml(Fact("version", "0.1")), "version: \"0.1\"\n");
}

TEST(ErrorTextTest, IsOneSentenceAndAHint) {
  EXPECT_EQ(ErrorText(absl::NotFoundError("no counter 'x'"), false),
            "nfmeter: no counter 'x'\n");
  // What the sentence says already is not said again.
  EXPECT_EQ(ErrorText(UsageError("see 'nfmeter x list' for those that exist",
                                 "'nfmeter x list' shows them"),
                      false),
            "nfmeter: see 'nfmeter x list' for those that exist\n");
  EXPECT_EQ(ErrorText(UsageError("wrong", "try this"), false),
            "nfmeter: wrong\nhint: try this\n");
  EXPECT_EQ(ErrorText(absl::Status(absl::StatusCode::kInternal, ""), false),
            "nfmeter: the server answered INTERNAL and gave no reason\n");
  EXPECT_EQ(ErrorText(absl::NotFoundError("\x1b[2J"), false),
            "nfmeter: \\x1b[2J\n");
}

TEST(ExitCodeTest, FollowsTheClassOfTheGrpcCode) {
  using absl::StatusCode;
  const std::pair<StatusCode, int> codes[] = {
      {StatusCode::kOk, 0},
      {StatusCode::kCancelled, 1},
      {StatusCode::kUnknown, 1},
      {StatusCode::kInternal, 1},
      {StatusCode::kDataLoss, 1},
      {StatusCode::kInvalidArgument, 2},
      {StatusCode::kOutOfRange, 2},
      {StatusCode::kNotFound, 3},
      {StatusCode::kAlreadyExists, 4},
      {StatusCode::kFailedPrecondition, 4},
      {StatusCode::kAborted, 4},
      {StatusCode::kPermissionDenied, 5},
      {StatusCode::kUnauthenticated, 5},
      {StatusCode::kUnavailable, 6},
      {StatusCode::kDeadlineExceeded, 6},
      {StatusCode::kResourceExhausted, 7},
      {StatusCode::kUnimplemented, 8},
  };
  for (const auto& [code, exit_code] : codes) {
    EXPECT_EQ(ExitCodeOf(absl::Status(code, "x")), exit_code)
        << absl::StatusCodeToString(code);
  }
}

}  // namespace
}  // namespace nfmeter::cli
