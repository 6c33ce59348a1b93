// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_owned_moves.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "kernel/linux/nftables/nft_name.h"

namespace nfmeter::kernel {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Elements = std::vector<NftBatch::MapElement>;

const Elements kNone;
const Elements kA = {{.key = "1", .object = "c.a"}};
const Elements kAElsewhere = {{.key = "2", .object = "c.a"}};
const Elements kB = {{.key = "1", .object = "c.b"}};

NftPlaceChange InPlace(absl::string_view map, const Elements& lost,
                       const Elements& got) {
  return {.map = map, .in_place = true, .lost = lost, .got = got};
}

TEST(NftOwnedMovesTest, WhatComesOrGoesMovesNothing) {
  EXPECT_THAT(NftMovedMaps({InPlace("m", kNone, kA)}), IsEmpty());
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, kNone)}), IsEmpty());
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, kB)}), IsEmpty());
}

// Other packets than before.
TEST(NftOwnedMovesTest, AnotherKeyInTheSameMapMovesNothing) {
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, kAElsewhere)}), IsEmpty());
}

TEST(NftOwnedMovesTest, FromOneMapToAnotherConcernsBoth) {
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, kNone), InPlace("n", kNone, kA),
                            InPlace("other", kNone, kB)}),
              UnorderedElementsAre("m", "n"));
}

TEST(NftOwnedMovesTest, MapsAndRulesThatComeOrGoArePlacesToo) {
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, kNone), {.map = "n", .got = kA}}),
              UnorderedElementsAre("m"));
  EXPECT_THAT(NftMovedMaps({InPlace("m", kNone, kA), {.map = "n", .lost = kA}}),
              UnorderedElementsAre("m"));
  EXPECT_THAT(NftMovedMaps({{.lost = kA}, InPlace("m", kNone, kA)}),
              UnorderedElementsAre("m"));
  EXPECT_THAT(NftMovedMaps({{.map = "n", .lost = kA}, {.map = "o", .got = kA}}),
              IsEmpty());
}

TEST(NftOwnedMovesTest, WhatIsInSeveralPlacesIsElsewhereToo) {
  EXPECT_THAT(
      NftMovedMaps({InPlace("m", kA, kNone), InPlace("n", kNone, kAElsewhere),
                    InPlace("m", kNone, kAElsewhere)}),
      UnorderedElementsAre("m", "n"));
}

TEST(NftOwnedMovesTest, AStandInIsItsCounterWhereverItIs) {
  const Elements stand_in = {
      {.key = "1", .object = NftObjectName(StandInName("a"))}};
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, stand_in)}),
              UnorderedElementsAre("m"));
  EXPECT_THAT(NftMovedMaps({InPlace("m", stand_in, kA)}),
              UnorderedElementsAre("m"));
  EXPECT_THAT(
      NftMovedMaps({InPlace("m", kA, kNone), {.map = "n", .got = stand_in}}),
      UnorderedElementsAre("m"));
}

// The pairs of a map that do not count there.
TEST(NftOwnedMovesTest, SetsGoWithTheMaps) {
  const Elements pair = {{.key = "11"}};
  NftPlaceChange set = InPlace("m-pairs", pair, kNone);
  set.is_set = true;
  EXPECT_THAT(NftMovedMaps({InPlace("m", kA, kNone), set}), IsEmpty());
  EXPECT_THAT(
      NftMovedMaps({InPlace("m", kA, kNone), set, {.map = "n", .got = kA}}),
      UnorderedElementsAre("m", "m-pairs"));
}

}  // namespace
}  // namespace nfmeter::kernel
