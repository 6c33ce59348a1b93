// SPDX-License-Identifier: GPL-3.0-or-later
// System calls that fail: what the kernel says under memory pressure, load and
// signals. Each error becomes a typed status or is tried again; what is called
// complete or done is that.
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
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
using ::nfmeter::testing::kIptables;
using ::nfmeter::testing::kNftables;
using ::nfmeter::testing::kPlainNftables;
using ::nfmeter::testing::kRuleLane;
using ::nfmeter::testing::StartPackets;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

constexpr size_t kErrorCounters = 600;

// What a client may be told of a passing trouble of the kernel's.
bool IsTyped(const absl::Status& status) {
  const bool code = status.code() == Code::kUnavailable ||
                    status.code() == Code::kResourceExhausted ||
                    status.code() == Code::kDataLoss ||
                    status.code() == Code::kAborted;
  return code && !ErrorReason(status).empty();
}
MATCHER(IsOkOrTyped, "") {
  *result_listener << arg.ToString();
  return arg.ok() || IsTyped(arg);
}

// What is injected, and where.
struct Error {
  FirewallKind kind;
  const char* name;
  friend std::ostream& operator<<(std::ostream& out, const Error& error) {
    return out << error.kind << " " << error.name;
  }
};

std::vector<Error> On(const std::vector<FirewallKind>& kinds,
                      const std::vector<const char*>& names) {
  std::vector<Error> errors;
  for (const FirewallKind& kind : kinds) {
    for (const char* name : names) errors.push_back({kind, name});
  }
  return errors;
}

std::string NameOfError(const ::testing::TestParamInfo<Error>& info) {
  return absl::StrCat(info.param.kind.name, "_", info.param.name);
}

class KernelErrorTest : public ::testing::TestWithParam<Error> {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.Start());
    client_ = server_.Connect();
    ASSERT_OK(client_->GetNode().status());
  }

  void RemoveCounters() {
    const auto there = client_->ListCounters("*");
    ASSERT_OK(there.status());
    if (there->empty()) return;
    v1::BatchDeleteCountersRequest removal;
    for (const auto& counter : *there) removal.add_names(counter.name());
    ASSERT_OK(client_->BatchDeleteCounters(removal).status());
  }

  void MakeCounters() {
    RemoveCounters();
    ASSERT_OK(
        client_->BatchCreateCounters(CreationOf(kErrorCounters)).status());
  }

  // Name to packets, as the kernel has them.
  absl::flat_hash_map<std::string, uint64_t> ReadAll() {
    absl::flat_hash_map<std::string, uint64_t> all;
    const auto snapshot = client_->GetSnapshot();
    EXPECT_OK(snapshot.status());
    if (!snapshot.ok()) return all;
    EXPECT_TRUE(snapshot->complete);
    for (size_t i = 0; i < snapshot->size(); ++i) {
      all.emplace(snapshot->names[i], snapshot->packets[i]);
    }
    return all;
  }

  // Lets each of the lane's system calls in `calls` fail at each of `places`
  // (strace's when=), for as long as `operation` runs.
  template <typename Prepare, typename Operation, typename Verify>
  void UnderFaults(const std::string& lane,
                   const std::vector<std::string>& calls,
                   const std::vector<std::string>& places, Prepare prepare,
                   Operation operation, Verify verify) {
    size_t hits = 0;
    for (const std::string& call : calls) {
      for (const std::string& place : places) {
        const std::string fault =
            absl::StrCat(call, ":error=", GetParam().name, ":when=", place);
        SCOPED_TRACE(fault);
        prepare();
        if (HasFatalFailure()) return;
        {
          const Injection injection(server_.pid(), lane, fault);
          ASSERT_OK(injection.status());
          operation();
          hits += injection.Hits();
        }
        ASSERT_FALSE(server_.HasEnded()) << server_.process().Log();
        verify();
        if (HasFatalFailure()) return;
      }
    }
    EXPECT_GT(hits, 0u) << "no fault was met";
  }

  const std::unique_ptr<Firewall> firewall_ = GetParam().kind.make();
  FaultServer server_{{.arguments = {"--backend", GetParam().kind.backend}}};
  std::unique_ptr<Client> client_;
};

