#include "cli/input.h"

#include <cerrno>
#include <ios>
#include <sstream>
#include <streambuf>
#include <utility>

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
