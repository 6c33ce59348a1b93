// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel of a network namespace, used from another one.
#include "kernel/linux/linux_kernel.h"

#include <sched.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A new one, in which nobody is.
NetworkNamespace NewNamespace() {
  std::optional<NetworkNamespace> made;
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    made.emplace();
  }).join();
  return *made;
}

std::vector<std::string> RulesIn(LinuxKernel& kernel) {
  std::vector<std::string> ids;
  const auto contents = kernel.rules().Read(Family::kIpv4, Table::kFilter);
  EXPECT_OK(contents);
  if (!contents.ok()) return ids;
  for (const Chain& chain : contents->chains) {
    for (const Rule& rule : chain.rules) ids.push_back(rule.id);
  }
  return ids;
}

TEST(LinuxKernelTest, EverythingIsInTheNamespaceThatItWasGiven) {
  const auto here = *LinuxKernel::Open();
  const auto there = *LinuxKernel::Open(SystemClock(), "", NewNamespace());
  EXPECT_OK(there->capabilities()->acct);
  EXPECT_OK(there->capabilities()->quota_events);
  EXPECT_OK(there->capabilities()->rules.match_ipv4);
  ASSERT_OK(there->acct().Create({{.name = "web"}}).front());
  ASSERT_OK(testing::Edit(there->rules(),
                          {.insertions = {{"a", "INPUT", {}, "web"}}}));
  EXPECT_THAT(RulesIn(*there), ElementsAre("a"));
  EXPECT_EQ(there->rule_acct().Get("web")->use_count, 1u);

  EXPECT_THAT(here->acct().Get("web"), HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(RulesIn(*here), IsEmpty());
}

TEST(LinuxKernelTest, AThreadStaysWhereItIs) {
  const NetworkNamespace home;
  const auto there = *LinuxKernel::Open(SystemClock(), "", NewNamespace());
  ASSERT_OK(there->acct().Create({{.name = "web"}}).front());
  RulesIn(*there);
  there->Probe();
  there->Notices();
  EXPECT_THAT((*LinuxKernel::Open())->acct().Get("web"),
              HasReason("COUNTER_NOT_FOUND"));
}

// Modules come and go; what was found before is kept by whoever has it.
TEST(LinuxKernelTest, AProbeIsAValue) {
  const auto kernel = *LinuxKernel::Open();
  const auto first = kernel->capabilities();
  const auto second = kernel->Probe();
  EXPECT_NE(first, second);
  EXPECT_EQ(kernel->capabilities(), second);
  EXPECT_EQ(first->acct, second->acct);
}

}  // namespace
}  // namespace nfmeter::kernel
