// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/kernel_watch.h"

#include "accounting/domain.h"
#include "app/capabilities.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_kernel.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::app {
namespace {

using ::nfmeter::testing::FakeClock;
using ::nfmeter::testing::HasReason;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

kernel::Capabilities WithoutAccounting() {
  kernel::Capabilities capabilities;
  capabilities.acct = MakeError(absl::StatusCode::kUnimplemented,
                                "ACCT_UNAVAILABLE", "no nfnetlink_acct");
  return capabilities;
}

class KernelWatchTest : public ::testing::Test {
 protected:
  void StartWith(const kernel::Capabilities& capabilities) {
    kernel_.SetCapabilities(capabilities);
    kernel_.Probe();
    watch_.Start(kernel_, [this] { ++changes_; });
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    watch_.Tick();
  }

  FakeClock clock_;
  kernel::FakeKernel kernel_;
  KernelWatch watch_{clock_};
  int changes_ = 0;
};

TEST_F(KernelWatchTest, AModuleThatIsLoadedLaterIsUsedWithinAMinute) {
  StartWith(WithoutAccounting());
  const auto domain = *accounting::Domain::Open(kernel_, clock_, {});
  const auto create = [&] {
    return domain->counter_editor().Create({{.object = {.name = "c"}}}, false);
  };
  EXPECT_THAT(create(), HasReason("ACCT_UNAVAILABLE"));
  kernel_.SetCapabilities({});
  Pass(KernelWatch::kInterval - absl::Seconds(1));
  EXPECT_EQ(changes_, 0);
  Pass(absl::Seconds(1));
  EXPECT_EQ(changes_, 1);
  EXPECT_OK(create());
  for (const ServiceHealth& each : HealthOf(*kernel_.capabilities())) {
    EXPECT_TRUE(each.serving) << each.service;
  }
  Pass(KernelWatch::kInterval);
  EXPECT_EQ(changes_, 1);
}

TEST_F(KernelWatchTest, AFailedCallAsksForAProbe) {
  StartWith(WithoutAccounting());
  kernel_.SetCapabilities({});
  watch_.OnCallEnded({.status = absl::NotFoundError("no such counter")});
  Pass(KernelWatch::kLeastInterval);
  EXPECT_EQ(changes_, 0);
  watch_.OnCallEnded({.status = WithoutAccounting().acct});
  Pass(absl::ZeroDuration());
  EXPECT_EQ(changes_, 1);
}

TEST_F(KernelWatchTest, FailedCallsWithoutEndDoNotProbeWithoutEnd) {
  StartWith(WithoutAccounting());
  watch_.OnCallEnded({.status = WithoutAccounting().acct});
  Pass(KernelWatch::kLeastInterval);  // finds nothing new
  kernel_.SetCapabilities({});
  watch_.OnCallEnded({.status = WithoutAccounting().acct});
  Pass(KernelWatch::kLeastInterval / 2);
  EXPECT_EQ(changes_, 0);
  Pass(KernelWatch::kLeastInterval / 2);
  EXPECT_EQ(changes_, 1);
}

TEST_F(KernelWatchTest, APartThatWentIsANotice) {
  StartWith({});
  EXPECT_THAT(watch_.Notice(), IsEmpty());
  kernel_.SetCapabilities(WithoutAccounting());
  watch_.Probe();
  EXPECT_EQ(changes_, 1);
  EXPECT_THAT(watch_.Notice(), HasSubstr("nfacct"));
  kernel_.SetCapabilities({});
  watch_.Probe();
  EXPECT_THAT(watch_.Notice(), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::app
