// Limits, and the events that tell of them.
#include <sched.h>

#include <barrier>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/kmod/programs/acct_peer.h"

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

TEST(AcctQuota, ALimitReachedOnTwoProcessorsAtOnceIsOneEvent) {
  constexpr int kRounds = 400;
  AcctPeer peer, listener;
  listener.Join(NFNLGRP_ACCT_QUOTA);
  // The first packet of either may be the one.
  const auto arm = [&] {
    return peer.Do(AcctMessage(NFNL_MSG_ACCT_NEW, NLM_F_REPLACE | NLM_F_ACK)
                       .Name("object")
                       .U32(NFACCT_FLAGS, NFACCT_F_QUOTA_PKTS)
                       .U64(NFACCT_QUOTA, 1));
  };
  ASSERT_EQ(arm(), 0);
  CountPort("-A", kPort, "object");
  Senders senders(2, 3);
  for (int i = 0; i < kRounds; ++i) {
    SCOPED_TRACE(i);
    senders.Send();
    AcctReply events;
    while (listener.Receive(64 << 10, 0, events)) continue;
    ASSERT_EQ(events.objects.size(), 1u);
    const AcctObject& event = events.objects[0];
    EXPECT_EQ(event.name, "object");
    EXPECT_GE(event.packets, 1u);
    EXPECT_LE(event.packets, 6u);
    EXPECT_EQ(event.flags, NFACCT_F_QUOTA_PKTS | NFACCT_F_OVERQUOTA);
    EXPECT_EQ(event.quota, 1u);
    ASSERT_EQ(peer.Get("object")->packets, 6u);
    ASSERT_EQ(arm(), 0);
  }
  CountPort("-D", kPort, "object");
}

}  // namespace
}  // namespace nfmeter::testing
