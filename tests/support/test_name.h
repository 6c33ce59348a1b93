// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef NFMETER_TESTS_SUPPORT_TEST_NAME_H_
#define NFMETER_TESTS_SUPPORT_TEST_NAME_H_

#include <ostream>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace nfmeter::testing {

// Prints a parameter of a test by its text, as CTest has it in the test's name.
inline void PrintInTestName(absl::string_view text, std::ostream* out) {
  if (text.empty()) *out << "nothing";
  for (const char c : text) *out << (absl::ascii_isalnum(c) ? c : '_');
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_TEST_NAME_H_
