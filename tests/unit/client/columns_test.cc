// SPDX-License-Identifier: GPL-3.0-or-later
#include "client/src/columns.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::client_internal {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAreArray;

TEST(SplitNamesTest, FindsNamesOfEveryLengthAtEveryPlace) {
  for (size_t shift = 0; shift < 9; ++shift) {
    std::vector<std::string> expected;
    std::string blob;
    for (size_t length = shift; length <= 40 + shift; ++length) {
      // Bytes next to the newline's, and with the top bit, are not it.
      const char byte = "\x0b\x09\x8a\xff"[length % 4];
      expected.push_back(std::string(length, byte));
      blob += expected.back() + '\n';
    }
    std::vector<absl::string_view> names;
    ASSERT_OK(SplitNames(blob, expected.size(), &names));
    EXPECT_THAT(names, ElementsAreArray(expected));
  }
}

TEST(SplitNamesTest, NamesWithoutAnEndOrMoreThanIdsAreRefused) {
  std::vector<absl::string_view> names;
  EXPECT_THAT(SplitNames("a\nb", 2, &names),
              StatusIs(absl::StatusCode::kDataLoss));
  names.clear();
  EXPECT_THAT(SplitNames("no-newline-in-eight-bytes", 1, &names),
              StatusIs(absl::StatusCode::kDataLoss));
  names.clear();
  EXPECT_THAT(SplitNames("a\nb\n", 1, &names),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace nfmeter::client_internal
