// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/request_checks.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "accounting/common/counter_errors.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "kernel/acct_table.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;
constexpr size_t kDefaultPageSize = 1000;
constexpr size_t kQuotedBytes = 64;
constexpr size_t kMaxGlobBytes = 255;

// Refuses labels that no counter can have, so that no stream has to keep them.
void CheckFilterLabels(
    const google::protobuf::Map<std::string, std::string>& labels,
    const std::string& field, FieldErrors& errors) {
  if (labels.size() > kMaxLabels) {
    errors.Add(field,
               absl::StrCat("has ", labels.size(),
                            " labels; a counter has at most ", kMaxLabels));
    return;
  }
  for (const auto& [key, value] : labels) {
    if (key.size() > accounting::kMaxLabelKeyBytes ||
        value.size() > kMaxLabelValueBytes) {
      errors.Add(
          absl::StrCat(field, "[", Quoted(key), "]"),
          absl::StrCat("is longer than a label can be: at most ",
                       accounting::kMaxLabelKeyBytes, " bytes for the key and ",
                       kMaxLabelValueBytes, " for the value"));
    }
  }
}

}  // namespace

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kQuotedBytes)),
                      text.size() > kQuotedBytes ? "...'" : "'");
}

std::string Indexed(absl::string_view field, size_t index) {
  return absl::StrCat(field, "[", index, "]");
}

void CheckRequestId(absl::string_view request_id, FieldErrors& errors) {
  if (request_id.size() > kMaxRequestIdBytes) {
    errors.Add("request_id",
               absl::StrCat("is ", request_id.size(), " bytes long; at most ",
                            kMaxRequestIdBytes));
  } else if (!std::all_of(request_id.begin(), request_id.end(),
                          absl::ascii_isprint)) {
    errors.Add("request_id", "has characters that are not printable ASCII");
  }
}

void CheckGlob(const std::string& glob, const std::string& field,
               FieldErrors& errors) {
  if (glob.size() > kMaxGlobBytes) {
    errors.Add(field, absl::StrCat("is ", glob.size(), " bytes long; at most ",
                                   kMaxGlobBytes));
  }
  if (accounting::HasOpenBracket(glob)) {
    errors.Add(field,
               "has a '[' without its ']': [a-z] is one character of these, "
               "[!a-z] one of the others");
  }
}

absl::Status CheckBatchSize(absl::string_view field, size_t size, size_t bound,
                            FieldErrors& errors) {
  if (size == 0) {
    errors.Add(std::string(field), "is empty; name at least one");
  }
  if (size <= bound) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat(field, " has ", size, " items; this server takes at most ",
                   bound, " in one request; send several"),
      BoundDetails("BATCH_TOO_LARGE", bound, {{"size", absl::StrCat(size)}}));
}

size_t ReadPageSize(int32_t page_size, const Limits& limits,
                    FieldErrors& errors) {
  if (page_size < 0) {
    errors.Add("page_size",
               absl::StrCat("is ", page_size,
                            "; write 0 for the default, or a positive number"));
    return 0;
  }
  return std::min(page_size == 0 ? kDefaultPageSize : page_size,
                  limits.max_page_size);
}

absl::Duration ReadMaxStaleness(const google::protobuf::Duration& duration,
                                FieldErrors& errors) {
  return ReadDuration(duration, "max_staleness", "values of now", errors);
}

std::string ReadName(absl::string_view shown, const std::string& field,
                     FieldErrors& errors) {
  absl::StatusOr<std::string> name = UnescapeName(shown);
  if (name.ok()) return *std::move(name);
  errors.Add(field, std::string(name.status().message()));
  return "";
}

std::string ReadCounterName(absl::string_view shown, const std::string& field,
                            FieldErrors& errors) {
  for (size_t i = 0; i < shown.size(); ++i) {
    if (absl::ascii_isgraph(shown[i])) continue;
    errors.Add(field,
               absl::StrCat("has ", Quoted(shown.substr(i, 1)), " at byte ", i,
                            "; bytes outside printable ASCII and the "
                            "space are written \\xHH"));
    return "";
  }
  const std::string name = ReadName(shown, field, errors);
  if (errors.Has(field)) return "";
  if (name.empty()) {
    errors.Add(field, "is empty; name a counter");
  } else if (name.size() > kernel::kAcctNameMaxBytes) {
    errors.Add(field, absl::StrCat("is ", name.size(), " bytes long; at most ",
                                   kernel::kAcctNameMaxBytes));
  } else if (!kernel::IsAcctName(name)) {
    errors.Add(field, "has a NUL byte");
  }
  return name;
}

accounting::CounterFilter ReadCounterFilter(
    const v1::CounterFilter& filter, const accounting::CounterScope& scope,
    FieldErrors& errors) {
  CheckGlob(filter.name_glob(), "filter.name_glob", errors);
  CheckFilterLabels(filter.labels(), "filter.labels", errors);
  CheckFilterLabels(filter.not_labels(), "filter.not_labels", errors);
  accounting::CounterFilter read{
      .name_glob = filter.name_glob(),
      .labels = {filter.labels().begin(), filter.labels().end()},
      .not_labels = {filter.not_labels().begin(), filter.not_labels().end()},
      .scope = scope};
  if (filter.managed_only()) read.labels[accounting::kManagedLabel] = "";
  return read;
}

kernel::Patience RulePatience(const Call& call, const Limits& limits) {
  const absl::Time now = absl::Now();
  absl::Duration time = limits.default_rule_change_time;
  if (call.deadline != absl::InfiniteFuture()) {
    const absl::Duration left = call.deadline - now;
    const absl::Duration margin = std::min(left / 10, absl::Milliseconds(250));
    time = std::min(left - margin, limits.max_rule_change_time);
  }
  return kernel::Patience(
      SystemClock().BootTime() + time,
      [context = call.context] { return context->IsCancelled(); });
}

absl::Status CheckScope(const Call& call, absl::Span<const std::string> names) {
  if (call.scope().has_all()) return absl::OkStatus();
  std::vector<std::string> outside;
  for (const std::string& name : names) {
    if (!call.scope().Contains(accounting::ShownName(name))) {
      outside.push_back(name);
    }
  }
  if (outside.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat(call.caller->principal, " may touch only counters whose ",
                   "name starts with ",
                   absl::StrJoin(call.scope().prefixes, " or "), "; not ",
                   accounting::ShownNames(outside)),
      ErrorDetails{
          .reason = "COUNTER_NOT_PERMITTED",
          .metadata = {{"counters", accounting::ShownNames(outside)}}});
}

accounting::Labels ReadLabels(
    const google::protobuf::Map<std::string, std::string>& map,
    const std::string& field, FieldErrors& errors) {
  if (map.empty()) return {};
  accounting::Labels labels(map.begin(), map.end());
  if (labels.size() > kMaxLabels) {
    errors.Add(field, absl::StrCat("has ", labels.size(), " labels; at most ",
                                   kMaxLabels));
    return labels;
  }
  for (const auto& [key, value] : labels) {
    const std::string path = absl::StrCat(field, "[", Quoted(key), "]");
    if (!accounting::IsLabelKey(key)) {
      errors.Add(path, absl::StrCat("the key must be 1 to ",
                                    accounting::kMaxLabelKeyBytes,
                                    " of [a-z0-9._/-]"));
    }
    if (value.size() > kMaxLabelValueBytes) {
      errors.Add(path,
                 absl::StrCat("the value is ", value.size(),
                              " bytes long; at most ", kMaxLabelValueBytes));
    }
  }
  return labels;
}

}  // namespace nfmeter::service
