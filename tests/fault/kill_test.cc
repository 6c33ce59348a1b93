// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 at every system call of a reset, a batch of counters, their labels
// and a batch of rules.
//
// What holds, whatever the call that was the last:
// - A counter holds its old value or, if the killed batch was to reset or make
//   it, the new one: never anything else, and nobody else's counter changes.
// - A reset whose answer the client has not got may have zeroed counters of
//   that batch, and their values are lost with the answer: at most what that
//   one call would have returned. A client that has the answer has it all.
// - A batch of creations may be left in part: what is there is whole, and its
//   labels are all there or none.
// - The rules of a table are those before the batch or those after it. A batch
//   over two tables may be left between the two.
// - Rules of others are all there, in order. Their own packet counters are zero
//   if the kill fell between the two halves of a commit of iptables, else kept;
//   accounts are not in rules, so that they lose nothing.
// - The next server starts on the same socket and state and works.
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/fault/accounts.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/firewall.h"
#include "tests/fault/injection.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::AccountName;
using ::nfmeter::testing::CreationOf;
using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Firewall;
using ::nfmeter::testing::FirewallKind;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kCounterLane;
using ::nfmeter::testing::kKilled;
using ::nfmeter::testing::kRuleLane;
using ::nfmeter::testing::StartPackets;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::SweepPoints;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::Eq;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// More than two slices of the lane.
constexpr size_t kSlicedCounters = 600;

class KillTest : public ::testing::Test {
 protected:
  explicit KillTest(const std::string& backend = "iptables")
      : server_({.arguments = {"--backend", backend}}) {}

  void SetUp() override {
    ASSERT_OK(server_.Start());
    ASSERT_OK(server_.Connect()->CreateCounter("bystander").status());
  }

  // Runs `operation` again and again on a server that is killed at its nth
  // `call`, until one ends alive; starts the next server each time and calls
  // `verify` with whether the one before was killed and what the operation
  // said. `prepare` comes before each.
  template <typename Prepare, typename Operation, typename Verify>
  void Sweep(const std::string& thread, const std::string& call,
             Prepare prepare, Operation operation, Verify verify) {
    size_t kills = 0;
    SweepPoints points;
    for (;;) {
      const size_t n = points.Next();
      SCOPED_TRACE(absl::StrCat("killed at ", call, " ", n));
      const auto client = server_.Connect();
      ASSERT_OK(client->GetNode().status());
      prepare(*client);
      if (HasFatalFailure()) return;
      absl::Status status;
      bool killed = false;
      {
        const Injection kill(server_.pid(), thread,
                             absl::StrCat(call, ":signal=KILL:when=", n));
        ASSERT_OK(kill.status());
        status = operation(*client);
        killed = !status.ok();
        if (killed) {
          ASSERT_EQ(server_.AwaitEnd(), kKilled) << status;
        }
      }
      if (killed) {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
        ++kills;
      }
      ASSERT_OK(server_.Start()) << "after a kill";
      const auto next = server_.Connect();
      verify(*next, killed);
      EXPECT_OK(next->GetCounter("bystander").status());
      if (HasFatalFailure() || !killed) break;
    }
    EXPECT_GT(kills, 0u) << "no " << call << " was met";
  }

  FaultServer server_;
};

// Of the lane that counts, on both backends.
struct LaneCall {
  const char* backend;
  const char* call;
  friend std::ostream& operator<<(std::ostream& out, const LaneCall& each) {
    return out << each.backend << " " << each.call;
  }
};

class LaneCallTest : public KillTest,
                     public ::testing::WithParamInterface<LaneCall> {
 protected:
  LaneCallTest() : KillTest(GetParam().backend) {}
};

const auto kLaneCalls = ::testing::Values(
    LaneCall{"iptables", "sendto"}, LaneCall{"iptables", "recvmsg"},
    LaneCall{"nftables", "sendto"}, LaneCall{"nftables", "recvmsg"});

std::string NameOfLaneCall(const ::testing::TestParamInfo<LaneCall>& info) {
  return absl::StrCat(info.param.backend, "_", info.param.call);
}

// --- Resets -----------------------------------------------------------------

class KillDuringResetTest : public LaneCallTest {};

