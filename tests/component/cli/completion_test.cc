// SPDX-License-Identifier: GPL-3.0-or-later
// Completion, in the shells themselves.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/component/cli/cli_fixture.h"

namespace nfmeter::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class CompletionTest : public CliTest {
 protected:
  CompletionTest() {
    testing::Run({"ln", "-s", NFMETER, folder_ / "nfmeter"});
    for (const char* shell : {"bash", "zsh", "fish"}) {
      std::ofstream(folder_ / shell)
          << testing::Run({NFMETER, "completion", shell}).out;
    }
    server_.counters.on_ListCounters = [](const auto&, auto* response) {
      for (const char* name : {"http-traffic", "http*", "https", "ns:a/b"}) {
        response->add_counters()->set_name(name);
      }
      return grpc::Status::OK;
    };
    server_.rules.on_ListRules = [this](const auto& request, auto* response) {
      managed_only_ = request.filter().managed_only();
      for (const char* id : {"web-in", "web-out"}) {
        response->add_rules()->set_id(id);
      }
      return grpc::Status::OK;
    };
    server_.plans.on_ListPlans = [](const auto&, auto* response) {
      response->add_plans()->set_name("customers");
      return grpc::Status::OK;
    };
    server_.usage.on_ListConsumers = [](const auto&, auto* response) {
      response->add_consumers()->set_name("billing");
      return grpc::Status::OK;
    };
  }

  static bool Has(const char* shell) {
    return testing::Run({shell, "-c", "exit 0"}).exit_code == 0;
  }

  std::vector<std::string> Lines(const RunResult& result) {
    EXPECT_EQ(result.err, "");
    std::vector<std::string> lines =
        absl::StrSplit(result.out, '\n', absl::SkipEmpty());
    return lines;
  }

  // What bash would offer for this line, cursor at its end.
  std::vector<std::string> Bash(const std::string& line) {
    return Lines(
        testing::Run({"bash", "--norc", "-c",
                      absl::StrCat("source ", folder_ / "bash",
                                   "; COMP_LINE=$1; COMP_POINT=${#1}; "
                                   "COMP_WORDS=(",
                                   folder_ / "nfmeter",
                                   "); _nfmeter; "
                                   "printf '%s\\n' \"${COMPREPLY[@]}\""),
                      "bash", line}));
  }

  // The same of zsh; compadd works inside its line editor only, so that it is
  // replaced by one that prints what the script hands over.
  std::vector<std::string> Zsh(const std::string& line) {
    return Lines(testing::Run(
        {"zsh", "-f", "-c",
         absl::StrCat(
             "compdef() { }; compset() { }; _files() { print FILES }; source ",
             folder_ / "zsh",
             "; compadd() { print -rl -- $reply }; "
             "words=(\"${(@s: :)1}\"); words[1]=",
             folder_ / "nfmeter", "; CURRENT=$#words; _nfmeter"),
         "zsh", line}));
  }

  // fish completes by itself; the text behind the tab explains.
  std::vector<std::string> Fish(const std::string& line) {
    std::vector<std::string> words;
    for (const std::string& text :
         Lines(testing::Run({"env", "HOME=" + folder_.path(),
                             "PATH=" + folder_.path() + ":/usr/bin:/bin",
                             "fish", "--no-config", "-c",
                             absl::StrCat("source ", folder_ / "fish",
                                          "; complete -C $argv[1]"),
                             line}))) {
      words.emplace_back(text.substr(0, text.find('\t')));
    }
    return words;
  }

  bool managed_only_ = false;
};

TEST_F(CompletionTest, BashOffersCommands) {
  EXPECT_THAT(Bash("nfmeter "),
              IsSupersetOf({"counter", "rule", "apply", "plan", "usage",
                            "watch", "flow", "node", "context", "completion"}));
  EXPECT_THAT(Bash("nfmeter coun"), ElementsAre("counter"));
  EXPECT_THAT(Bash("nfmeter counter "),
              UnorderedElementsAre("create", "get", "list", "update", "reset",
                                   "delete"));
  EXPECT_THAT(Bash("nfmeter -o json counter cr"), ElementsAre("create"));
  EXPECT_THAT(Bash("nfmeter completion "),
              UnorderedElementsAre("bash", "zsh", "fish"));
}

