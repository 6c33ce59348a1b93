// SPDX-License-Identifier: GPL-3.0-or-later
// Commits that go wrong, or that others come between.
#include <errno.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "kernel/errno_status.h"
#include "kernel/linux/xtables/iptc_rule_table.h"
#include "tests/system/rule_table_fixture.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

using RuleTableCommitTest = RuleTableFixture;

// Puts `on_commit` in the place of the commit.
class Interposed : public IptcHandle {
 public:
  using OnCommit = std::function<int(IptcHandle&)>;
  Interposed(std::unique_ptr<IptcHandle> handle, OnCommit on_commit)
      : handle_(std::move(handle)), on_commit_(std::move(on_commit)) {}

  void ForEachChain(
      absl::FunctionRef<void(const IptcChain&)> on_chain) override {
    handle_->ForEachChain(on_chain);
  }
  void ForEachRule(absl::string_view chain,
                   absl::FunctionRef<void(const IptcRule&)> on_rule) override {
    handle_->ForEachRule(chain, on_rule);
  }
  int Insert(const std::string& chain, uint32_t position,
             const uint8_t* entry) override {
    return handle_->Insert(chain, position, entry);
  }
  int Append(const std::string& chain, const uint8_t* entry) override {
    return handle_->Append(chain, entry);
  }
  int Delete(const std::string& chain, uint32_t position) override {
    return handle_->Delete(chain, position);
  }
  int CreateChain(const std::string& chain) override {
    return handle_->CreateChain(chain);
  }
  int DeleteChain(const std::string& chain) override {
    return handle_->DeleteChain(chain);
  }
  int Flush(const std::string& chain) override { return handle_->Flush(chain); }
  int Commit() override { return on_commit_(*handle_); }

 private:
  const std::unique_ptr<IptcHandle> handle_;
  const OnCommit on_commit_;
};

AcctTable& Acct() {
  static AcctTable& acct = *NetlinkAcctTable::Open()->release();
  return acct;
}

IptcRuleTable Interpose(Interposed::OnCommit on_commit) {
  return IptcRuleTable(
      Acct(),
      [on_commit](Family family,
                  Table table) -> absl::StatusOr<std::unique_ptr<IptcHandle>> {
        auto handle = IptcHandle::Open(family, table);
        if (!handle.ok()) return handle.status();
        return std::make_unique<Interposed>(*std::move(handle), on_commit);
      });
}

// What a program that does not care for the lock does.
void ChangeWithoutLock(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"env", "XTABLES_LOCKFILE=/run/other",
                                      "iptables-legacy"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Checked(command);
}

TEST_F(RuleTableCommitTest, ATableThatChangedBeforeTheCommitIsReadAgain) {
  int commits = 0;
  IptcRuleTable table = Interpose([&](IptcHandle& handle) {
    if (++commits <= 2) {
      ChangeWithoutLock(
          {"-A", "INPUT", "-s", absl::StrCat("10.0.0.", commits)});
    }
    return handle.Commit();
  });
  const auto outcome =
      table.Edit({.insertions = {Spec("a"), Spec("b")}}, Soon());
  ASSERT_OK(outcome);
  EXPECT_FALSE(outcome->rule_counters_lost);
  EXPECT_EQ(commits, 3);
  EXPECT_THAT(Rules(), SizeIs(4));
  EXPECT_THAT(ManagedIds(), ElementsAre("a", "b"));
}

TEST_F(RuleTableCommitTest, ATableThatKeepsChangingIsGivenUpAtTheDeadline) {
  int commits = 0;
  IptcRuleTable table = Interpose([&](IptcHandle& handle) {
    ChangeWithoutLock({"-A", "INPUT", "-c", "1", absl::StrCat(++commits)});
    return handle.Commit();
  });
  const auto outcome =
      table.Edit({.insertions = {Spec("a")}},
                 SystemClock().BootTime() + absl::Milliseconds(100));
  EXPECT_THAT(outcome, StatusIs(Code::kUnavailable));
  EXPECT_THAT(outcome, HasReason("TABLE_CHANGED"));
  EXPECT_THAT(ManagedIds(), IsEmpty());
  EXPECT_THAT(Rules(), SizeIs(commits));
}

