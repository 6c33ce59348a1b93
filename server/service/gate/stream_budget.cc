// SPDX-License-Identifier: GPL-3.0-or-later
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
      BoundDetails("TOO_MANY_STREAMS", bound));
}

}  // namespace

void StreamBudget::AddKind(absl::string_view kind) {
  absl::MutexLock lock(&mutex_);
  by_kind_.emplace(kind, 0);
}

absl::Status StreamBudget::Take(absl::string_view kind,
                                const security::Caller& caller) {
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
  ++by_kind_.find(kind)->second;
  return absl::OkStatus();
}

void StreamBudget::Return(absl::string_view kind,
                          const security::Caller& caller) {
  absl::MutexLock lock(&mutex_);
  --open_;
  --by_kind_.find(kind)->second;
  if (!caller.certified) return;
  const auto found = by_caller_.find(caller.principal);
  if (--found->second == 0) by_caller_.erase(found);
}

size_t StreamBudget::open(absl::string_view kind) const {
  absl::MutexLock lock(&mutex_);
  return by_kind_.find(kind)->second;
}

void StreamBudget::WriteMetrics(telemetry::MetricsText& text) const {
  using Type = telemetry::MetricsText::Type;
  text.Family("nfmeter_streams_open", Type::kGauge, "Streams under way.");
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [kind, open] : by_kind_) {
      text.Add({{"kind", kind}}, open);
    }
  }
  text.Gauge("nfmeter_streams_limit",
             "The most streams that may be open, all kinds together.", max_);
}

}  // namespace nfmeter::service