TEST_P(KillDuringResetTest, CountsAreReturnedOrLeftOrWereTheKilledCalls) {
  v1::BatchResetCountersRequest reset;
  for (size_t i = 0; i < kSlicedCounters; ++i) reset.add_names(AccountName(i));
  v1::BatchDeleteCountersRequest removal;
  *removal.mutable_names() = reset.names();
  bool first = true;
  absl::StatusOr<v1::BatchResetCountersResponse> answer;
  Sweep(
      kCounterLane, GetParam().call,
      [&](Client& client) {
        if (!first) {
          ASSERT_OK(client.BatchDeleteCounters(removal).status());
        }
        first = false;
        ASSERT_OK(
            client.BatchCreateCounters(CreationOf(kSlicedCounters)).status());
      },
      [&](Client& client) {
        answer = client.BatchResetCounters(reset);
        return answer.status();
      },
      [&](Client& client, bool killed) {
        const auto left = client.GetSnapshot();
        ASSERT_OK(left.status());
        ASSERT_TRUE(left->complete);
        ASSERT_EQ(left->size(), kSlicedCounters + 1);
        uint64_t sent = 0;
        uint64_t kept = 0;
        for (size_t i = 0; i < kSlicedCounters; ++i) {
          const size_t row = *left->Find(AccountName(i));
          EXPECT_THAT(left->packets[row], AnyOf(Eq(0), Eq(StartPackets(i))));
          EXPECT_EQ(left->bytes[row], 100 * left->packets[row]);
          sent += StartPackets(i);
          kept += left->packets[row];
        }
        if (killed) return;
        ASSERT_THAT(answer->failures(), IsEmpty());
        uint64_t returned = 0;
        for (const v1::Counter& counter : answer->counters()) {
          returned += counter.packets();
        }
        EXPECT_EQ(returned + kept, sent);
      });
}

INSTANTIATE_TEST_SUITE_P(SystemCalls, KillDuringResetTest, kLaneCalls,
                         NameOfLaneCall);

// --- Creations --------------------------------------------------------------

class KillDuringCreationTest : public LaneCallTest {};

TEST_P(KillDuringCreationTest, WhatIsThereIsWholeAndOldObjectsAreAllThere) {
  Sweep(
      kCounterLane, GetParam().call,
      [&](Client& client) {
        const auto there = client.ListCounters("account-*");
        ASSERT_OK(there.status());
        if (there->empty()) return;
        v1::BatchDeleteCountersRequest removal;
        for (const auto& counter : *there) removal.add_names(counter.name());
        ASSERT_OK(client.BatchDeleteCounters(removal).status());
      },
      [&](Client& client) {
        return client.BatchCreateCounters(CreationOf(kSlicedCounters)).status();
      },
      [&](Client& client, bool killed) {
        const auto there = client.GetSnapshot();
        ASSERT_OK(there.status());
        ASSERT_TRUE(there->complete);
        size_t made = 0;
        for (size_t i = 0; i < kSlicedCounters; ++i) {
          const auto row = there->Find(AccountName(i));
          if (!row.has_value()) continue;
          ++made;
          EXPECT_EQ(there->packets[*row], StartPackets(i));
          EXPECT_EQ(there->bytes[*row], 100 * StartPackets(i));
        }
        // Nothing but these: no marks of the server's own.
        EXPECT_EQ(there->size(), made + 1);
        if (!killed) {
          EXPECT_EQ(made, kSlicedCounters);
        }
      });
}

INSTANTIATE_TEST_SUITE_P(SystemCalls, KillDuringCreationTest, kLaneCalls,
                         NameOfLaneCall);

class KillDuringLabelWriteTest
    : public KillTest,
      public ::testing::WithParamInterface<std::string> {};

TEST_P(KillDuringLabelWriteTest, LabelsAreAllThereOrNone) {
  size_t round = 0;
  const auto prefix = [&] { return absl::StrCat("r", round, "-"); };
  Sweep(
      /*thread=*/"", GetParam(), [&](Client&) { ++round; },
      [&](Client& client) {
        v1::BatchCreateCountersRequest request;
        for (int i = 0; i < 20; ++i) {
          v1::Counter* counter = request.add_counters();
          counter->set_name(absl::StrCat(prefix(), i));
          (*counter->mutable_labels())["team"] = "a";
          (*counter->mutable_labels())["zone"] = absl::StrCat("z", i);
        }
        return client.BatchCreateCounters(request).status();
      },
      [&](Client& client, bool killed) {
        // Those of the earlier rounds are as they were too.
        for (size_t r = 1; r <= round; ++r) {
          const auto made = client.ListCounters(absl::StrCat("r", r, "-*"));
          ASSERT_OK(made.status());
          ASSERT_THAT(*made, SizeIs(20));
          std::vector<size_t> labels;
          for (const auto& counter : *made) {
            labels.push_back(counter.labels_size());
          }
          EXPECT_THAT(labels, AnyOf(Each(Eq(0u)), Each(Eq(2u))));
          if (r == round && !killed) {
            EXPECT_THAT(labels, Each(Eq(2u)));
          }
        }
      });
}

