// SPDX-License-Identifier: GPL-3.0-or-later
// The recipes of docs/usage.md do what they say: each runs as it stands there,
// one after the other, against a real server.
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

struct Recipe {
  int line = 0;  // where it begins
  std::string script;
};

// The blocks that are marked as shell.
std::vector<Recipe> Recipes(const std::string& path) {
  std::vector<Recipe> recipes;
  std::ifstream file(path);
  bool inside = false;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line == "```sh") {
      inside = true;
      recipes.push_back({number, ""});
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      absl::StrAppend(&recipes.back().script, line, "\n");
    }
  }
  return recipes;
}

TEST(UsageRecipesTest, EachRunsAsItStandsInTheManual) {
  testing::NfmeterdProcess server;
  ASSERT_OK(server.WaitUntilReady());
  testing::TemporaryDirectory folder;
  const std::vector<Recipe> recipes =
      Recipes(NFMETER_SOURCE_ROOT "/docs/usage.md");
  EXPECT_GT(recipes.size(), 4u);
  for (const Recipe& recipe : recipes) {
    const testing::RunResult run = testing::Run(
        {"env", "-C", folder.path(), "NFMETER_SERVER=" + server.target(),
         "bash", "-euo", "pipefail", "-c",
         "nfmeter() { " NFMETER " \"$@\"; }\n" + recipe.script});
    EXPECT_EQ(run.exit_code, 0)
        << "docs/usage.md, line " << recipe.line << ":\n"
        << recipe.script << run.err;
  }
  // What they leave behind.
  std::ifstream lines(folder / "usage.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_THAT(line, ::testing::HasSubstr("usage-web"));
}

}  // namespace
}  // namespace nfmeter
