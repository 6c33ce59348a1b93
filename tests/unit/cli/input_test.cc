// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/input.h"

#include <cerrno>
#include <ios>
#include <map>
#include <sstream>
#include <streambuf>
#include <utility>

#include "cli/api_words.h"
#include "cli/message_text.h"
#include "cli/views.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::cli {
namespace {

using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ExpandNamesTest, ReadsLinesWhereTheDashStands) {
  std::istringstream in("b\n\n#1\n  c  \r\nd");
  EXPECT_THAT(ExpandNames({"a", "-", "e"}, in),
              IsOkAndHolds(ElementsAre("a", "b", "#1", "c", "d", "e")));
}

TEST(ExpandNamesTest, RefusesTwoDashes) {
  std::istringstream in("b");
  EXPECT_THAT(ExpandNames({"-", "-"}, in),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// What standard input is when it is a folder.
class BrokenBuffer : public std::streambuf {
 protected:
  int_type underflow() override {
    if (std::exchange(read_, true)) {
      errno = EISDIR;
      throw std::ios_base::failure("underflow error reading the file");
    }
    setg(text_, text_, text_ + 2);
    return *text_;
  }

 private:
  bool read_ = false;
  char text_[2] = {'a', '\n'};
};

TEST(ExpandNamesTest, AnInputThatBreaksOffIsAnErrorAndNotAShorterList) {
  BrokenBuffer buffer;
  std::istream in(&buffer);
  EXPECT_THAT(ExpandNames({"-"}, in).status().message(),
              HasSubstr("can't read standard input"));
}

TEST(ReadSourceTest, SaysWhichFileItCouldNotRead) {
  std::istringstream in("text");
  EXPECT_THAT(ReadSource("-", in), IsOkAndHolds("text"));
  EXPECT_THAT(ReadSource("/nowhere/x.json", in),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/nowhere/x.json")));
  const nfmeter::testing::TemporaryDirectory folder;
  EXPECT_THAT(ReadSource(folder.path(), in), ::testing::Not(IsOk()));
}

std::vector<std::string> Names(
    const absl::StatusOr<v1::BatchCreateCountersRequest>& request) {
  std::vector<std::string> names;
  if (!request.ok()) return {request.status().ToString()};
  for (const auto& counter : request->counters()) {
    names.push_back(counter.name());
  }
  return names;
}

TEST(ParseCountersTest, TakesLinesOrThreeFormsOfJson) {
  EXPECT_THAT(Names(ParseCounters("a\n#x\nb\n", "f")), ElementsAre("a", "b"));
  EXPECT_THAT(Names(ParseCounters(R"( [{"name":"a"},{"name":"b"}] )", "f")),
              ElementsAre("a", "b"));
  EXPECT_THAT(Names(ParseCounters(R"({"counters":[{"name":"a"}]})", "f")),
              ElementsAre("a"));
  EXPECT_THAT(Names(ParseCounters(R"({"name":"a"})", "f")), ElementsAre("a"));
  EXPECT_THAT(Names(ParseCounters("", "f")), ElementsAre());
}

TEST(ParseCountersTest, TakesBackWhatListPrints) {
  const auto request = ParseCounters(
      R"({"counters":[{"name":"a","packets":"18446744073709551615",
          "quota":{"bytes":"7"},"labels":{"k":"v"}}],
          "nextPageToken":"","totalSize":1})",
      "f");
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(request->counters(0).packets(), 18446744073709551615u);
  EXPECT_EQ(request->counters(0).quota().bytes(), 7u);
  EXPECT_EQ(request->counters(0).labels().at("k"), "v");
}

TEST(ParseCountersTest, TakesBackWhatGetPrints) {
  const auto request = ParseCounters(
      R"({"counter":{"name":"a","packets":"18446744073709551615",
          "readTime":"2026-11-24T00:00:00.000000001Z"}})",
      "f");
  ASSERT_THAT(request, IsOk());
  ASSERT_EQ(request->counters_size(), 1);
  EXPECT_EQ(request->counters(0).name(), "a");
  EXPECT_EQ(request->counters(0).packets(), 18446744073709551615u);
  const auto rules =
      ParseRules(R"({"rule":{"chain":"INPUT","counter":"a"}})", "f");
  ASSERT_THAT(rules, IsOk());
  ASSERT_EQ(rules->rules_size(), 1);
  EXPECT_EQ(rules->rules(0).counter(), "a");
}

