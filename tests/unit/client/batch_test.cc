// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/batch.h"

#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace nfmeter::client_internal {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::vector<std::pair<size_t, size_t>> Split(
    const std::vector<size_t>& sizes, const Connection::BatchLimits& limits) {
  std::vector<std::pair<size_t, size_t>> parts;
  for (const BatchPart& part : SplitBatch(
           sizes.size(), [&](size_t i) { return sizes[i]; }, limits)) {
    parts.push_back({part.first, part.last});
  }
  return parts;
}

TEST(SplitBatchTest, PartsHaveAtMostTheAllowedItems) {
  EXPECT_THAT(Split({1, 1, 1, 1, 1}, {.max_items = 2}),
              ElementsAre(Pair(0, 2), Pair(2, 4), Pair(4, 5)));
  EXPECT_THAT(Split({1, 1, 1, 1}, {.max_items = 2}),
              ElementsAre(Pair(0, 2), Pair(2, 4)));
}

TEST(SplitBatchTest, PartsHaveAtMostTheAllowedBytes) {
  const size_t room = kRequestOverhead + 2 * (100 + kItemOverhead);
  EXPECT_THAT(Split({100, 100, 100}, {.max_bytes = room}),
              ElementsAre(Pair(0, 2), Pair(2, 3)));
  EXPECT_THAT(Split({100, 101, 100}, {.max_bytes = room}),
              ElementsAre(Pair(0, 1), Pair(1, 2), Pair(2, 3)));
}

TEST(SplitBatchTest, AnItemThatIsTooLargeTravelsAlone) {
  EXPECT_THAT(Split({1, 5000, 1}, {.max_bytes = kRequestOverhead + 100}),
              ElementsAre(Pair(0, 1), Pair(1, 2), Pair(2, 3)));
  EXPECT_THAT(Split({5000}, {.max_bytes = 10}), ElementsAre(Pair(0, 1)));
}

TEST(SplitBatchTest, AnEmptyBatchIsOneEmptyPart) {
  EXPECT_THAT(Split({}, {.max_items = 2}), ElementsAre(Pair(0, 0)));
}

}  // namespace
}  // namespace nfmeter::client_internal
