// SPDX-License-Identifier: GPL-3.0-or-later
// Others edit the table that the server edits, or the ruleset that it is in.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/firewall.h"
#include "tests/fault/iptables.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Firewall;
using ::nfmeter::testing::FirewallKind;
using ::nfmeter::testing::Iptables;
using ::nfmeter::testing::kPort;
using ::nfmeter::testing::RestoreIptables;
using ::nfmeter::testing::SendPackets;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

class BesideOthers : public ::testing::Test {
 protected:
  explicit BesideOthers(const FirewallKind& kind)
      : firewall_(kind.make()),
        server_({.arguments = {"--backend", kind.backend}}) {}

  void SetUp() override {
    ASSERT_OK(server_.Start());
    client_ = server_.Connect();
    ASSERT_OK(client_->CreateCounter("counted").status());
  }

  v1::Rule Rule(const std::string& id) {
    v1::Rule rule;
    rule.set_id(id);
    rule.set_chain("OUTPUT");
    rule.set_counter("counted");
    rule.mutable_match()->set_protocol("udp");
    return rule;
  }

  std::vector<std::string> ManagedIds() {
    std::vector<std::string> ids;
    const auto rules = client_->ListRules();
    EXPECT_OK(rules.status());
    for (const v1::Rule& rule : rules->rules()) {
      if (rule.managed()) ids.push_back(rule.id());
    }
    return ids;
  }

  // Until the server has made these again that others took away, and no others.
  void AwaitIds(std::vector<std::string> ids) {
    EXPECT_TRUE(
        testing::Eventually([&] { return ManagedIds().size() == ids.size(); }));
    EXPECT_THAT(ManagedIds(), UnorderedElementsAreArray(ids));
  }

  const std::unique_ptr<Firewall> firewall_;
  FaultServer server_;
  std::unique_ptr<Client> client_;
};

class SameTableTest : public BesideOthers,
                      public ::testing::WithParamInterface<FirewallKind> {
 protected:
  SameTableTest() : BesideOthers(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(Firewalls, SameTableTest,
                         ::testing::Values(testing::kIptables,
                                           testing::kNftables,
                                           testing::kPlainNftables),
                         [](const auto& info) { return info.param.name; });

TEST_P(SameTableTest, NeitherSideLosesRulesAndForeignRuleCountersAreExact) {
  ASSERT_OK(firewall_->Count(kPort));
  std::atomic<bool> stop = false;
  // Traffic that the foreign rule counts all the while.
  uint64_t sent = 0;
  absl::Status sender_status;
  std::thread sender([&] {
    while (!stop && sender_status.ok()) {
      sender_status = SendPackets(10, kPort, 1);
      sent += 10;
    }
  });
  // Somebody who takes the lock, where there is one: adds two, removes one.
  std::vector<std::string> theirs;
  absl::Status other_status;
  std::atomic<int> other_edits = 0;
  std::thread other([&] {
    for (int i = 0; !stop && other_status.ok(); ++i) {
      const std::string address =
          absl::StrCat("198.18.", i / 250, ".", i % 250);
      other_status = firewall_->Add(address);
      if (i % 2 == 0) {
        theirs.push_back(firewall_->Adding(address));
      } else {
        other_status.Update(firewall_->Remove(address));
      }
      ++other_edits;
    }
  });
  std::vector<std::string> ours;
  absl::Status failed;
  for (int i = 0; (i < 40 || other_edits < 10) && failed.ok(); ++i) {
    const std::string id = absl::StrCat("ours-", i);
    failed.Update(client_->CreateRule(Rule(id)).status());
    if (i % 2 == 0) {
      ours.push_back(id);
    } else {
      failed.Update(client_->DeleteRule(id).status());
    }
  }
  stop = true;
  other.join();
  sender.join();
  ASSERT_OK(failed);
  ASSERT_OK(other_status);
  ASSERT_OK(sender_status);
  EXPECT_THAT(ManagedIds(), UnorderedElementsAreArray(ours));
  std::vector<std::string> foreign =
      firewall_->ForeignRules(/*with_counters=*/false);
  const std::string seen = firewall_->Counting(kPort);
  std::erase_if(foreign, [&](const std::string& rule) {
    return absl::StrContains(rule, seen);
  });
  EXPECT_EQ(foreign, theirs);
  EXPECT_EQ(firewall_->RulePackets(seen), sent);
}

// What iptables alone has: a lock, chains of others, saved tables.
class IptablesTest : public BesideOthers {
 protected:
  IptablesTest() : BesideOthers(testing::kIptables) {}
};

// --- The lock is held -------------------------------------------------------

// Another program that holds the lock for as long as this lives.
class HeldLock {
 public:
  HeldLock()
      : fd_(open(getenv("XTABLES_LOCKFILE"), O_RDWR | O_CREAT | O_CLOEXEC,
                 0600)) {
    EXPECT_EQ(flock(fd_, LOCK_EX), 0);
  }
  ~HeldLock() { close(fd_); }

 private:
  const int fd_;
};

TEST_F(IptablesTest, ACallEndsAtItsDeadlineWhileTheLockIsHeldAndReadsGoOn) {
  ASSERT_OK(client_->CreateRule(Rule("before")).status());
  v1::WatchSnapshotsRequest request;
  request.mutable_interval()->set_nanos(100'000'000);
  const auto watch = client_->WatchSnapshots(request);
  ASSERT_OK(watch->Next().status());
  {
    const HeldLock lock;
    std::atomic<bool> ended = false;
    absl::Status status;
    absl::Duration took;
    std::thread change([&] {
      const auto change_client = server_.Connect();
      // On a host with more work than it can do, the client's own deadline may
      // be faster than the server's answer shortly before it.
      for (int i = 0; i < 10 && ErrorReason(status).empty(); ++i) {
        const absl::Time begin = absl::Now();
        status = change_client
                     ->CreateRule(Rule("late"), {.timeout = absl::Seconds(1)})
                     .status();
        took = absl::Now() - begin;
        if (status.ok()) break;
      }
      ended = true;
    });
    // Whatever reads, counts or makes counters is as quick as ever. The bound
    // is far from what it takes and far from the second that the lane is
    // blocked.
    std::vector<absl::Duration> times;
    absl::Status others;
    for (int i = 0; !ended && others.ok(); ++i) {
      const absl::Time begin = absl::Now();
      others.Update(client_->GetSnapshot().status());
      others.Update(
          client_->CreateCounter(absl::StrCat("meanwhile-", i)).status());
      others.Update(client_->ResetCounter("counted").status());
      others.Update(client_->GetRule("before").status());
      others.Update(client_->ListChains().status());
      times.push_back(absl::Now() - begin);
    }
    change.join();
    EXPECT_OK(others);
    EXPECT_OK(watch->Next().status());
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("xtables lock")));
    EXPECT_EQ(ErrorReason(status), "XTABLES_LOCK_HELD");
    EXPECT_GE(took, absl::Milliseconds(500));
    ASSERT_GT(times.size(), 3u);
    std::sort(times.begin(), times.end());
    EXPECT_LT(times[times.size() / 2], absl::Milliseconds(400));
  }
  EXPECT_THAT(ManagedIds(), UnorderedElementsAreArray({"before"}));
  EXPECT_OK(client_->CreateRule(Rule("after")).status());
}

