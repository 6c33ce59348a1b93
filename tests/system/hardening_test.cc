// SPDX-License-Identifier: GPL-3.0-or-later
// The programs as they were linked: what they bring against memory errors.
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "tests/support/read_file.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class HardeningTest : public ::testing::TestWithParam<const char*> {
 protected:
  static std::string ReadElf(const std::string& what) {
    const testing::RunResult run =
        testing::Run({"readelf", "--wide", what, GetParam()});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.out;
  }
};

TEST_P(HardeningTest, IsLoadedAnywhere) {
  EXPECT_THAT(ReadElf("--file-header"), ContainsRegex("Type: +DYN"));
  EXPECT_THAT(ReadElf("--dynamic"), ContainsRegex("FLAGS_1.*PIE"));
}

TEST_P(HardeningTest, RelocationsAreReadOnlyOnceItRuns) {
  EXPECT_THAT(ReadElf("--program-headers"), HasSubstr("GNU_RELRO"));
  EXPECT_THAT(ReadElf("--dynamic"),
              AnyOf(HasSubstr("BIND_NOW"), ContainsRegex("FLAGS_1.*NOW")));
}

TEST_P(HardeningTest, NothingIsWritableAndExecutable) {
  const std::vector<std::string> headers =
      absl::StrSplit(ReadElf("--program-headers"), '\n');
  for (const std::string& line : headers) {
    EXPECT_THAT(line, Not(ContainsRegex("(LOAD|GNU_STACK).* RWE ")));
  }
  EXPECT_THAT(ReadElf("--program-headers"), ContainsRegex("GNU_STACK.* RW  "));
  EXPECT_THAT(ReadElf("--dynamic"), Not(HasSubstr("TEXTREL")));
}

TEST_P(HardeningTest, StacksAreGuardedAndCopiesAreChecked) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer does that";
#endif
  const std::string symbols = ReadElf("--dyn-syms");
  EXPECT_THAT(symbols, HasSubstr("__stack_chk_fail"));
#ifdef NDEBUG
  EXPECT_THAT(symbols, ContainsRegex("__(mem|str|sn?printf|fprintf|read|recv|"
                                     "poll)[a-z]*_chk"));
#endif
}

// Debian 12's own start-up code is not marked for it, so the linker does not
// mark the whole program; our functions begin with the instruction all the
// same.
TEST_P(HardeningTest, FunctionsBeginWhereIndirectJumpsMayLand) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "is of x86-64";
#endif
#ifndef __CET__
  GTEST_SKIP() << "a build with sanitizers does without";
#endif
  const std::string program = testing::ReadFile(GetParam());
  constexpr absl::string_view kEndbr64 = "\xf3\x0f\x1e\xfa";
  size_t count = 0;
  for (size_t at = program.find(kEndbr64.data(), 0, 4); at != std::string::npos;
       at = program.find(kEndbr64.data(), at + 1, 4)) {
    ++count;
  }
  EXPECT_GT(count, 1000u);
}

TEST_P(HardeningTest, LibrariesComeFromTheSystemAlone) {
  EXPECT_THAT(ReadElf("--dynamic"), Not(ContainsRegex("R(UN)?PATH")));
}

INSTANTIATE_TEST_SUITE_P(Programs, HardeningTest,
                         ::testing::Values(NFMETERD_PROGRAM, NFMETER_PROGRAM),
                         [](const auto& info) {
                           return info.index == 0 ? "nfmeterd" : "nfmeter";
                         });

}  // namespace
}  // namespace nfmeter
