// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter apply, diff and plan, with the server on the real kernel.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::RunResult;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

constexpr char kGuests[] = R"(name: guests
accounts:
  - counter: guest
    description: the guests' network
    match: {source: 198.51.100.0/24}
    quota: {bytes: 1000000, over: drop}
)";

class PlanCommandTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(server_.WaitUntilReady()); }

  RunResult Nfmeter(std::vector<std::string> words,
                    const std::string& input = "") {
    words.insert(words.begin(),
                 {NFMETER_PROGRAM, "--server", server_.target()});
    return testing::Run(words, input);
  }
  // The last column of `plan list`.
  std::string Etag() {
    const std::string list = Nfmeter({"plan", "list", "--no-headers"}).out;
    const size_t end = list.find_last_not_of(" \n") + 1;
    return list.substr(list.rfind(' ', end - 1) + 1,
                       end - list.rfind(' ', end - 1) - 1);
  }

  NfmeterdProcess server_;
};

TEST_F(PlanCommandTest, DiffShowsEachAccountAndAppliedItShowsNothing) {
  RunResult diff = Nfmeter({"diff", "-f", "-"}, kGuests);
  EXPECT_EQ(diff.exit_code, 1) << diff.err;
  EXPECT_THAT(diff.out, HasSubstr("+ guest\n"));
  ASSERT_EQ(Nfmeter({"apply", "-f", "-"}, kGuests).exit_code, 0);
  diff = Nfmeter({"diff", "-f", "-"}, kGuests);
  EXPECT_EQ(diff.exit_code, 0) << diff.err;
  EXPECT_THAT(diff.out, IsEmpty());

  const std::string more = absl::StrReplaceAll(
      kGuests, {{"1000000", "2000000"}, {"guests' network", "guests"}});
  diff = Nfmeter({"diff", "-f", "-"}, more);
  EXPECT_EQ(diff.exit_code, 1) << diff.err;
  EXPECT_EQ(diff.out, "~ guest description quota\n");
  ASSERT_EQ(Nfmeter({"apply", "-f", "-"}, more).exit_code, 0);
  EXPECT_EQ(Nfmeter({"diff", "-f", "-"}, more).exit_code, 0);
  EXPECT_THAT(Nfmeter({"counter", "get", "guest", "-o", "json"}).out,
              AllOf(HasSubstr("2000000"), HasSubstr("the guests")));
}

TEST_F(PlanCommandTest, AnEtagOfBeforeIsRefusedAndTheOneOfNowIsTaken) {
  ASSERT_EQ(Nfmeter({"apply", "-f", "-"}, kGuests).exit_code, 0);
  const std::string etag = Etag();
  const std::string more =
      absl::StrReplaceAll(kGuests, {{"1000000", "2000000"}});
  ASSERT_EQ(Nfmeter({"apply", "-f", "-", "--etag", etag}, more).exit_code, 0);
  const RunResult late = Nfmeter({"apply", "-f", "-", "--etag", etag}, kGuests);
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err, HasSubstr("'nfmeter plan list' shows the etag now"));
  EXPECT_EQ(Nfmeter({"diff", "-f", "-"}, more).exit_code, 0);
  EXPECT_EQ(Nfmeter({"plan", "delete", "guests", "--etag", etag}).exit_code, 4);
  EXPECT_EQ(Nfmeter({"plan", "delete", "guests", "--etag", Etag()}).exit_code,
            0);
}

TEST_F(PlanCommandTest, WhatSentencesSayIsATableForPrograms) {
  ASSERT_EQ(Nfmeter({"apply", "-f", "-"}, kGuests).exit_code, 0);
  EXPECT_THAT(Nfmeter({"plan", "explain", "guests", "-o", "csv"}).out,
              MatchesRegex("plan,counters,rules,chains,mean_rules_met,"
                           "max_rules_met\nguests,1,[0-9]+,[0-9]+,.*\n"));
  EXPECT_EQ(
      Nfmeter({"plan", "get", "guests", "-o", "custom-columns=N:.name"}).out,
      "N\nguests\n");
  const RunResult rows = Nfmeter({"plan", "get", "guests", "-o", "csv"});
  EXPECT_EQ(rows.exit_code, 2);
  EXPECT_THAT(rows.err, HasSubstr("-o csv: a plan is no table"));
  ASSERT_EQ(Nfmeter({"counter", "create", "other"}).exit_code, 0);
  EXPECT_EQ(Nfmeter({"cleanup", "--dry-run", "-o", "csv"}).out,
            "kind,removed\nplan,guests\ncounter,guest\ncounter,other\n");
  EXPECT_THAT(Nfmeter({"cleanup", "--dry-run", "-o", "json"}).out,
              HasSubstr("\"deletedCounters\": \"2\""));
  EXPECT_THAT(Nfmeter({"plan", "delete", "guests", "-o", "csv"}).out,
              MatchesRegex("plan,deleted_counters,deleted_rules\n"
                           "guests,1,[0-9]+\n"));
}

TEST_F(PlanCommandTest, TheLogHasALineForEachApplication) {
  ASSERT_EQ(Nfmeter({"apply", "-f", "-"}, kGuests).exit_code, 0);
  const std::string less = "name: guests\naccounts: [{counter: all}]\n";
  ASSERT_EQ(Nfmeter({"apply", "-f", "-", "--prune"}, less).exit_code, 0);
  ASSERT_EQ(Nfmeter({"apply", "-f", "-", "--prune"}, less).exit_code, 0);
  const std::string log = server_.Log();
  size_t lines = 0;
  for (size_t at = log.find("plan in force"); at != std::string::npos;
       at = log.find("plan in force", at + 1)) {
    ++lines;
  }
  EXPECT_EQ(lines, 3u) << log;
}

TEST_F(PlanCommandTest, WhatIsWrongIsToldWithItsLineAndColumn) {
  const RunResult wrong =
      Nfmeter({"apply", "-f", "-"},
              "name: guests\naccounts:\n  - counter: guest\n    kwota: 3\n");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("standard input:4:5: "));
}

// On a terminal.
TEST_F(PlanCommandTest, ALargePlanShowsHowFarItIs) {
  const testing::TemporaryDirectory dir;
  const std::string path = dir / "large.yaml";
  std::ofstream plan(path);
  plan << "name: large\ngroups:\n  - key: destination\n    members:\n";
  for (int i = 0; i < 20'000; ++i) {
    plan << "      10.0." << i / 250 << "." << i % 250 << ": c" << i << "\n";
  }
  plan.close();
  const RunResult applied = testing::Run(
      {"env", "TERM=xterm", "script", "-qec",
       absl::StrCat(NFMETER_PROGRAM, " --server ", server_.target(),
                    " apply --timeout 2m -f ", path),
       "/dev/null"});
  EXPECT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_THAT(applied.out, HasSubstr("Applying plan large: "));
  EXPECT_THAT(applied.out, HasSubstr(" of "));
}

}  // namespace
}  // namespace nfmeter
