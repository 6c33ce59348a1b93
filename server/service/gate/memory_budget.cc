// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/memory_budget.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::service {

void MemoryBudget::Hold::Release() {
  MemoryBudget* const budget = std::exchange(budget_, nullptr);
  if (budget == nullptr) return;
  absl::MutexLock lock(&budget->mutex_);
  const auto found = budget->accounts_.find(caller_);
  Account& account = found->second;
  bool is_last = true;
  if (shared_ != nullptr) {
    const auto user = account.shared.find(shared_);
    is_last = --user->second == 0;
    if (is_last) account.shared.erase(user);
  }
  if (is_last) {
    account.bytes -= bytes_;
    budget->held_ -= bytes_;
  }
  if (--account.holds == 0) budget->accounts_.erase(found);
}

absl::Status MemoryBudget::Take(const std::string& caller, size_t bytes,
                                Hold& hold, const void* shared) {
  hold.Release();
  if (bytes < kLeastBytes) return absl::OkStatus();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = accounts_.find(caller);
    const bool is_known = found != accounts_.end();
    const bool is_held =
        is_known && shared != nullptr && found->second.shared.contains(shared);
    if (is_held || MayHave(is_known ? found->second.bytes : 0, bytes)) {
      Add(caller, bytes, shared, hold);
      return absl::OkStatus();
    }
  }
  return Refusal(caller);
}

void MemoryBudget::TakeAnyway(const std::string& caller, size_t bytes,
                              Hold& hold) {
  hold.Release();
  if (bytes < kLeastBytes) return;
  absl::MutexLock lock(&mutex_);
  Add(caller, bytes, nullptr, hold);
}

void MemoryBudget::Add(const std::string& caller, size_t bytes,
                       const void* shared, Hold& hold) {
  Account& account = accounts_[caller];
  ++account.holds;
  if (shared == nullptr || account.shared[shared]++ == 0) {
    account.bytes += bytes;
    held_ += bytes;
  }
  hold.budget_ = this;
  hold.caller_ = caller;
  hold.bytes_ = bytes;
  hold.shared_ = shared;
}

absl::Status MemoryBudget::CheckMore(const std::string& caller,
                                     size_t more) const {
  {
    absl::ReaderMutexLock lock(&mutex_);
    const auto found = accounts_.find(caller);
    if (found == accounts_.end() || MayHave(found->second.bytes, more)) {
      return absl::OkStatus();
    }
  }
  return Refusal(caller);
}

bool MemoryBudget::MayHave(size_t own, size_t more) const {
  const size_t wanted = own + more;
  if (wanted > max_bytes_ / 2) return false;
  return held() + more <= max_bytes_ ||
         wanted * (accounts_.size() + 1) <= max_bytes_;
}

absl::Status MemoryBudget::Refusal(const std::string& caller) const {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the server would hold too much for ", caller,
                   ": requests that are served, answers that were not read, ",
                   "streams; it holds at most ", max_bytes_ / 2,
                   " bytes for each caller; read the answers, make smaller ",
                   "requests, or raise limits.max_held_bytes"),
      BoundDetails("TOO_MUCH_HELD", max_bytes_ / 2));
}

void MemoryBudget::WriteMetrics(telemetry::MetricsText& text) const {
  text.Gauge("nfmeter_held_bytes",
             "Bytes held for callers: requests that are served, answers and "
             "frames that were not read yet.",
             held());
  text.Gauge("nfmeter_held_limit_bytes", "The most; each caller may have half.",
             max_bytes_);
}

}  // namespace nfmeter::service