// Counters and rules with all that the command prints of them.
v1::ListCountersResponse SomeCounters() {
  v1::ListCountersResponse list;
  v1::Counter& a = *list.add_counters();
  a.set_name("ns:a/b");
  a.set_packets(18446744073709551615u);
  a.set_bytes(7);
  a.mutable_quota()->set_packets(10);
  a.mutable_quota()->set_exceeded(true);
  a.set_use_count(3);
  a.set_managed(true);
  (*a.mutable_labels())["k"] = "x, \"y\"=z\\x41\n\xc3\xa9";
  a.set_description("the \"shop\",\n\\x41 and \xc3\xa9");
  (*a.mutable_labels())["n"] = "12";
  (*a.mutable_labels())["t"] = "true";
  list.add_counters()->set_name("1e3");
  list.mutable_counters(1)->mutable_quota()->set_bytes(5);
  list.set_total_size(2);
  return list;
}

v1::ListRulesResponse SomeRules() {
  v1::ListRulesResponse list;
  v1::Rule& rule = *list.add_rules();
  rule.set_id("web-in");
  rule.set_family(v1::FAMILY_IPV6);
  rule.set_table("mangle");
  rule.set_chain("FORWARD");
  rule.set_counter("ns:a/b");
  rule.set_verdict(v1::VERDICT_RETURN);
  rule.set_managed(true);
  rule.set_packets(4);
  v1::RuleMatch& match = *rule.mutable_match();
  match.set_protocol("tcp");
  match.set_not_protocol(true);
  match.set_source("fd00::/8");
  match.add_destination_ports()->set_first(80);
  match.mutable_destination_ports(0)->set_last(90);
  match.set_not_destination_ports(true);
  match.set_cgroup_path("a b/dev-\\x2d.slice");
  match.mutable_mark()->set_value(0);
  match.mutable_ip_set()->set_name("vips");
  match.mutable_ip_set()->add_directions(v1::IP_SET_DIRECTION_SOURCE);
  match.set_not_ip_set(true);
  match.set_comment("a \"note\", mine");
  list.add_rules()->set_chain("INPUT");
  list.mutable_rules(1)->set_managed(true);
  list.mutable_rules(1)->set_counter("b");
  list.mutable_rules(1)->set_verdict(v1::VERDICT_CONTINUE);
  return list;
}

TEST(RoundTripTest, CountersComeBackFromEveryFormat) {
  const v1::ListCountersResponse list = SomeCounters();
  for (const std::string& text :
       {MessageToJson(list, JsonLayout::kLines), MessageToYaml(list),
        RenderCsv(CounterTable(list.counters(), Layout::kCsv))}) {
    const auto request = ParseCounters(text, "f");
    ASSERT_THAT(request, IsOk()) << text;
    ASSERT_EQ(request->counters_size(), 2) << text;
    for (int i = 0; i < 2; ++i) {
      const v1::Counter& was = list.counters(i);
      const v1::Counter& is = request->counters(i);
      EXPECT_EQ(is.name(), was.name()) << text;
      EXPECT_EQ(is.packets(), was.packets()) << text;
      EXPECT_EQ(is.bytes(), was.bytes()) << text;
      EXPECT_EQ(is.quota().packets(), was.quota().packets()) << text;
      EXPECT_EQ(is.quota().bytes(), was.quota().bytes()) << text;
      const std::map<std::string, std::string> labels(was.labels().begin(),
                                                      was.labels().end());
      EXPECT_EQ((std::map<std::string, std::string>(is.labels().begin(),
                                                    is.labels().end())),
                labels)
          << text;
    }
  }
}

