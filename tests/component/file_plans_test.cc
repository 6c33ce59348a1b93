// SPDX-License-Identifier: GPL-3.0-or-later
// Plans from files: taken, followed, refused, removed.
#include "service/plan/file_plans.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/usage.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Call;
using ::nfmeter::testing::ComponentServer;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr char kAlice[] = R"(groups:
  - key: destination
    members:
      10.0.0.1: alice
)";
constexpr char kBob[] = R"(groups:
  - key: destination
    members:
      10.0.0.2: bob
)";
constexpr char kWrong[] = R"(groups:
  - key: destination
    members:
      10.0.0.1: alice
      10.0.0.777: carol
)";

// Between looks; nobody else waits for as long.
constexpr absl::Duration kInterval = absl::Milliseconds(1001);

class FilePlansTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(Path());
    Write("customers.yaml", kAlice);
  }
  std::string Path(const std::string& name = "") const {
    return (dir_ / "plans") + (name.empty() ? "" : "/" + name);
  }
  // At once: a look that is under way sees all of it or nothing.
  void Write(const std::string& name, const std::string& text) {
    const std::string next = dir_ / "next";
    std::ofstream(next) << text;
    std::filesystem::rename(next, Path(name));
  }
  void Start() {
    files_ = std::make_unique<service::FilePlans>(
        service::FilePlans::Options{.path = Path(), .interval = kInterval},
        server_.domain->plans(), server_.clock);
    files_->Start();
    WaitForRound();
  }
  // Until what the files say now was tried, or what is wrong has been seen, and
  // the next look has to wait for its time: time stands still while one is
  // under way, or what a test writes after it might be seen by halves.
  void WaitForRound() {
    const uint64_t before = rounds_;
    for (AwaitNextLook(); (rounds_ = files_->rounds()) == before;
         AwaitNextLook()) {
      server_.Advance(kInterval);
    }
  }
  void AwaitNextLook() {
    server_.clock.AwaitWaiter(server_.clock.BootTime() + kInterval);
  }
  bool Exists(const std::string& plan) {
    return server_.domain->plans().Get(plan).ok();
  }
  size_t Holders(const std::string& counter) {
    return server_.rules.Holders({counter})->size();
  }
  int Commits() const { return server_.rule_table.total_commits(); }

  // Counters with a declared gap.
  std::vector<std::string> Gaps() {
    v1::ListGapsResponse response;
    EXPECT_TRUE(Call(*server_.usage_stub, &v1::UsageService::Stub::ListGaps,
                     v1::ListGapsRequest(), &response)
                    .ok());
    std::vector<std::string> counters;
    for (const v1::UsageGap& gap : response.gaps()) {
      EXPECT_EQ(gap.cause(), v1::USAGE_GAP_CAUSE_RULES_MISSING);
      counters.push_back(gap.counter());
    }
    return counters;
  }
  ComponentServer::Options WithLedger() const {
    ComponentServer::Options options;
    options.domain.ledger.path = dir_ / "ledger.db";
    return options;
  }

  TemporaryDirectory dir_;
  ComponentServer server_{WithLedger()};
  std::unique_ptr<service::FilePlans> files_;
  uint64_t rounds_ = 0;
};

TEST_F(FilePlansTest, WhatIsThereAtTheStartIsInForce) {
  Start();
  EXPECT_EQ(Holders("alice"), 3u);  // in, out, forwarded
  EXPECT_EQ(server_.domain->plans().Get("customers")->owner, "file:" + Path());
  EXPECT_THAT(files_->Problem(), IsEmpty());
}

TEST_F(FilePlansTest, AnotherStartCommitsNothing) {
  Start();
  const int commits = Commits();
  rounds_ = 0;
  Start();
  EXPECT_EQ(Commits(), commits);
}

TEST_F(FilePlansTest, AFolderThatIsALinkIsFollowedWhenTheLinkIsExchanged) {
  // As Kubernetes does with a ConfigMap.
  std::filesystem::remove(Path("customers.yaml"));
  for (const auto& [version, text] :
       {std::pair("..1", kAlice), std::pair("..2", kBob)}) {
    std::filesystem::create_directory(Path(version));
    Write(std::string(version) + "/customers.yaml", text);
  }
  std::filesystem::create_directory_symlink("..1", Path("..data"));
  std::filesystem::create_symlink("..data/customers.yaml",
                                  Path("customers.yaml"));
  Start();
  ASSERT_EQ(Holders("alice"), 3u);
  std::filesystem::create_directory_symlink("..2", Path("..next"));
  std::filesystem::rename(Path("..next"), Path("..data"));
  WaitForRound();
  EXPECT_EQ(Holders("alice"), 0u);
  EXPECT_EQ(Holders("bob"), 3u);
}

TEST_F(FilePlansTest, AWrongFileKeepsItsPlanAndIsToldWithLineAndColumn) {
  Start();
  Write("customers.yaml", kWrong);
  WaitForRound();
  EXPECT_THAT(files_->Problem(), StartsWith(Path("customers.yaml") + ":5:7: "));
  EXPECT_EQ(Holders("alice"), 3u);
  Write("customers.yaml", kAlice);
  WaitForRound();
  EXPECT_THAT(files_->Problem(), IsEmpty());
}

TEST_F(FilePlansTest, OneWrongFileDoesNotKeepTheOthersFromBeingTaken) {
  Start();
  Write("customers.yaml", kWrong);
  Write("staff.yaml", kBob);
  WaitForRound();
  EXPECT_EQ(Holders("bob"), 3u);
  EXPECT_EQ(Holders("alice"), 3u);
}

