// SPDX-License-Identifier: GPL-3.0-or-later
#include <cstdint>

#include "accounting/ledger/account.h"
#include "gmock/gmock.h"

namespace nfmeter::accounting {
namespace {

constexpr uint64_t kLast = UINT64_MAX;

TEST(AmountTest, WhatGrewDidNotGoBack) {
  const Amount before = {10, 1000};
  EXPECT_FALSE((Amount{10, 1000}).WentBackFrom(before));
  EXPECT_FALSE((Amount{11, 1100}).WentBackFrom(before));
  EXPECT_TRUE((Amount{0, 0}).WentBackFrom(before));
  EXPECT_TRUE((Amount{9, 2000}).WentBackFrom(before));
  EXPECT_TRUE((Amount{11, 999}).WentBackFrom(before));
}

TEST(AmountTest, PassingTheLastNumberIsNotGoingBack) {
  EXPECT_FALSE((Amount{20, 500}).WentBackFrom({10, kLast - 500}));
  EXPECT_FALSE((Amount{3, 5000}).WentBackFrom({kLast - 3, 4000}));
  // The difference is what was counted meanwhile.
  EXPECT_EQ((Amount{20, 500} - Amount{10, kLast - 499}), (Amount{10, 1000}));
}

TEST(AmountTest, AResetShortBeforeTheLastNumberIsOne) {
  // The packets tell.
  EXPECT_TRUE((Amount{1, 100}).WentBackFrom({10, kLast - 500}));
}

}  // namespace
}  // namespace nfmeter::accounting