// EBUSY is what netlink answers, not what its system calls return: the
// conformance suite has it.
INSTANTIATE_TEST_SUITE_P(Errors, KernelErrorTest,
                         ::testing::ValuesIn(On({kIptables, kNftables},
                                                {"EINTR", "ENOBUFS", "ENOMEM",
                                                 "EAGAIN"})),
                         NameOfError);

TEST_P(KernelErrorTest, ASnapshotIsWholeOrSaysThatItIsNot) {
  MakeCounters();
  UnderFaults(
      kCounterLane, {"sendto", "recvmsg", "getsockopt"},
      {"1", "2", "3", "1+3", "2+2"}, [] {},
      [&] {
        for (int i = 0; i < 4; ++i) {
          const auto snapshot = client_->GetSnapshot();
          EXPECT_THAT(snapshot.status(), IsOkOrTyped());
          if (!snapshot.ok() || !snapshot->complete) continue;
          EXPECT_EQ(snapshot->size(), kErrorCounters);
        }
      },
      [&] { EXPECT_THAT(ReadAll(), SizeIs(kErrorCounters)); });
}

TEST_P(KernelErrorTest, AResetReturnsWhatItTookOrNamesTheCounter) {
  v1::BatchResetCountersRequest reset;
  for (size_t i = 0; i < kErrorCounters; ++i) reset.add_names(AccountName(i));
  absl::StatusOr<v1::BatchResetCountersResponse> answer;
  UnderFaults(
      kCounterLane, {"sendto", "recvmsg"}, {"1", "2", "5", "300", "2+7"},
      [&] { MakeCounters(); },
      [&] { answer = client_->BatchResetCounters(reset); },
      [&] {
        EXPECT_THAT(answer.status(), IsOkOrTyped());
        auto left = ReadAll();
        absl::flat_hash_map<std::string, uint64_t> returned;
        absl::flat_hash_map<std::string, Code> failed;
        if (answer.ok()) {
          for (const v1::Counter& counter : answer->counters()) {
            returned[counter.name()] = counter.packets();
          }
          for (const v1::BatchFailure& failure : answer->failures()) {
            failed[failure.name()] = static_cast<Code>(failure.status().code());
          }
        }
        for (size_t i = 0; i < kErrorCounters; ++i) {
          const std::string name = AccountName(i);
          if (returned.contains(name)) {
            EXPECT_EQ(returned[name], StartPackets(i)) << name;
            EXPECT_EQ(left[name], 0u) << name;
          } else if (failed[name] == Code::kDataLoss) {
            // Said to be unknown.
            EXPECT_THAT(left[name], AnyOf(Eq(0u), Eq(StartPackets(i)))) << name;
          } else {
            // Said not to be done.
            EXPECT_EQ(left[name], StartPackets(i)) << name;
          }
        }
      });
}

// None is left by a call that failed, those whose answer from the kernel was
// lost included.
TEST_P(KernelErrorTest, ACreationMakesAllOrSaysWhy) {
  absl::Status status;
  UnderFaults(
      kCounterLane, {"sendto", "recvmsg"}, {"1", "2", "3", "300"},
      [&] { RemoveCounters(); },
      [&] {
        status =
            client_->BatchCreateCounters(CreationOf(kErrorCounters)).status();
      },
      [&] {
        EXPECT_THAT(status, IsOkOrTyped());
        const auto there = ReadAll();
        if (status.ok()) {
          EXPECT_THAT(there, SizeIs(kErrorCounters));
        } else {
          EXPECT_THAT(there, IsEmpty()) << status;
        }
        for (size_t i = 0; i < kErrorCounters; ++i) {
          const auto found = there.find(AccountName(i));
          if (found == there.end()) continue;
          EXPECT_EQ(found->second, StartPackets(i)) << found->first;
        }
      });
}

