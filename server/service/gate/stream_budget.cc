#include "service/gate/stream_budget.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::service {
namespace {

absl::Status TooMany(absl::string_view who, size_t bound,
                     absl::string_view option) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat(who, " already has ", bound,
                   " streams open, its most; close some, or raise limits.",
                   option),
      ErrorDetails{.reason = "TOO_MANY_STREAMS",
                   .metadata = {{"bound", absl::StrCat(bound)}}});
}

}  // namespace

absl::Status StreamBudget::Take(const security::Caller& caller) {
  absl::MutexLock lock(&mutex_);
  if (open_ >= max_) return TooMany("the server", max_, "max_streams");
  if (caller.certified) {
    size_t& open = by_caller_[caller.principal];
    if (open >= max_per_caller_) {
      return TooMany(caller.principal, max_per_caller_,
                     "max_streams_per_caller");
    }
    ++open;
  }
  ++open_;
  return absl::OkStatus();
}

void StreamBudget::Return(const security::Caller& caller) {
  absl::MutexLock lock(&mutex_);
  --open_;
  if (!caller.certified) return;
  const auto found = by_caller_.find(caller.principal);
  if (--found->second == 0) by_caller_.erase(found);
}

size_t StreamBudget::open() const {
  absl::MutexLock lock(&mutex_);
  return open_;
}

}  // namespace nfmeter::service