TEST_F(CompletionTest, BashOffersFlagsAndTheirValues) {
  EXPECT_THAT(
      Bash("nfmeter rule add --not-s"),
      UnorderedElementsAre("--not-src", "--not-sport", "--not-src-type"));
  EXPECT_THAT(Bash("nfmeter watch --"),
              AllOf(Contains("--interval"), Contains("--server"),
                    Not(Contains("--sport"))));
  EXPECT_THAT(Bash("nfmeter counter list -o "),
              UnorderedElementsAre("table", "wide", "json", "yaml", "csv",
                                   "name", "custom-columns="));
  EXPECT_THAT(Bash("nfmeter counter list --output=j"), ElementsAre("json"));
  EXPECT_THAT(Bash("nfmeter rule add --table m"), ElementsAre("mangle"));
  EXPECT_THAT(Bash("nfmeter rule add --verdict "),
              UnorderedElementsAre("continue", "accept", "drop", "return"));
  EXPECT_THAT(Bash("nfmeter counter create --quota-bytes "), IsEmpty());
}

TEST_F(CompletionTest, BashAsksTheServerOfTheLineForNames) {
  EXPECT_THAT(
      Bash("nfmeter --server " + server_.address() + " counter reset http"),
      ElementsAre("http-traffic", "https"));
  EXPECT_THAT(Bash("nfmeter --server " + server_.address() +
                   " counter get http-traffic htt"),
              ElementsAre("http-traffic", "https"));
  const std::string line = "nfmeter --server=" + server_.address();
  EXPECT_THAT(Bash(line + " rule delete web-i"), ElementsAre("web-in"));
  EXPECT_TRUE(managed_only_);
  EXPECT_THAT(Bash(line + " rule add --counter https"), ElementsAre("https"));
  EXPECT_THAT(Bash(line + " plan status cust"), ElementsAre("customers"));
  EXPECT_THAT(Bash(line + " usage delete-consumer b"), ElementsAre("billing"));
  // Nobody answers there.
  EXPECT_THAT(Bash("nfmeter --server unix:/none rule delete web-i"), IsEmpty());
  // Bash itself replaces only what follows the colon.
  EXPECT_THAT(Bash(line + " counter get ns:"), ElementsAre("a/b"));
}

TEST_F(CompletionTest, BashOffersFiles) {
  std::ofstream(folder_ / "rules.json") << "[]";
  EXPECT_THAT(Bash("nfmeter rule add --from " + folder_ / "rules"),
              ElementsAre(folder_ / "rules.json"));
}

TEST_F(CompletionTest, BashIsRegisteredForTheCommand) {
  EXPECT_EQ(testing::Run({"bash", "--norc", "-c",
                          absl::StrCat("source ", folder_ / "bash",
                                       "; complete -p nfmeter")})
                .out,
            "complete -F _nfmeter nfmeter\n");
}

TEST_F(CompletionTest, ZshOffersTheSame) {
  if (!Has("zsh")) GTEST_SKIP() << "zsh is not installed";
  EXPECT_EQ(testing::Run({"zsh", "-n", folder_ / "zsh"}).err, "");
  EXPECT_THAT(Zsh("nfmeter coun"), ElementsAre("counter"));
  EXPECT_THAT(Zsh("nfmeter counter "),
              UnorderedElementsAre("create", "get", "list", "update", "reset",
                                   "delete"));
  EXPECT_THAT(
      Zsh("nfmeter rule add --not-s"),
      UnorderedElementsAre("--not-src", "--not-sport", "--not-src-type"));
  EXPECT_THAT(Zsh("nfmeter rule add --table m"), ElementsAre("mangle"));
  EXPECT_THAT(
      Zsh("nfmeter --server " + server_.address() + " counter reset http"),
      ElementsAre("http-traffic", "https"));
  EXPECT_THAT(Zsh("nfmeter rule add --from "), ElementsAre("FILES"));
}

TEST_F(CompletionTest, FishOffersTheSame) {
  if (!Has("fish")) GTEST_SKIP() << "fish is not installed";
  EXPECT_THAT(Fish("nfmeter coun"), ElementsAre("counter"));
  EXPECT_THAT(Fish("nfmeter counter "),
              UnorderedElementsAre("create", "get", "list", "update", "reset",
                                   "delete"));
  EXPECT_THAT(
      Fish("nfmeter rule add --not-s"),
      UnorderedElementsAre("--not-src", "--not-sport", "--not-src-type"));
  EXPECT_THAT(Fish("nfmeter rule add --table m"), ElementsAre("mangle"));
  EXPECT_THAT(
      Fish("nfmeter --server " + server_.address() + " counter reset http"),
      UnorderedElementsAre("http-traffic", "https"));
}

}  // namespace
}  // namespace nfmeter::testing