// Of two changes that wait, one whose deadline is before the lock's end and one
// whose deadline is after it.
TEST_F(IptablesTest, TheLockIsHeldForAMinute) {
  constexpr absl::Duration kHeld = absl::Minutes(1);
  ASSERT_OK(client_->CreateRule(Rule("before")).status());
  absl::Status too_late;
  absl::Status in_time;
  absl::Status others;
  std::thread impatient;
  std::thread patient;
  int frames = 0;
  {
    const HeldLock lock;
    const absl::Time begin = absl::Now();
    impatient = std::thread([&] {
      too_late = server_.Connect()
                     ->CreateRule(Rule("late"), {.timeout = kHeld * 0.9})
                     .status();
      EXPECT_GE(absl::Now() - begin, kHeld * 0.8);
      EXPECT_LT(absl::Now() - begin, kHeld);
    });
    v1::WatchSnapshotsRequest request;
    request.mutable_interval()->set_seconds(1);
    const auto watch = client_->WatchSnapshots(request);
    const CallOptions soon = {.timeout = absl::Seconds(5)};
    while (absl::Now() - begin < kHeld && others.ok()) {
      others.Update(watch->Next().status());
      // The server allows a change a minute, whatever the client's deadline.
      if (++frames == 10) {
        patient = std::thread([&] {
          in_time = server_.Connect()
                        ->CreateRule(Rule("patient"), {.timeout = kHeld * 2})
                        .status();
        });
      }
      others.Update(client_->GetRule("before", soon).status());
      others.Update(client_->ResetCounter("counted", soon).status());
    }
  }
  impatient.join();
  if (patient.joinable()) patient.join();
  EXPECT_OK(others);
  EXPECT_GE(frames, 55);
  EXPECT_THAT(too_late, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("xtables lock")));
  EXPECT_OK(in_time);
  EXPECT_THAT(ManagedIds(), UnorderedElementsAreArray({"before", "patient"}));
}