TEST_F(FilePlansTest, AFileThatIsGoneTakesItsRulesButNotItsCounters) {
  Write("staff.yaml", kBob);
  Start();
  std::filesystem::remove(Path("customers.yaml"));
  WaitForRound();
  EXPECT_FALSE(Exists("customers"));
  EXPECT_EQ(Holders("alice"), 0u);
  EXPECT_TRUE(server_.acct.Exists("alice"));
  EXPECT_EQ(Holders("bob"), 3u);
}

TEST_F(FilePlansTest, AFileMayBeRenamed) {
  Start();
  std::filesystem::rename(Path("customers.yaml"), Path("ours.yaml"));
  WaitForRound();
  EXPECT_THAT(files_->Problem(), IsEmpty());
  EXPECT_FALSE(Exists("customers"));
  EXPECT_TRUE(Exists("ours"));
  EXPECT_EQ(Holders("alice"), 3u);
  EXPECT_THAT(Gaps(), ElementsAre("alice"));
}

TEST_F(FilePlansTest, AFileMayTakeCountersOfSeveral) {
  Write("more.yaml", kBob);
  Start();
  std::filesystem::remove(Path("more.yaml"));
  std::filesystem::remove(Path("customers.yaml"));
  Write("all.yaml", absl::StrCat(kAlice, "      10.0.0.2: bob\n"));
  WaitForRound();
  EXPECT_THAT(files_->Problem(), IsEmpty());
  EXPECT_THAT(server_.domain->plans().List(), SizeIs(1));
  EXPECT_EQ(Holders("bob"), 3u);
}

TEST_F(FilePlansTest, FilesMayExchangeTheirCounters) {
  Write("more.yaml", kBob);
  Start();
  Write("customers.yaml", kBob);
  Write("more.yaml", kAlice);
  WaitForRound();
  EXPECT_THAT(files_->Problem(), IsEmpty());
  EXPECT_EQ(server_.domain->plans().PlansByCounter(),
            (std::map<std::string, std::string>{{"alice", "more"},
                                                {"bob", "customers"}}));
  EXPECT_EQ(Holders("alice"), 3u);
  EXPECT_EQ(Holders("bob"), 3u);
  EXPECT_THAT(Gaps(), UnorderedElementsAre("alice", "bob"));
}

TEST_F(FilePlansTest, TwoFilesCannotHaveTheSameCounter) {
  Start();
  Write("more.yaml", kAlice);
  WaitForRound();
  EXPECT_THAT(files_->Problem(),
              HasSubstr("more.yaml: counter alice is one of plan customers"));
  EXPECT_EQ(Holders("alice"), 3u);
}

// It may be the file of the plan that is in the way.
TEST_F(FilePlansTest, NoPlanIsReplacedWhileAFileIsWrong) {
  Start();
  Write("ours.yaml", kAlice);
  Write("customers.yaml", kWrong);
  WaitForRound();
  EXPECT_TRUE(Exists("customers"));
  EXPECT_FALSE(Exists("ours"));
  EXPECT_EQ(Holders("alice"), 3u);
}

TEST_F(FilePlansTest, NothingIsRemovedWhileAFileIsWrongOrTheFolderIsEmpty) {
  Write("staff.yaml", kBob);
  Start();
  std::filesystem::remove(Path("customers.yaml"));
  Write("staff.yaml", "groups: [");
  WaitForRound();
  EXPECT_TRUE(Exists("customers"));
  std::filesystem::remove(Path("staff.yaml"));
  WaitForRound();
  EXPECT_TRUE(Exists("customers"));
  EXPECT_TRUE(Exists("staff"));
  EXPECT_THAT(files_->Problem(), HasSubstr("has no *.yaml"));
}

TEST_F(FilePlansTest, AFileThatIsJustBeingWrittenIsNotTakenYet) {
  Start();
  const int commits = Commits();
  Write("customers.yaml", kBob);
  // One look sees it; none before the next takes it.
  server_.Advance(kInterval);
  AwaitNextLook();
  EXPECT_EQ(Commits(), commits);
  WaitForRound();
  EXPECT_EQ(Holders("bob"), 3u);
}

TEST_F(FilePlansTest, APlanThatSomebodyDeletesComesBack) {
  Start();
  v1::DeletePlanRequest request;
  request.set_name("customers");
  request.set_take_over(true);
  v1::DeletePlanResponse response;
  ASSERT_OK(Call(*server_.plan_stub, &v1::PlanService::Stub::DeletePlan,
                 request, &response));
  WaitForRound();
  EXPECT_EQ(Holders("alice"), 3u);
}

TEST_F(FilePlansTest, APlanOfSomebodyElseIsNotTakenOver) {
  v1::ApplyPlanRequest request;
  request.mutable_plan()->set_name("customers");
  request.mutable_plan()->add_accounts()->set_counter("all");
  v1::ApplyPlanResponse response;
  ASSERT_OK(Call(*server_.plan_stub, &v1::PlanService::Stub::ApplyPlan, request,
                 &response));
  Start();
  EXPECT_THAT(files_->Problem(), HasSubstr("belongs to"));
  EXPECT_EQ(Holders("alice"), 0u);
}

TEST_F(FilePlansTest, ThePlansOfAFolderCanBeCheckedWithoutAServer) {
  EXPECT_OK(service::CheckPlanFiles(Path()));
  Write("more.yaml", kWrong);
  Write("twice.yaml", std::string("name: customers\n") + kBob);
  const std::string wrong(service::CheckPlanFiles(Path()).message());
  EXPECT_THAT(wrong, HasSubstr(Path("more.yaml") + ":5:7: "));
  EXPECT_THAT(wrong, HasSubstr(Path("twice.yaml") +
                               ":1:7: plan 'customers' is "
                               "in " +
                               Path("customers.yaml") + ", too"));
}

}  // namespace
}  // namespace nfmeter
