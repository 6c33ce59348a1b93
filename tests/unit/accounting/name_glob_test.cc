// SPDX-License-Identifier: GPL-3.0-or-later
// Names of counters that look like globs, as clients write them in filters.
#include "proto/words/name_glob.h"

#include "accounting/common/counter_filter.h"
#include "gmock/gmock.h"

namespace nfmeter {
namespace {

using accounting::GlobMatches;

TEST(NameGlobTest, TheGlobOfANameMatchesThatNameAlone) {
  for (const char* name : {"web", "a*b", "a?b", "[ab]", "[!a]", "[", "]", "*",
                           R"(a\x20b)", "a]*[?b"}) {
    EXPECT_TRUE(GlobMatches(GlobOfName(name), name)) << name;
  }
  EXPECT_FALSE(GlobMatches(GlobOfName("a*b"), "aXb"));
  EXPECT_FALSE(GlobMatches(GlobOfName("a?b"), "aXb"));
  EXPECT_FALSE(GlobMatches(GlobOfName("[ab]"), "a"));
}

TEST(NameGlobTest, ANameWithoutSuchCharactersIsNoGlob) {
  EXPECT_FALSE(IsGlob("ns:a/b@host+1-2_x.y"));
  for (const char* glob : {"a*", "?", "x[ab]"}) EXPECT_TRUE(IsGlob(glob));
}

}  // namespace
}  // namespace nfmeter
