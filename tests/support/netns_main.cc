// SPDX-License-Identifier: GPL-3.0-or-later
// main() of tests that touch the kernel.
#include <iostream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/private_netns.h"

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  if (!::testing::GTEST_FLAG(list_tests)) {
    const absl::Status status = nfmeter::testing::EnterPrivateNetns();
    if (!status.ok()) {
      std::cerr << "no private network namespace to test in: " << status
                << "\n";
      return 1;
    }
  }
  return RUN_ALL_TESTS();
}
