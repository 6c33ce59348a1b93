// SPDX-License-Identifier: GPL-3.0-or-later
// The xtables lock between processes.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/linux/netlink/nf_tables_dump.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "kernel/linux/xtables/iptc_rule_table.h"
#include "kernel/linux/xtables/xt_probe.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;

using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Code = absl::StatusCode;

absl::Duration In(absl::Duration duration) {
  return SystemClock().BootTime() + duration;
}

// Another process that holds the lock until it is told to let go, or until
// somebody waits for it.
class Holder {
 public:
  explicit Holder(bool until_somebody_waits = false) {
    int ready[2];
    int stop[2];
    EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(stop, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(stop[1]);
      const int fd = open(XtablesLockPath().c_str(), O_RDONLY | O_CREAT, 0600);
      const bool held = flock(fd, LOCK_EX) == 0;
      char byte = held ? 'y' : 'n';
      (void)!write(ready[1], &byte, 1);
      if (until_somebody_waits) {
        while (!SomebodyWaits()) std::this_thread::yield();
      } else {
        (void)!read(stop[0], &byte, 1);
      }
      _exit(0);
    }
    close(ready[1]);
    close(stop[0]);
    char byte = 'n';
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'y');
    close(ready[0]);
    stop_ = stop[1];
  }

  ~Holder() {
    close(stop_);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }

 private:
  static bool SomebodyWaits() {
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
      if (absl::StrContains(line, "-> FLOCK") &&
          absl::StrContains(line, absl::StrCat(" ", getppid(), " "))) {
        return true;
      }
    }
    return false;
  }

  pid_t pid_ = -1;
  int stop_ = -1;
};

TEST(XtablesLockTest, IsFreeAgainWhenItIsDropped) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_OK(XtablesLock::Acquire(absl::ZeroDuration()));
  }
}

TEST(XtablesLockTest, TwoInOneProcessExcludeEachOther) {
  auto first = XtablesLock::Acquire(absl::ZeroDuration());
  ASSERT_OK(first);
  EXPECT_THAT(XtablesLock::Acquire(absl::ZeroDuration()),
              StatusIs(Code::kUnavailable));
  XtablesLock moved = *std::move(first);
  EXPECT_THAT(XtablesLock::Acquire(absl::ZeroDuration()),
              StatusIs(Code::kUnavailable));
}

TEST(XtablesLockTest, AWaitEndsAtItsDeadlineAndNamesTheHolder) {
  const Holder holder;
  const absl::Time start = absl::Now();
  const auto lock = XtablesLock::Acquire(In(absl::Milliseconds(150)));
  const absl::Duration waited = absl::Now() - start;
  EXPECT_THAT(
      lock,
      StatusIs(Code::kUnavailable,
               AllOf(HasSubstr(XtablesLockPath()),
                     HasSubstr(absl::StrCat("(process ", holder.pid(), ")")))));
  EXPECT_THAT(lock, HasReason("XTABLES_LOCK_HELD"));
  EXPECT_GE(waited, absl::Milliseconds(150));
  EXPECT_LT(waited, absl::Seconds(5));
}

TEST(XtablesLockTest, APastDeadlineTriesOnce) {
  { EXPECT_OK(XtablesLock::Acquire(-absl::InfiniteDuration())); }
  const Holder holder;
  EXPECT_THAT(XtablesLock::Acquire(-absl::InfiniteDuration()),
              HasReason("XTABLES_LOCK_HELD"));
}

TEST(XtablesLockTest, AWaitEndsWhenTheHolderLetsGo) {
  const Holder holder(/*until_somebody_waits=*/true);
  EXPECT_OK(XtablesLock::Acquire(In(absl::Seconds(60))));
}

TEST(XtablesLockTest, AWaitWithoutEndIsPossible) {
  const Holder holder(/*until_somebody_waits=*/true);
  EXPECT_OK(XtablesLock::Acquire(absl::InfiniteDuration()));
}

TEST(XtablesLockTest, IptablesStaysOutWhileWeHoldIt) {
  auto lock = XtablesLock::Acquire(absl::ZeroDuration());
  ASSERT_OK(lock);
  const auto refused =
      ::nfmeter::testing::Run({"iptables-legacy", "-w", "1", "-A", "INPUT"});
  EXPECT_EQ(refused.exit_code, 4) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("xtables lock"));
  { XtablesLock dropped = *std::move(lock); }
  EXPECT_EQ(
      ::nfmeter::testing::Run({"iptables-legacy", "-A", "INPUT"}).exit_code, 0);
}