TEST(RoundTripTest, RulesComeBackFromEveryFormat) {
  const v1::ListRulesResponse list = SomeRules();
  for (const std::string& text :
       {MessageToJson(list, JsonLayout::kLines), MessageToYaml(list),
        RenderCsv(RuleTable(list.rules(), Layout::kCsv))}) {
    const auto request = ParseRules(text, "f");
    ASSERT_THAT(request, IsOk()) << text;
    ASSERT_EQ(request->rules_size(), 2) << text;
    for (int i = 0; i < 2; ++i) {
      const v1::Rule& was = list.rules(i);
      const v1::Rule& is = request->rules(i);
      EXPECT_EQ(is.id(), was.id()) << text;
      EXPECT_EQ(is.family(), was.family()) << text;
      EXPECT_EQ(is.table(), was.table()) << text;
      EXPECT_EQ(is.chain(), was.chain()) << text;
      EXPECT_EQ(is.counter(), was.counter()) << text;
      EXPECT_EQ(is.verdict(), was.verdict()) << text;
      EXPECT_EQ(is.match().SerializeAsString(), was.match().SerializeAsString())
          << text << is.match().DebugString();
    }
  }
}

TEST(ParseCountersTest, SaysWhichLineOfTheCsvIsWrong) {
  EXPECT_THAT(ParseCounters("name,packets\na,1\nb,many\n", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("line 3"), HasSubstr("'many'"))));
  EXPECT_THAT(ParseCounters("name,packets\na\n", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("it has 1 fields, the first line 2")));
}

TEST(ParseRulesTest, RulesOfOthersAreNotTakenFromCsv) {
  EXPECT_THAT(ParseRules("id,chain,managed\n~1,INPUT,false\n", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("others made the rule ~1")));
  EXPECT_THAT(ParseRules("id,chain,match\na,INPUT,tcp [recent]\n", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("'[recent]' is no match of nfmeter's")));
}

TEST(FlagOfFieldTest, NamesWhatWasTyped) {
  const std::pair<const char*, const char*> cases[] = {
      {"name", "NAME"},
      {"names[2]", "item 3"},
      {"counter.name", "NAME"},
      {"counters[3].quota.bytes", "item 4, --quota-bytes"},
      {"counter.labels['a']", "--label"},
      {"filter.name_glob", "GLOB"},
      {"filter.counter_glob", "--counter"},
      {"rule.counter", "--counter"},
      {"rule.id", "--id"},
      {"id", "ID"},
      {"rule.match.source", "--src"},
      {"rule.match.source_ports[0].first", "--sport"},
      {"rules[0].match.not_ip_set", "item 1, --not-match-set"},
      {"page_token", "page_token"},
      {"filter.source", "--src"},
      {"filter.destination_ports[0].first", "--dport"},
      {"filter.tcp_states[1]", "--state"},
      {"grouping.source.ipv4", "--by"},
      {"start.consumer", "--consumer"},
      {"group_by_labels", "--group-by"},
  };
  for (const auto& [field, flag] : cases) {
    EXPECT_EQ(FlagOfField(field), flag) << field;
  }
}

TEST(InCommandWordsTest, FieldsOfFiltersAreFlags) {
  EXPECT_EQ(InCommandWords("is IPv6, and filter.ip_version is IPv4: no flow"),
            "is IPv6, and --ipv4 or --ipv6 is IPv4: no flow");
  EXPECT_EQ(InCommandWords("a filter. It"), "a filter. It");
}

TEST(ParseRulesTest, NamesTheFileAndTheField) {
  EXPECT_THAT(ParseRules(R"([{"chain":"INPUT","colour":"red"}])", "r.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("r.json"), HasSubstr("colour"))));
  EXPECT_THAT(
      ParseRules(R"([{"chain")", "r.json"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("r.json")));
  EXPECT_THAT(ParseRules("7", "r.json"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither an array nor an object")));
  EXPECT_THAT(ParseRules("INPUT", "r.json"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseRules("", "r.json"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ParseRulesTest, TakesAnArrayOfRules) {
  const auto request = ParseRules(
      R"([{"chain":"INPUT","counter":"a","match":{"protocol":"tcp"}},
          {"chain":"OUTPUT","counter":"a"}])",
      "r.json");
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(request->rules_size(), 2);
  EXPECT_EQ(request->rules(0).match().protocol(), "tcp");
}

}  // namespace
}  // namespace nfmeter::cli