class RuleErrorTest : public KernelErrorTest {
 protected:
  void ExpectAllOrNone(const std::vector<std::string>& calls,
                       const std::vector<std::string>& places) {
    ASSERT_OK(client_->CreateCounter("counted").status());
    v1::BatchCreateRulesRequest batch;
    for (int i = 0; i < 20; ++i) {
      v1::Rule* rule = batch.add_rules();
      rule->set_id(absl::StrCat("rule-", i));
      rule->set_chain("INPUT");
      rule->set_counter("counted");
    }
    ASSERT_OK(client_->CreateCounter("bystander").status());
    std::vector<std::string> theirs;
    absl::Status status;
    UnderFaults(
        kRuleLane, calls, places,
        [&] {
          // Through the server, which puts back what others take away.
          if (!firewall_->ManagedRules().empty()) {
            v1::BatchDeleteRulesRequest all;
            for (const v1::Rule& rule : batch.rules()) all.add_ids(rule.id());
            ASSERT_OK(client_->BatchDeleteRules(all).status());
          }
          ASSERT_OK(firewall_->Load("bystander"));
          theirs = firewall_->ForeignRules(/*with_counters=*/false);
          ASSERT_THAT(theirs, SizeIs(3));
        },
        [&] { status = client_->BatchCreateRules(batch).status(); },
        [&] {
          EXPECT_THAT(status, IsOkOrTyped());
          const size_t ours = firewall_->ManagedRules().size();
          if (status.ok()) {
            EXPECT_EQ(ours, 20u);
          } else if (absl::StrContains(status.message(), "may have been")) {
            EXPECT_THAT(ours, AnyOf(Eq(0u), Eq(20u)));
          } else if (ErrorReason(status) == "TABLE_NOT_READ_BACK") {
            EXPECT_EQ(ours, 20u) << status;
          } else {
            EXPECT_EQ(ours, 0u) << status;
          }
          EXPECT_EQ(firewall_->ForeignRules(/*with_counters=*/false), theirs);
        });
  }
};

// The first carries the rules, the others counters of rules.
TEST_P(RuleErrorTest, CommitsThatFailMakeAllOrNone) {
  ExpectAllOrNone({"setsockopt"}, {"1", "2", "3", "1+2"});
}

TEST_P(RuleErrorTest, ReadsAndLocksThatFailChangeNothing) {
  ExpectAllOrNone({"getsockopt", "socket", "flock"}, {"1", "2", "3", "1+1"});
}

// A read after the commit, too: then the error says that it was one.
TEST_P(RuleErrorTest, AReadThatFailsAnywhereIsTold) {
  ExpectAllOrNone({"getsockopt"}, {"4", "5", "6", "7", "8", "9", "10"});
}

const std::vector<const char*> kRuleErrors = {"EINTR", "ENOBUFS", "ENOMEM",
                                              "EAGAIN", "EBUSY"};

INSTANTIATE_TEST_SUITE_P(Errors, RuleErrorTest,
                         ::testing::ValuesIn(On({kIptables}, kRuleErrors)),
                         NameOfError);

// Questions, transactions and answers are the same calls there.
class NftRuleErrorTest : public RuleErrorTest {};

TEST_P(NftRuleErrorTest, CallsThatFailAnywhereMakeAllOrNone) {
  ExpectAllOrNone({"sendto", "recvmsg"},
                  {"1", "2", "3", "4", "5", "6", "7", "8", "1+2", "2+2"});
}

INSTANTIATE_TEST_SUITE_P(Errors, NftRuleErrorTest,
                         ::testing::ValuesIn(On({kNftables, kPlainNftables},
                                                kRuleErrors)),
                         NameOfError);

}  // namespace
}  // namespace nfmeter