TEST(XtablesLockTest, AFileThatCannotBeOpenedIsNamed) {
  setenv("XTABLES_LOCKFILE", "/run/no/such/folder/lock", 1);
  EXPECT_THAT(
      XtablesLock::Acquire(absl::ZeroDuration()),
      StatusIs(Code::kFailedPrecondition, HasSubstr("/run/no/such/folder")));
  setenv("XTABLES_LOCKFILE", "/run", 1);
  EXPECT_THAT(XtablesLock::Acquire(absl::ZeroDuration()),
              HasReason("XTABLES_LOCK_UNAVAILABLE"));
}

TEST(XtablesLockTest, AnEditThatCannotHaveItChangesNothing) {
  const std::vector<AcctObject> objects = {{.name = "web"}};
  ASSERT_OK((*NetlinkAcctTable::Open())->Create(objects)[0]);
  const auto acct = *NetlinkAcctTable::Open();
  IptcRuleTable rules(*acct);
  const TableEdit edit = {
      .insertions = {{.id = "a", .chain = "INPUT", .counter = "web"}}};
  {
    const Holder holder;
    const auto outcome = rules.Edit(edit, In(absl::Milliseconds(30)));
    EXPECT_THAT(outcome, StatusIs(Code::kUnavailable));
    EXPECT_THAT(outcome, HasReason("XTABLES_LOCK_HELD"));
    // Reads and rehearsals need no lock.
    const auto contents = rules.Read(Family::kIpv4, Table::kFilter);
    ASSERT_OK(contents);
    for (const Chain& chain : contents->chains) {
      EXPECT_THAT(chain.rules, IsEmpty());
    }
    EXPECT_OK(rules.Rehearse(edit));
  }
  EXPECT_OK(rules.Edit(edit, In(absl::Seconds(20))));
}

TEST(XtablesLockTest, AnEditThatNobodyWantsAnyMoreChangesNothing) {
  ASSERT_OK((*NetlinkAcctTable::Open())->Create({{{.name = "web"}}})[0]);
  const auto acct = *NetlinkAcctTable::Open();
  IptcRuleTable rules(*acct);
  const TableEdit edit = {
      .insertions = {{.id = "a", .chain = "INPUT", .counter = "web"}}};
  const Holder holder(/*until_somebody_waits=*/true);
  EXPECT_THAT(
      rules.Edit(edit, Patience(In(absl::Seconds(60)), [] { return true; })),
      StatusIs(Code::kCancelled));
  const auto contents = rules.Read(Family::kIpv4, Table::kFilter);
  ASSERT_OK(contents);
  for (const Chain& chain : contents->chains) {
    EXPECT_THAT(chain.rules, IsEmpty());
  }
  EXPECT_OK(rules.Edit(edit, In(absl::Seconds(20))));
}

TEST(XtablesLockTest, WhatIsDoneToTheEndWaitsThoughWaitingWasStopped) {
  ASSERT_OK((*NetlinkAcctTable::Open())->Create({{{.name = "web"}}})[0]);
  const auto acct = *NetlinkAcctTable::Open();
  IptcRuleTable rules(*acct);
  const TableEdit edit = {
      .insertions = {{.id = "a", .chain = "INPUT", .counter = "web"}}};
  rules.StopWaiting();
  {
    const Holder holder;
    EXPECT_THAT(rules.Edit(edit, In(absl::Seconds(60))),
                HasReason("XTABLES_LOCK_HELD"));
  }
  const Holder holder(/*until_somebody_waits=*/true);
  EXPECT_OK(rules.Edit(edit, Patience::ToTheEnd(In(absl::Seconds(60)))));
}

TEST(ProbeTest, AMatchThatThereIsNotIsNamed) {
  for (Family family : kAllFamilies) {
    EXPECT_OK(ProbeMatchRevision(family, "nfacct", 0));
    EXPECT_THAT(ProbeMatchRevision(family, "nosuchmatch", 0),
                StatusIs(Code::kUnimplemented, HasSubstr("'nosuchmatch'")));
    EXPECT_THAT(ProbeMatchRevision(family, "nfacct", 99),
                HasReason("MATCH_UNAVAILABLE"));
  }
}

TEST(ProbeTest, WithoutCapabilitiesEverythingSaysWhichAreMissing) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
  const auto acct = *NetlinkAcctTable::Open();
  IptcRuleTable rules(*acct);
  for (Family family : kAllFamilies) {
    for (const absl::Status& status :
         {ProbeTables(family), ProbeMatchRevision(family, "nfacct", 0),
          rules.Read(family, Table::kFilter).status()}) {
      EXPECT_THAT(status,
                  StatusIs(Code::kPermissionDenied, HasSubstr("CAP_NET_RAW")));
    }
  }
  EXPECT_THAT(NfTablesTables(), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::kernel
