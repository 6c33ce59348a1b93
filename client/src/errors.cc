// SPDX-License-Identifier: Apache-2.0
#include "nfmeter/errors.h"

#include "absl/strings/string_view.h"
#include "client/src/payload.h"
#include "client/src/proto_time.h"

namespace nfmeter {
namespace {

using client_internal::GetPayload;

// For errors that say nothing of their own: those made by gRPC, and by proxies.
absl::string_view HintForCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kDeadlineExceeded:
      return "The server did not answer in time: it is busy, or can't be "
             "reached. Allow more time, or check the address. A change may "
             "still be carried out: look before you repeat it.";
    case absl::StatusCode::kUnimplemented:
      return "This server does not know the method: it is older than this "
             "client, or something else listens at that address.";
    case absl::StatusCode::kUnauthenticated:
      return "Give a client certificate and its key that the server's "
             "authority has signed.";
    case absl::StatusCode::kPermissionDenied:
      return "Ask whoever runs the server to allow this for your certificate "
             "or user.";
    case absl::StatusCode::kResourceExhausted:
      return "The answer or the request is larger than allowed: ask for less "
             "at once, or raise ClientOptions.max_receive_bytes.";
    default:
      return "";
  }
}

absl::string_view HintForReason(absl::string_view reason) {
  if (reason == "RULES_CHANGED") {
    return "Somebody changes the rules at this time: list them again.";
  }
  if (reason == "ETAG_MISMATCH") {
    return "Read the counter again and decide anew.";
  }
  return "";
}

}  // namespace

std::string ErrorReason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return GetPayload(status, &info) ? info.reason() : "";
}

std::map<std::string, std::string> ErrorMetadata(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (!GetPayload(status, &info)) return {};
  return {info.metadata().begin(), info.metadata().end()};
}

std::vector<InvalidField> FieldViolations(const absl::Status& status) {
  std::vector<InvalidField> fields;
  google::rpc::BadRequest request;
  if (!GetPayload(status, &request)) return fields;
  for (const auto& violation : request.field_violations()) {
    fields.push_back({violation.field(), violation.description()});
  }
  return fields;
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  google::rpc::RetryInfo info;
  if (!GetPayload(status, &info) || !info.has_retry_delay()) {
    return std::nullopt;
  }
  return FromProto(info.retry_delay());
}

std::string ErrorHint(const absl::Status& status) {
  if (const auto hint = status.GetPayload(client_internal::kHintUrl)) {
    return std::string(*hint);
  }
  const std::string reason = ErrorReason(status);
  return std::string(reason.empty() ? HintForCode(status.code())
                                    : HintForReason(reason));
}

}  // namespace nfmeter
