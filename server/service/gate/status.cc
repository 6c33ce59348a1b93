// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/status.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"
#include "base/utf8.h"
#include "google/protobuf/any.pb.h"
#include "google/rpc/error_details.pb.h"

namespace nfmeter::service {
namespace {

constexpr char kDomain[] = "nfmeter";

// These bounds keep a status below 8 KiB on the wire. There the message is
// written twice (once with up to three bytes for each of its own), and the
// details in base64.
constexpr size_t kMaxMessageBytes = 800;
constexpr size_t kMaxValueBytes = 200;
constexpr size_t kMaxMetadataBytes = 800;
constexpr size_t kMaxViolationsBytes = 1900;

// `text` as valid UTF-8 of at most `limit` bytes, with "..." for what was cut
// and each byte that was not UTF-8 as \xHH.
std::string Shown(absl::string_view text, size_t limit) {
  std::string shown;
  while (!text.empty()) {
    const size_t size = std::max<size_t>(Utf8CharacterBytes(text), 1);
    const std::string next = ValidUtf8(text.substr(0, size));
    if (shown.size() + next.size() > limit - 3 && text.size() > 3) {
      return shown + "...";
    }
    absl::StrAppend(&shown, next);
    text.remove_prefix(size);
  }
  return shown;
}

absl::StatusCode ShownCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnknown:
      return absl::StatusCode::kInternal;
    default:
      return code;
  }
}

google::rpc::ErrorInfo MakeErrorInfo(absl::StatusCode code,
                                     const ErrorDetails& details) {
  google::rpc::ErrorInfo info;
  info.set_reason(details.reason.empty() ? absl::StatusCodeToString(code)
                                         : Shown(details.reason, 63));
  info.set_domain(kDomain);
  size_t bytes = 0;
  for (const auto& [key, value] : details.metadata) {
    std::string shown_key = Shown(key, 64);
    std::string shown_value = Shown(value, kMaxValueBytes);
    bytes += shown_key.size() + shown_value.size();
    if (bytes > kMaxMetadataBytes) break;
    (*info.mutable_metadata())[std::move(shown_key)] = std::move(shown_value);
  }
  return info;
}

google::rpc::BadRequest MakeBadRequest(
    const std::vector<FieldViolation>& violations) {
  google::rpc::BadRequest bad_request;
  size_t bytes = 0;
  for (const FieldViolation& violation : violations) {
    std::string field = Shown(violation.field, kMaxValueBytes);
    std::string description = Shown(violation.description, kMaxValueBytes);
    bytes += field.size() + description.size();
    auto* added = bad_request.add_field_violations();
    if (bytes > kMaxViolationsBytes) {
      added->set_description(absl::StrCat(
          "and ", violations.size() - bad_request.field_violations_size() + 1,
          " more wrong fields"));
      break;
    }
    added->set_field(std::move(field));
    added->set_description(std::move(description));
  }
  return bad_request;
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status proto;
  if (status.ok()) return proto;
  const absl::StatusCode code = ShownCode(status.code());
  const ErrorDetails details = GetErrorDetails(status);
  proto.set_code(static_cast<int>(code));
  proto.set_message(Shown(status.message(), kMaxMessageBytes));
  proto.add_details()->PackFrom(MakeErrorInfo(code, details));
  if (!details.violations.empty()) {
    proto.add_details()->PackFrom(MakeBadRequest(details.violations));
  }
  if (code == absl::StatusCode::kUnavailable ||
      details.reason == "RATE_LIMITED") {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(1);
    proto.add_details()->PackFrom(retry);
  }
  return proto;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status proto = ToRpcStatus(status);
  return grpc::Status(static_cast<grpc::StatusCode>(proto.code()),
                      proto.message(), proto.SerializeAsString());
}

}  // namespace nfmeter::service
