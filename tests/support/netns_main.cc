// SPDX-License-Identifier: GPL-3.0-or-later
// main() of tests that touch the kernel: all that the filter names in a private
// network namespace, or, with --each-alone, those whose names standard input
// has, a line each, one after the other in a process and a namespace of its
// own. That is for machines where starting a program takes long.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/private_netns.h"

namespace {

bool EnterNetns() {
  const absl::Status status = nfmeter::testing::EnterPrivateNetns();
  if (!status.ok()) {
    std::cerr << "no private network namespace to test in: " << status << "\n";
  }
  return status.ok();
}

// "passed NAME", "skipped NAME", or "failed NAME" and what it had said.
// The namespace stays until the program ends: the kernel patches its own code
// as it takes one apart, which must not be beside the next test's packets in a
// machine whose processors run at once (see tests/kmod/boot).
bool RunAlone(const std::string& name) {
  if (!EnterNetns() || open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) < 0) {
    return false;
  }
  std::FILE* const output = std::tmpfile();
  const pid_t child = fork();
  if (child == 0) {
    dup2(fileno(output), STDOUT_FILENO);
    dup2(fileno(output), STDERR_FILENO);
    ::testing::GTEST_FLAG(filter) = name;
    const int failed = RUN_ALL_TESTS();
    std::fflush(stdout);
    _exit(failed);
  }
  int status = -1;
  waitpid(child, &status, 0);
  std::rewind(output);
  std::string text;
  for (int c; (c = std::fgetc(output)) != EOF;) text.push_back(c);
  std::fclose(output);
  if (status != 0) {
    std::cout << "failed " << name << "\n" << text << std::endl;
  } else if (absl::StrContains(text, "[  SKIPPED ]")) {
    std::cout << "skipped " << name << std::endl;
  } else if (absl::StrContains(text, "[  PASSED  ] 1 test")) {
    std::cout << "passed " << name << std::endl;
  } else {
    std::cout << "failed " << name << ": there is no such test" << std::endl;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  if (::testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  if (argc != 2 || absl::string_view(argv[1]) != "--each-alone") {
    return EnterNetns() ? RUN_ALL_TESTS() : 1;
  }
  for (std::string name; std::getline(std::cin, name);) {
    if (!RunAlone(name)) return 1;
  }
  return 0;
}
