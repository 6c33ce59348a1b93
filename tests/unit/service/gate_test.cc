// SPDX-License-Identifier: GPL-3.0-or-later
// How many answers are made at once.
#include "service/gate/gate.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "security/access/authorizer.h"

namespace nfmeter::service {
namespace {

class GateTest : public ::testing::Test {
 protected:
  const security::Authorizer authorizer_{
      std::vector<security::ListenerGrant>{}};
  Gate gate_{authorizer_, {}, {}};
};

TEST_F(GateTest, AnswersOfManyAreMadeAFewAtATime) {
  constexpr size_t kBytes = 10 << 20;
  for (int i = 0; i < 2; ++i) gate_.BeginAnswer(kBytes);  // so many fit
  for (int i = 0; i < 2; ++i) gate_.EndAnswer(kBytes);
  std::atomic<int> now = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        gate_.BeginAnswer(kBytes);
        const int others = ++now;
        int before = most;
        while (before < others && !most.compare_exchange_weak(before, others)) {
        }
        std::this_thread::yield();
        --now;
        gate_.EndAnswer(kBytes);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(most, 2);
}

TEST_F(GateTest, OneAnswerMayBeLargerThanAllTogether) {
  gate_.BeginAnswer(1 << 30);
  gate_.EndAnswer(1 << 30);
}

}  // namespace
}  // namespace nfmeter::service
