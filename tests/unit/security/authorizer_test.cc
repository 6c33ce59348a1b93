// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/authorizer.h"

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "gmock/gmock.h"
#include "security/access/policy_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::security {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Outcome = PolicyFile::Outcome;

const Method& MethodCalled(const std::string& name) {
  const Method* found = FindMethod("nfmeter.v1." + name);
  EXPECT_NE(found, nullptr) << name;
  return *found;
}

Standing With(std::vector<Grant> grants) {
  return Standing({.names = {"cn:a"}, .certified = true}, std::move(grants),
                  "grants are in p", nullptr);
}

TEST(StandingTest, ScopesOfTheGrantsThatLetInAreUnited) {
  const Standing standing =
      With({{Role::kViewer, {}, {"b", "a"}},
            {Role::kOperator, {}, {"ab", "c"}},
            {Role::kOperator, {"*/DeleteCounter"}, {"z"}}});
  const auto get = standing.Admit(MethodCalled("CounterService/GetCounter"));
  ASSERT_OK(get.status());
  EXPECT_THAT((*get)->scope.prefixes, ElementsAre("a", "b", "c"));
  const auto reset =
      standing.Admit(MethodCalled("CounterService/ResetCounter"));
  ASSERT_OK(reset.status());
  EXPECT_THAT((*reset)->scope.prefixes, ElementsAre("ab", "c"));
  const auto remove =
      standing.Admit(MethodCalled("CounterService/DeleteCounter"));
  ASSERT_OK(remove.status());
  EXPECT_THAT((*remove)->scope.prefixes, ElementsAre("ab", "c", "z"));
}

TEST(StandingTest, AGrantWithoutPrefixesIsForAllCounters) {
  const auto caller =
      With({{Role::kViewer, {}, {"a"}}, {Role::kViewer, {}, {}}})
          .Admit(MethodCalled("CounterService/GetCounter"));
  ASSERT_OK(caller.status());
  EXPECT_TRUE((*caller)->scope.has_all());
}

TEST(StandingTest, AnAdminOfSomeCountersIsNotOneOfThoseItMerelyOperates) {
  const Method& create = MethodCalled("RuleService/CreateRule");
  const auto mixed =
      With({{Role::kAdmin, {}, {"a"}}, {Role::kOperator, {}, {}}})
          .Admit(create);
  ASSERT_OK(mixed.status());
  EXPECT_EQ((*mixed)->role, Role::kOperator);
  EXPECT_TRUE((*mixed)->scope.has_all());
  const auto within =
      With({{Role::kAdmin, {}, {"a"}}, {Role::kOperator, {}, {"ab"}}})
          .Admit(create);
  ASSERT_OK(within.status());
  EXPECT_EQ((*within)->role, Role::kAdmin);
  EXPECT_THAT((*within)->scope.prefixes, ElementsAre("a"));
}

TEST(StandingTest, ADenialSaysWhoWhatAndWhere) {
  const Standing viewer({.names = {"cn:a", "dns:b"}}, {{.role = Role::kViewer}},
                        "grants are in /p.yaml", nullptr);
  const absl::Status denied =
      viewer.Admit(MethodCalled("CounterService/ResetCounter")).status();
  EXPECT_THAT(denied,
              StatusIs(absl::StatusCode::kPermissionDenied,
                       Eq("cn:a (also dns:b) may not call "
                          "nfmeter.v1.CounterService/ResetCounter: that needs "
                          "the role operator, and the caller has the role "
                          "viewer; grants are in /p.yaml")));
  const ErrorDetails details = GetErrorDetails(denied);
  EXPECT_EQ(details.reason, "NOT_PERMITTED");
  EXPECT_EQ(details.metadata.at("principal"), "cn:a");
  EXPECT_EQ(details.metadata.at("method"),
            "nfmeter.v1.CounterService/ResetCounter");
  EXPECT_EQ(details.metadata.at("role"), "operator");
  EXPECT_THAT(With({}).Admit(MethodCalled("NodeService/GetNode")).status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("has been granted nothing")));
}

