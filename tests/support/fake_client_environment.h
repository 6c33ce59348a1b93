// SPDX-License-Identifier: GPL-3.0-or-later
// Time and chance for tests of the SDK.
#ifndef NFMETER_TESTS_SUPPORT_FAKE_CLIENT_ENVIRONMENT_H_
#define NFMETER_TESTS_SUPPORT_FAKE_CLIENT_ENVIRONMENT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/src/environment.h"

namespace nfmeter::testing {

// Sleeping takes no time, but moves the clock on and is remembered.
class FakeClientEnvironment : public client_internal::Environment {
 public:
  absl::Time Now() override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }

  void Sleep(absl::Duration duration,
             client_internal::Cancellation* cancelled) override {
    {
      absl::MutexLock lock(&mutex_);
      now_ += duration;
      sleeps_.push_back(duration);
    }
    if (on_sleep) on_sleep(cancelled);
  }

  double Chance() override { return chance; }

  std::string NewRequestId() override {
    absl::MutexLock lock(&mutex_);
    return absl::StrCat("id-", ++ids_);
  }

  std::vector<absl::Duration> sleeps() {
    absl::MutexLock lock(&mutex_);
    return sleeps_;
  }

  // Set before use.
  double chance = 0;
  std::function<void(client_internal::Cancellation*)> on_sleep;

 private:
  absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1'000'000);
  std::vector<absl::Duration> sleeps_ ABSL_GUARDED_BY(mutex_);
  int ids_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_FAKE_CLIENT_ENVIRONMENT_H_