// As many as there are threads for, and more.
TEST_F(IptablesTest, ChangesThatWaitForTheLockKeepNobodyElseWaiting) {
  FaultServer server({.arguments = {"--max-threads", "2"}});
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  constexpr int kChanges = 6;
  for (int i = 0; i < kChanges; ++i) {
    const std::string name = absl::StrCat("held-", i);
    ASSERT_OK(client->CreateCounter(name).status());
    v1::Rule rule = Rule(absl::StrCat("of-", name));
    rule.set_counter(name);
    ASSERT_OK(client->CreateRule(rule).status());
  }
  std::atomic<int> ended = 0;
  std::vector<std::thread> changes;
  absl::Status others;
  {
    const HeldLock lock;
    for (int i = 0; i < kChanges; ++i) {
      changes.emplace_back([&, i] {
        const CallOptions options = {.timeout = absl::Seconds(3)};
        v1::DeleteCounterRequest deletion;
        deletion.set_name(absl::StrCat("held-", i));
        deletion.set_delete_managed_rules(true);
        const v1::Rule rule = Rule(absl::StrCat("late-", i));
        EXPECT_FALSE(i % 2 == 0
                         ? client->CreateRule(rule, options).ok()
                         : client->DeleteCounter(deletion, options).ok());
        ++ended;
      });
    }
    const CallOptions soon = {.timeout = absl::Seconds(2)};
    for (int i = 0; ended < kChanges && others.ok(); ++i) {
      const std::string name = absl::StrCat("more-", i);
      others.Update(client->CreateCounter(name, soon).status());
      others.Update(client->ListCounters("*", soon).status());
      others.Update(client->ListRules({}, soon).status());
      others.Update(client->DeleteCounter(name, soon).status());
    }
    for (std::thread& change : changes) change.join();
  }
  EXPECT_OK(others);
  EXPECT_OK(client->CreateRule(Rule("after")).status());
}

// --- Flush, -X, -Z, restore -------------------------------------------------

TEST_F(IptablesTest, AfterAFlushRulesComeBackAndCountersKeepTheirCounts) {
  ASSERT_OK(client_->CreateRule(Rule("flushed")).status());
  ASSERT_OK(SendPackets(7, kPort, 1));
  ASSERT_OK(Iptables("-F"));
  AwaitIds({"flushed"});
  ASSERT_OK(SendPackets(3, kPort, 1));
  const auto counter = client_->GetCounter("counted");
  ASSERT_OK(counter.status());
  EXPECT_EQ(counter->packets(), 10u);
  EXPECT_EQ(counter->use_count(), 1u);
}

TEST_F(IptablesTest, ZeroingRuleCountersDoesNotTouchAccounts) {
  ASSERT_OK(client_->CreateRule(Rule("zeroed")).status());
  ASSERT_OK(SendPackets(7, kPort, 1));
  EXPECT_EQ(client_->GetRule("zeroed")->packets(), 7u);
  ASSERT_OK(Iptables("-Z"));
  EXPECT_EQ(client_->GetRule("zeroed")->packets(), 0u);
  EXPECT_EQ(client_->GetCounter("counted")->packets(), 7u);
}

TEST_F(IptablesTest, ARemovedChainTakesItsRulesAndAChangeOfThemIsRefused) {
  ASSERT_OK(Iptables("-N sub"));
  v1::Rule rule = Rule("inside");
  rule.set_chain("sub");
  ASSERT_OK(client_->CreateRule(rule).status());
  ASSERT_OK(Iptables("-F sub"));
  ASSERT_OK(Iptables("-X sub"));
  EXPECT_THAT(client_->GetRule("inside").status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_->CreateRule(rule).status(),
              StatusIs(absl::StatusCode::kNotFound));
  const auto chains = client_->ListChains();
  ASSERT_OK(chains.status());
  for (const v1::Chain& chain : chains->chains()) {
    EXPECT_NE(chain.name(), "sub");
  }
}

TEST_F(IptablesTest, ARestoreOfSavedRulesBringsOursBackUnderTheirIds) {
  ASSERT_OK(Iptables("-A INPUT -s 192.0.2.1 -j ACCEPT"));
  ASSERT_OK(client_->CreateRule(Rule("saved")).status());
  const std::string saved = testing::Run({"iptables-legacy-save", "-c"}).out;
  ASSERT_OK(client_->DeleteRule("saved").status());
  ASSERT_OK(client_->CreateRule(Rule("not-saved")).status());
  ASSERT_OK(RestoreIptables(saved));
  AwaitIds({"saved", "not-saved"});
  EXPECT_THAT(firewall_->ForeignRules(/*with_counters=*/false), SizeIs(1));
  ASSERT_OK(SendPackets(5, kPort, 1));
  EXPECT_EQ(client_->GetCounter("counted")->packets(), 10u);
  EXPECT_OK(client_->DeleteRule("saved").status());
}

TEST_F(IptablesTest, WhatOthersRestoreIsShownAndOurRulesComeBack) {
  ASSERT_OK(client_->CreateRule(Rule("replaced")).status());
  ASSERT_OK(SendPackets(4, kPort, 1));
  ASSERT_OK(RestoreIptables(
      "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT "
      "[0:0]\n:new - [0:0]\n-A INPUT -i lo -j new\nCOMMIT\n"));
  AwaitIds({"replaced"});
  EXPECT_EQ(client_->GetCounter("counted")->packets(), 4u);
  bool policy_seen = false;
  const auto chains = client_->ListChains();
  ASSERT_OK(chains.status());
  for (const v1::Chain& chain : chains->chains()) {
    policy_seen |= chain.name() == "INPUT" && chain.policy() == "DROP" &&
                   chain.family() == v1::FAMILY_IPV4;
  }
  EXPECT_TRUE(policy_seen);
}

}  // namespace
}  // namespace nfmeter
