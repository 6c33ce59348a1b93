// SPDX-License-Identifier: GPL-3.0-or-later
#include "proto/words/nearest_word.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"

namespace nfmeter {
namespace {

const std::vector<std::string> kKnown = {"--listen", "--state-dir", "--ledger",
                                         "--max-streams"};

TEST(NearestWordTest, IsTheOneOfTheFewestEdits) {
  EXPECT_EQ(NearestWord("--lsiten", kKnown, 2), "--listen");
  EXPECT_EQ(NearestWord("--ledgr", kKnown, 2), "--ledger");
  EXPECT_EQ(NearestWord("--lsitn", kKnown, 1), "");
  EXPECT_EQ(NearestWord("", {"a", "b"}, 1), "a");
}

TEST(NearestWordTest, LettersInEachOthersPlaceAreOneEdit) {
  EXPECT_EQ(NearestWord("--lsiten", kKnown, 1), "--listen");
  EXPECT_EQ(NearestWord("ba", {"ab"}, 1), "ab");
  EXPECT_EQ(NearestWord("bca", {"abc"}, 1), "");
}

TEST(NearestWordTest, ElseIsOneWithTheSameBeginning) {
  EXPECT_EQ(NearestWord("--state-directory", kKnown, 2), "--state-dir");
  EXPECT_EQ(NearestWord("--max", kKnown, 2), "--max-streams");
  EXPECT_EQ(NearestWord("--l", kKnown, 2), "");
}

TEST(NearestWordTest, IsNoneForWordsThatAreTooLongOrWithoutChoices) {
  EXPECT_EQ(NearestWord(std::string(257, 'a'), {std::string(256, 'a')}, 2), "");
  EXPECT_EQ(NearestWord("a", {}, 2), "");
}

}  // namespace
}  // namespace nfmeter
