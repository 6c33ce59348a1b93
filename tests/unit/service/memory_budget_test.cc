// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/memory_budget.h"

#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using Hold = MemoryBudget::Hold;

constexpr size_t kUnit = MemoryBudget::kLeastBytes;

TEST(MemoryBudgetTest, ACallerMayHaveHalf) {
  MemoryBudget budget(10 * kUnit);
  Hold first;
  EXPECT_OK(budget.Take("a", 4 * kUnit, first));
  Hold second;
  const absl::Status refused = budget.Take("a", 2 * kUnit, second);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("limits.max_held_bytes")));
  EXPECT_EQ(GetErrorDetails(refused).reason, "TOO_MUCH_HELD");
  EXPECT_OK(budget.Take("b", 5 * kUnit, second));
  first.Release();
  EXPECT_EQ(budget.held(), 5 * kUnit);
  EXPECT_OK(budget.Take("a", 5 * kUnit, first));
}

TEST(MemoryBudgetTest, BeyondTheBoundThoseWithLittleAreServed) {
  MemoryBudget budget(12 * kUnit);
  Hold a, b, c;
  EXPECT_OK(budget.Take("a", 6 * kUnit, a));
  EXPECT_OK(budget.Take("b", 6 * kUnit, b));
  EXPECT_OK(budget.Take("c", 3 * kUnit, c));
  Hold more;
  EXPECT_THAT(budget.Take("c", 3 * kUnit, more),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(MemoryBudgetTest, WhatStreamsOfACallerShareCountsOnce) {
  MemoryBudget budget(10 * kUnit);
  const char frame = 0;
  Hold holds[3];
  for (Hold& hold : holds) {
    EXPECT_OK(budget.Take("a", 4 * kUnit, hold, &frame));
  }
  EXPECT_EQ(budget.held(), 4 * kUnit);
  holds[0].Release();
  holds[1].Release();
  EXPECT_EQ(budget.held(), 4 * kUnit);
  holds[2].Release();
  EXPECT_EQ(budget.held(), 0u);
}

TEST(MemoryBudgetTest, WhatIsThereAlreadyCountsThoughItIsTooMuch) {
  MemoryBudget budget(4 * kUnit);
  Hold answer;
  budget.TakeAnyway("a", 9 * kUnit, answer);
  EXPECT_THAT(budget.Check("a"),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_OK(budget.Check("b"));
  Hold moved = std::move(answer);
  answer.Release();
  EXPECT_EQ(budget.held(), 9 * kUnit);
}

}  // namespace
}  // namespace nfmeter::service