TEST_F(RuleTableCommitTest, AFailureOfTheCountersHalfIsToldWithoutAnError) {
  ASSERT_OK(Insert({Spec("old")}));
  IptcRuleTable table = Interpose([](IptcHandle& handle) {
    EXPECT_EQ(handle.Commit(), 0);
    return EINVAL;
  });
  const auto outcome =
      table.Edit({.deletions = {"old"}, .insertions = {Spec("a")}}, Soon());
  ASSERT_OK(outcome);
  EXPECT_TRUE(outcome->rule_counters_lost);
  EXPECT_THAT(outcome->inserted, SizeIs(1));
  EXPECT_THAT(ManagedIds(), ElementsAre("a"));
}

TEST_F(RuleTableCommitTest, ARefusedReplacementIsNotTakenForADoneOne) {
  ASSERT_OK(Insert({Spec("a")}));
  IptcRuleTable table = Interpose([](IptcHandle&) { return EINVAL; });
  RuleSpec renewed = Spec("a");
  renewed.verdict = Verdict::kAccept;
  const auto outcome =
      table.Edit({.deletions = {"a"}, .insertions = {renewed}}, Soon());
  EXPECT_THAT(outcome, HasReason("RULE_REFUSED"));
  EXPECT_EQ(Rules()[0].verdict, Verdict::kContinue);
}

TEST_F(RuleTableCommitTest, AFlushRightAfterTheCommitIsNotCalledSuccess) {
  IptcRuleTable table = Interpose([](IptcHandle& handle) {
    const int err = handle.Commit();
    ChangeWithoutLock({"-F"});
    return err;
  });
  const auto outcome = table.Edit({.insertions = {Spec("a")}}, Soon());
  EXPECT_THAT(outcome, StatusIs(Code::kUnavailable));
  EXPECT_THAT(outcome, HasReason("TABLE_OVERWRITTEN"));
}

// A table whose first `failures` reads after a commit fail.
IptcRuleTable NotReadBack(int failures, int err, int* commits) {
  const auto left = std::make_shared<int>(0);
  return IptcRuleTable(
      Acct(),
      [=](Family family,
          Table table) -> absl::StatusOr<std::unique_ptr<IptcHandle>> {
        if (*left > 0) {
          --*left;
          return ErrnoStatus(Operation::kRuleRead, err, "the table");
        }
        auto handle = IptcHandle::Open(family, table);
        if (!handle.ok()) return handle.status();
        return std::make_unique<Interposed>(*std::move(handle),
                                            [=](IptcHandle& opened) {
                                              ++*commits;
                                              *left = failures;
                                              return opened.Commit();
                                            });
      });
}

TEST_F(RuleTableCommitTest, APassingErrorAfterTheCommitIsReadPast) {
  for (const int err : {EINTR, ENOBUFS, ENOMEM, EBUSY, EAGAIN}) {
    int commits = 0;
    const std::string id = absl::StrCat("a", err);
    const auto outcome =
        NotReadBack(2, err, &commits).Edit({.insertions = {Spec(id)}}, Soon());
    ASSERT_OK(outcome);
    EXPECT_THAT(outcome->inserted, SizeIs(1));
    EXPECT_EQ(commits, 1);
  }
}

TEST_F(RuleTableCommitTest, AnErrorAfterTheCommitDoesNotRunTheEditAgain) {
  int commits = 0;
  const auto outcome = NotReadBack(3, EAGAIN, &commits)
                           .Edit({.insertions = {Spec("a")}}, Soon());
  EXPECT_THAT(outcome,
              StatusIs(Code::kAborted, HasSubstr("may have been committed")));
  EXPECT_THAT(outcome, HasReason("TABLE_NOT_READ_BACK"));
  EXPECT_EQ(commits, 1);
  EXPECT_THAT(ManagedIds(), ElementsAre("a"));
}

}  // namespace
}  // namespace nfmeter::kernel