INSTANTIATE_TEST_SUITE_P(SystemCalls, KillDuringLabelWriteTest,
                         ::testing::Values("pwrite64", "fdatasync"));

// --- Rules ------------------------------------------------------------------

// Of the lane that changes rules.
struct RuleCall {
  FirewallKind kind;
  const char* call;
  friend std::ostream& operator<<(std::ostream& out, const RuleCall& each) {
    return out << each.kind << " " << each.call;
  }
};

class KillDuringRuleCommitTest
    : public KillTest,
      public ::testing::WithParamInterface<RuleCall> {
 protected:
  KillDuringRuleCommitTest() : KillTest(GetParam().kind.backend) {}

  // All ids that the server knows.
  static std::vector<std::string> Ids(Client& client) {
    std::vector<std::string> ids;
    const auto rules = client.ListRules();
    EXPECT_OK(rules.status());
    if (!rules.ok()) return ids;
    for (const v1::Rule& rule : rules->rules()) {
      if (rule.managed()) ids.push_back(rule.id());
    }
    return ids;
  }

  const std::unique_ptr<Firewall> firewall_ = GetParam().kind.make();
};

TEST_P(KillDuringRuleCommitTest, RulesAreTheOldOrTheNewOnes) {
  ASSERT_OK(server_.Connect()->CreateCounter("counted").status());
  v1::BatchCreateRulesRequest batch;
  for (int i = 0; i < 20; ++i) {
    v1::Rule* rule = batch.add_rules();
    rule->set_id(absl::StrCat("rule-", i));
    rule->set_chain(i % 2 == 0 ? "INPUT" : "OUTPUT");
    rule->set_counter("counted");
    rule->mutable_match()->set_source(absl::StrCat("10.0.0.", i));
  }
  std::vector<std::string> texts;
  std::vector<std::string> counted;
  Sweep(
      kRuleLane, GetParam().call,
      [&](Client& client) {
        v1::BatchDeleteRulesRequest removal;
        for (std::string& id : Ids(client)) removal.add_ids(std::move(id));
        if (removal.ids_size() > 0) {
          ASSERT_OK(client.BatchDeleteRules(removal).status());
        }
        ASSERT_OK(firewall_->Load("bystander"));
        texts = firewall_->ForeignRules(/*with_counters=*/false);
        counted = firewall_->ForeignRules(/*with_counters=*/true);
        ASSERT_THAT(texts, SizeIs(3));
      },
      [&](Client& client) { return client.BatchCreateRules(batch).status(); },
      [&](Client& client, bool killed) {
        const size_t ours = firewall_->ManagedRules().size();
        if (killed) {
          EXPECT_THAT(ours, AnyOf(Eq(0u), Eq(20u)));
        } else {
          EXPECT_EQ(ours, 20u);
        }
        EXPECT_THAT(Ids(client), SizeIs(ours));
        EXPECT_EQ(firewall_->ForeignRules(/*with_counters=*/false), texts);
        const std::vector<std::string> now =
            firewall_->ForeignRules(/*with_counters=*/true);
        const bool two_halves =
            GetParam().kind.backend == std::string("iptables");
        if (two_halves && ours > 0 && killed) {
          // Zero between the two halves of a commit, else kept.
          std::vector<std::string> zeroed;
          for (const std::string& rule : texts) {
            zeroed.push_back("[0:0] " + rule);
          }
          EXPECT_THAT(now, AnyOf(counted, zeroed));
        } else {
          EXPECT_EQ(now, counted);
        }
        EXPECT_EQ(client.GetCounter("counted")->use_count(), ours);
      });
}

INSTANTIATE_TEST_SUITE_P(
    SystemCalls, KillDuringRuleCommitTest,
    ::testing::Values(RuleCall{testing::kIptables, "setsockopt"},
                      RuleCall{testing::kIptables, "getsockopt"},
                      RuleCall{testing::kIptables, "flock"},
                      RuleCall{testing::kIptables, "socket"},
                      RuleCall{testing::kNftables, "sendto"},
                      RuleCall{testing::kNftables, "recvmsg"},
                      RuleCall{testing::kPlainNftables, "sendto"}),
    [](const auto& info) {
      return absl::StrCat(info.param.kind.name, "_", info.param.call);
    });

}  // namespace
}  // namespace nfmeter
