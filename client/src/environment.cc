// SPDX-License-Identifier: Apache-2.0
#include "client/src/environment.h"

#include <chrono>
#include <cstdint>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"

namespace nfmeter::client_internal {
namespace {

class RealEnvironment : public Environment {
 public:
  absl::Time Now() override {
    return absl::UnixEpoch() +
           absl::FromChrono(
               std::chrono::steady_clock::now().time_since_epoch());
  }

  void Sleep(absl::Duration duration, Cancellation* cancelled) override {
    const Cancellation never;
    (cancelled == nullptr ? &never : cancelled)->WaitFor(duration);
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