TEST(StandingTest, MethodsThatAreNotInTheTableAreForNobody) {
  const Method unlisted = {"nfmeter.v1.X/Y", Role::kViewer};
  EXPECT_THAT(With({{.role = Role::kAdmin}}).Admit(unlisted).status(),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

// An authorizer on a socket and a policy in a file.
class PolicyFileTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(path_) << text; }

  absl::StatusOr<std::shared_ptr<const Caller>> Authorize(
      const std::string& name, const std::string& method) {
    const Caller who{
        .identity = std::make_shared<Principal>(Principal{
            .names = {name}, .certified = name.substr(0, 6) != "socket"})};
    return authorizer_.AuthorizeAgain(who, MethodCalled(method));
  }

  static std::string Granting(const std::string& who, const std::string& role) {
    return "version: 1\nrules:\n  - {principals: ['" + who +
           "'], role: " + role + "}\n";
  }

  TemporaryDirectory dir_;
  const std::string path_ = dir_ / "policy.yaml";
  Authorizer authorizer_{std::vector<ListenerGrant>{
      {.principal = "socket:/run/s", .role = Role::kViewer}}};
  PolicyFile file_{path_, authorizer_};
};

TEST_F(PolicyFileTest, WithoutAPolicyOnlyListenersGrant) {
  EXPECT_OK(Authorize("socket:/run/s", "NodeService/GetNode").status());
  EXPECT_THAT(Authorize("cn:a", "NodeService/GetNode").status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("this server has no policy; give it one with "
                                 "--policy")));
  EXPECT_THAT(
      Authorize("socket:/run/s", "CounterService/ResetCounter").status(),
      StatusIs(absl::StatusCode::kPermissionDenied,
               HasSubstr("set by listen[].role or --socket-role")));
  EXPECT_THAT(Authorize("socket:/run/s", "FlowService/ListFlows").status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("listen[].flows (--socket-flows)")));
}

TEST_F(PolicyFileTest, APolicyAddsToWhatListenersGrant) {
  Write(Granting("socket:/run/s", "operator"));
  ASSERT_THAT(file_.Refresh(), IsOkAndHolds(Outcome::kTaken));
  const auto caller = Authorize("socket:/run/s", "CounterService/ResetCounter");
  ASSERT_OK(caller.status());
  EXPECT_EQ((*caller)->grants->size(), 2u);
}

TEST_F(PolicyFileTest, ACertificateCannotBeCalledLikeAListener) {
  const Caller forged{.identity = std::make_shared<Principal>(
                          Principal{{"socket:/run/s"}, true})};
  EXPECT_THAT(
      authorizer_.AuthorizeAgain(forged, MethodCalled("NodeService/GetNode"))
          .status(),
      StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(PolicyFileTest, AChangedFileIsTakenOnce) {
  Write(Granting("cn:a", "viewer"));
  ASSERT_THAT(file_.Refresh(), IsOkAndHolds(Outcome::kTaken));
  EXPECT_THAT(file_.Refresh(), IsOkAndHolds(Outcome::kUnchanged));
  const auto before = Authorize("cn:a", "NodeService/GetNode");
  ASSERT_OK(before.status());
  EXPECT_FALSE((*before)->outdated->load());
  Write(Granting("cn:b", "viewer"));
  ASSERT_THAT(file_.Refresh(), IsOkAndHolds(Outcome::kTaken));
  EXPECT_TRUE((*before)->outdated->load());
  EXPECT_THAT(Authorize("cn:a", "NodeService/GetNode").status(),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_OK(Authorize("cn:b", "NodeService/GetNode").status());
}

TEST_F(PolicyFileTest, ABrokenFileKeepsTheOldPolicyAndIsToldOfOnce) {
  Write(Granting("cn:a", "viewer"));
  ASSERT_OK(file_.Refresh().status());
  Write("version: 1\nrules:\n  - principal: [x]\n");
  EXPECT_THAT(file_.Refresh().status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("policy.yaml:3:5: unknown key 'principal'")));
  EXPECT_THAT(file_.Refresh(), IsOkAndHolds(Outcome::kUnchanged));
  EXPECT_THAT(file_.Problem(), HasSubstr("policy.yaml:3:5"));
  EXPECT_OK(Authorize("cn:a", "NodeService/GetNode").status());
  // Mended to what it was: said, although nothing else changes.
  Write(Granting("cn:a", "viewer"));
  EXPECT_THAT(file_.Refresh(), IsOkAndHolds(Outcome::kTaken));
  EXPECT_THAT(file_.Problem(), IsEmpty());
}

TEST_F(PolicyFileTest, AFileThatIsGoneKeepsTheOldPolicy) {
  Write(Granting("cn:a", "viewer"));
  ASSERT_OK(file_.Refresh().status());
  ASSERT_EQ(remove(path_.c_str()), 0);
  EXPECT_THAT(file_.Refresh().status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(Authorize("cn:a", "NodeService/GetNode").status());
}

}  // namespace
}  // namespace nfmeter::security
