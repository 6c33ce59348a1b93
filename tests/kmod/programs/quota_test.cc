// SPDX-License-Identifier: GPL-3.0-or-later
// Limits, and the events that tell of them.
#include <sched.h>

#include <barrier>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/kmod/programs/acct_peer.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {
namespace {

constexpr uint16_t kPort = 9999;

// Threads that send at the same moment, each on a processor of its own, as
// often as they are told to.
class Senders {
 public:
  Senders(int count, int packets) : packets_(packets), gate_(count + 1) {
    for (int cpu = 0; cpu < count; ++cpu) {
      threads_.emplace_back([this, cpu] { Work(cpu); });
    }
  }

  ~Senders() {
    stop_ = true;
    gate_.arrive_and_wait();
    for (std::thread& thread : threads_) thread.join();
  }

  // All of them send; returns when they have.
  void Send() {
    gate_.arrive_and_wait();
    gate_.arrive_and_wait();
  }

 private:
  void Work(int cpu) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    EXPECT_EQ(sched_setaffinity(0, sizeof(only), &only), 0);
    while (true) {
      gate_.arrive_and_wait();
      if (stop_) return;
      SendUdp(kPort, packets_);
      gate_.arrive_and_wait();
    }
  }

  const int packets_;
  std::barrier<> gate_;
  bool stop_ = false;  // written and read at either side of the gate
  std::vector<std::thread> threads_;
};

// Two packets on their way through the same rules meet at one limit after the
// other.
TEST(AcctQuota, LimitsReachedOnTwoProcessorsAtOnceAreOneEventEach) {
  constexpr int kRounds = 200;
  constexpr int kObjects = 50;
  AcctPeer peer, listener;
  listener.Join(NFNLGRP_ACCT_QUOTA);
  const auto name = [](int i) { return absl::StrCat("object", i); };
  // The first packet of either may be the one.
  const auto arm = [&] {
    for (int i = 0; i < kObjects; ++i) {
      ASSERT_EQ(
          peer.Do(AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_REPLACE | NLM_F_ACK)
                      .Name(name(i))
                      .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_PKTS)
                      .U64(NFACCT_QUOTA, 1)),
          0);
    }
  };
  arm();
  std::string rules = "*filter\n";
  for (int i = 0; i < kObjects; ++i) {
    absl::StrAppend(&rules, "-A OUTPUT -p udp -m nfacct --nfacct-name ",
                    name(i), "\n");
  }
  const RunResult result = testing::Run({"iptables-legacy-restore"},
                                        absl::StrCat(rules, "COMMIT\n"));
  ASSERT_EQ(result.exit_code, 0) << result.err;

  Senders senders(2, 2);
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    senders.Send();
    AcctReply events;
    while (listener.Receive(64 << 10, 0, events)) continue;
    ASSERT_EQ(events.objects.size(), size_t{kObjects});
    std::set<std::string> names;
    for (const AcctObject& event : events.objects) {
      EXPECT_TRUE(names.insert(event.name).second) << event.name;
      EXPECT_GE(event.packets, 1u);
      EXPECT_LE(event.packets, 4u);
      EXPECT_EQ(event.flags, NFACCT_F_QUOTA_PKTS | NFACCT_F_OVERQUOTA);
      EXPECT_EQ(event.quota, 1u);
    }
    for (const AcctObject& object : peer.Dump().objects) {
      ASSERT_EQ(object.packets, 4u);
    }
    arm();
  }
}

}  // namespace
}  // namespace nfmeter::testing
