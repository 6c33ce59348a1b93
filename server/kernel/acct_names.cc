// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/acct_names.h"

#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace nfmeter::kernel {
namespace {

// How many bytes of a long name stay readable.
constexpr size_t kPlainBytes = 14;

}  // namespace

std::string NameHash(absl::string_view name, size_t bytes) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const uint8_t*>(name.data()), name.size(),
         digest.data());
  return absl::WebSafeBase64Escape(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), bytes));
}

std::string NfacctName(absl::string_view counter) {
  if (counter.size() <= kNfacctNameMaxBytes) return std::string(counter);
  return absl::StrCat(counter.substr(0, kPlainBytes), "~",
                      NameHash(counter, 12));
}

std::string StandInName(absl::string_view counter) {
  return absl::StrCat(kStandInPrefix, NameHash(counter, 15));
}

void AcctNames::Learn(std::string kernel_name, absl::string_view counter) {
  if (kernel_name == counter) return;
  absl::MutexLock lock(&mutex_);
  counters_.try_emplace(std::move(kernel_name), counter);
}

void AcctNames::Forget(const std::string& kernel_name) {
  absl::MutexLock lock(&mutex_);
  counters_.erase(kernel_name);
}

std::optional<std::string> AcctNames::Find(
    absl::string_view kernel_name) const {
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = counters_.find(kernel_name);
  if (found == counters_.end()) return std::nullopt;
  return found->second;
}

bool AcctNames::IsAnothers(absl::string_view kernel_name,
                           absl::string_view counter) const {
  if (kernel_name == counter) return false;
  absl::ReaderMutexLock lock(&mutex_);
  const auto found = counters_.find(kernel_name);
  return found != counters_.end() && found->second != counter;
}

}  // namespace nfmeter::kernel
