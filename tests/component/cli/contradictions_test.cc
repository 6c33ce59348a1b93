// SPDX-License-Identifier: GPL-3.0-or-later
// Flags that say two things at once are refused, and the error names both.
#include "absl/strings/str_join.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using ContradictionsTest = CliTest;

TEST_F(ContradictionsTest, AreRefusedByTheNamesOfTheFlags) {
  struct Pair {
    std::vector<std::string> words;
    std::string one;
    std::string other;
  };
  const std::string file = folder_ / "file";
  const std::vector<Pair> pairs = {
      {{"counter", "update", "a", "--label", "k=v", "--remove-label", "k"},
       "--label",
       "--remove-label"},
      {{"counter", "update", "a", "--description", "", "--label", "k=v"},
       "--description",
       "--no-description"},
      {{"counter", "update", "a", "--no-quota", "--quota-bytes", "1GB"},
       "--no-quota",
       "--quota-bytes"},
      {{"counter", "list", "-l", "k=v", "-l", "k!=v"}, "--label", "'k=v'"},
      {{"counter", "create", "a", "--from", file}, "names", "--from"},
      {{"rule", "add", "-c", "a", "--chain", "INPUT", "--unconditional"},
       "--unconditional",
       "--verdict"},
      {{"rule", "add", "--from", file, "--unconditional"},
       "--from",
       "flags that describe a rule"},
      {{"flow", "top", "--by", "src/24,src/16"}, "--by", "'src'"},
      {{"usage", "collect", "-c", "x", "--to", file, "--state", file},
       "--to",
       "--state"},
      {{"watch", "-o", "json", "--limit", "3"}, "--limit", "-o json"},
      {{"top", "-o", "yaml", "--sort", "name"}, "--sort", "yaml"},
      {{"context", "add", "b", "--group", "a", "--server", "unix:/x"},
       "--group",
       "--server"},
      {{"counter", "list", "--server", "gw:1", "--cert", file},
       "--cert",
       "--key"},
  };
  for (const Pair& pair : pairs) {
    const RunResult result = Nfmeter(pair.words);
    EXPECT_EQ(result.exit_code, 2) << absl::StrJoin(pair.words, " ");
    EXPECT_THAT(result.err, AllOf(HasSubstr(pair.one), HasSubstr(pair.other)));
  }
}

// It would be critical before it warned, or at the same moment.
TEST_F(ContradictionsTest, AWarningThatNeverComesIsUnknown) {
  for (const char* warn : {"10GiB", "20GiB"}) {
    const RunResult result =
        Nfmeter({"check", "web", "--limit", "10GiB", "--warn", warn});
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_THAT(result.out, AllOf(StartsWith("NFMETER UNKNOWN - --warn "),
                                  HasSubstr("--limit 10GiB")));
  }
}

TEST_F(ContradictionsTest, ANumberOfFlowsMayBeLarge) {
  v1::SummarizeFlowsRequest asked;
  server_.flows.on_SummarizeFlows = [&](const auto& request, auto*) {
    asked = request;
    return grpc::Status::OK;
  };
  EXPECT_EQ(Nfmeter({"flow", "top", "--limit", "4294967297"}).exit_code, 0);
  EXPECT_EQ(asked.limit(), UINT32_MAX);
  EXPECT_EQ(Nfmeter({"flow", "top", "--limit", "0"}).exit_code, 0);
  EXPECT_EQ(asked.limit(), UINT32_MAX);
  server_.flows.on_ListFlows = [](auto&, const auto&, auto& writer) {
    v1::ListFlowsResponse last;
    for (uint32_t id : {1, 2, 3}) last.add_flows()->set_id(id);
    last.mutable_reading();
    writer.Write(last);
    return grpc::Status::OK;
  };
  const auto listed = [&](const std::string& limit) {
    return Nfmeter({"flow", "list", "-o", "name", "--limit", limit}).out;
  };
  EXPECT_EQ(listed("2"), "1\n2\n");
  EXPECT_EQ(listed("3000000000"), "1\n2\n3\n");
}

}  // namespace
}  // namespace nfmeter::testing
