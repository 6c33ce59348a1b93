#include "client/src/environment.h"

#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace nfmeter::client_internal {
namespace {

class RealEnvironment : public Environment {
 public:
  absl::Time Now() override { return absl::Now(); }

  void Sleep(absl::Duration duration, absl::Notification* cancelled) override {
    if (cancelled == nullptr) {
      absl::SleepFor(duration);
    } else {
      cancelled->WaitForNotificationWithTimeout(duration);
    }
  }

  double Chance() override {
    absl::BitGen random;
    return absl::Uniform(random, 0.0, 1.0);
  }

  // RFC 4122, version 4.
  std::string NewRequestId() override {
    absl::BitGen random;
    const auto high = absl::Uniform<uint64_t>(random);
    const auto low = absl::Uniform<uint64_t>(random);
    return absl::StrFormat(
        "%08x-%04x-4%03x-%04x-%012x", high >> 32, (high >> 16) & 0xffff,
        high & 0xfff, 0x8000 | ((low >> 48) & 0x3fff), low & 0xffffffffffff);
  }
};

}  // namespace

std::shared_ptr<Environment> SystemEnvironment() {
  return std::make_shared<RealEnvironment>();
}

}  // namespace nfmeter::client_internal
