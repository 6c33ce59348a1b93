// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/error.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace nfmeter {
namespace {

// Payload type URLs. Metadata keys and field paths are part of the URL; a
// violation's index keeps their order.
constexpr char kReasonUrl[] = "nfmeter/reason";
constexpr char kMetadataUrl[] = "nfmeter/metadata/";
constexpr char kViolationUrl[] = "nfmeter/violation/";

constexpr size_t kViolationsInSentence = 3;

}  // namespace

absl::Status MakeError(absl::StatusCode code, absl::string_view message,
                       ErrorDetails details) {
  absl::Status status(code, message);
  status.SetPayload(kReasonUrl, absl::Cord(details.reason));
  for (const auto& [key, value] : details.metadata) {
    status.SetPayload(absl::StrCat(kMetadataUrl, key), absl::Cord(value));
  }
  for (size_t i = 0; i < details.violations.size(); ++i) {
    status.SetPayload(absl::StrCat(kViolationUrl, absl::Dec(i, absl::kZeroPad8),
                                   "/", details.violations[i].field),
                      absl::Cord(details.violations[i].description));
  }
  return status;
}

absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view message) {
  return MakeError(code, message, ErrorDetails{.reason = std::string(reason)});
}

absl::Status InvalidFields(std::vector<FieldViolation> violations) {
  if (violations.empty()) return absl::OkStatus();
  std::string message;
  for (size_t i = 0; i < violations.size() && i < kViolationsInSentence; ++i) {
    absl::StrAppend(&message, i == 0 ? "" : "; ", violations[i].field, ": ",
                    violations[i].description);
  }
  if (violations.size() > kViolationsInSentence) {
    absl::StrAppend(&message, "; and ",
                    violations.size() - kViolationsInSentence, " more");
  }
  return MakeError(absl::StatusCode::kInvalidArgument, message,
                   ErrorDetails{.reason = "INVALID_ARGUMENT",
                                .violations = std::move(violations)});
}

ErrorDetails GetErrorDetails(const absl::Status& status) {
  ErrorDetails details;
  std::map<std::string, FieldViolation> violations;  // by index in the URL
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (url == kReasonUrl) {
      details.reason = std::string(value);
    } else if (absl::ConsumePrefix(&url, kMetadataUrl)) {
      details.metadata[std::string(url)] = std::string(value);
    } else if (absl::ConsumePrefix(&url, kViolationUrl)) {
      const size_t slash = url.find('/');
      violations[std::string(url.substr(0, slash))] = {
          std::string(url.substr(slash + 1)), std::string(value)};
    }
  });
  for (auto& [index, violation] : violations) {
    details.violations.push_back(std::move(violation));
  }
  return details;
}

absl::Status Annotate(const absl::Status& status, absl::string_view prefix) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(),
                         absl::StrCat(prefix, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    annotated.SetPayload(url, value);
  });
  return annotated;
}

ErrorDetails BoundDetails(absl::string_view reason, uint64_t bound,
                          std::map<std::string, std::string> more) {
  ErrorDetails details = {.reason = std::string(reason),
                          .metadata = std::move(more)};
  details.metadata["bound"] = absl::StrCat(bound);
  return details;
}

}  // namespace nfmeter
