// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/name_escape.h"

#include <iostream>
#include <random>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;

TEST(NameEscapeTest, PrintableNamesAreShownAsTheyAre) {
  for (const std::string name : {"INPUT", "z\xc3\xa4hler", "my set", "a\"b"}) {
    EXPECT_EQ(EscapeName(name), name);
  }
  EXPECT_EQ(EscapeNameToAscii("a.b:c/d@e"), "a.b:c/d@e");
}

TEST(NameEscapeTest, OtherBytesAndBackslashesAreShownByTheirValue) {
  EXPECT_EQ(EscapeName("caf\xe9"), "caf\\xe9");
  EXPECT_EQ(EscapeName("a\\b\n\x7f"), "a\\x5cb\\x0a\\x7f");
  EXPECT_EQ(EscapeName(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(EscapeName("\xc2\x9b"), "\\xc2\\x9b") << "CSI, for terminals";
  EXPECT_EQ(EscapeName("\xc3"), "\\xc3") << "a character cut short";
  EXPECT_EQ(EscapeNameToAscii("z\xc3\xa4 \\"), "z\\xc3\\xa4\\x20\\x5c");
}

TEST(NameEscapeTest, BothFormsAndPlainCharactersAreRead) {
  for (const std::string shown :
       {"z\xc3\xa4hler", "z\\xc3\\xa4hler", "z\\xC3\\xa4h\\x6cer"}) {
    EXPECT_THAT(UnescapeName(shown), IsOkAndHolds("z\xc3\xa4hler"));
  }
  EXPECT_THAT(UnescapeName(""), IsOkAndHolds(""));
}

TEST(NameEscapeTest, ABackslashBeginsAByte) {
  for (const std::string bad :
       {"a\\", "a\\x", "a\\x5", "a\\xg0", "a\\n", "a\\\\", "a\\X41"}) {
    EXPECT_THAT(UnescapeName(bad), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("backslash at byte 1")))
        << bad;
  }
}

TEST(NameEscapeTest, EveryNameComesBackFromWhatIsShown) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  const std::string pieces[] = {"\\",   "x", "\\x",          "41", "\xc3\xa4",
                                "\xf0", "a", "\xe2\x86\x92", " ",  "\n"};
  for (int i = 0; i < 20'000; ++i) {
    std::string name;
    for (size_t n = random() % 12; n > 0; --n) {
      name += random() % 2 == 0 ? std::string(1, static_cast<char>(random()))
                                : pieces[random() % std::size(pieces)];
    }
    const std::string shown = EscapeName(name);
    EXPECT_EQ(ValidUtf8(shown), shown);
    ASSERT_THAT(UnescapeName(shown), IsOkAndHolds(name)) << shown;
    const std::string ascii = EscapeNameToAscii(name);
    EXPECT_TRUE(std::all_of(ascii.begin(), ascii.end(), absl::ascii_isgraph));
    ASSERT_THAT(UnescapeName(ascii), IsOkAndHolds(name)) << ascii;
  }
}

}  // namespace
}  // namespace nfmeter
