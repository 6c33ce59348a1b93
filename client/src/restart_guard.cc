// SPDX-License-Identifier: Apache-2.0
#include "client/src/restart_guard.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/src/payload.h"
#include "client/src/status.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

constexpr char kNotKnown[] = "whether it was carried out is not known";
constexpr char kLookFirst[] =
    "Read the counters, or list the rules, before you try again.";

absl::Status Restarted(absl::string_view what) {
  return ClientError(absl::StatusCode::kAborted, reason::kServerRestarted,
                     absl::StrCat(what, ": ", kNotKnown), kLookFirst);
}

// The call found no connection to be sent over. Only gRPC's own text tells: to
// look whether somebody listens now says nothing about the time of the call.
// A text that is not known means that it may have been sent.
bool WasNeverSent(const absl::Status& failure) {
  return absl::StartsWith(failure.message(),
                          "failed to connect to all addresses") ||
         absl::StartsWith(failure.message(), "DNS resolution failed");
}

// The server has answered itself that nothing was changed; see docs/errors.md.
bool WasRefused(const absl::Status& failure) {
  const std::string reason = ErrorReason(failure);
  return !reason.empty() && reason != "TABLE_OVERWRITTEN";
}

}  // namespace

absl::Status RestartGuard::Before() {
  if (in_doubt_.ok()) {
    const absl::StatusOr<uint64_t> epoch = connection_.KnownEpoch(deadline_);
    if (absl::IsUnavailable(epoch.status())) return epoch.status();
    epoch_ = epoch.value_or(0);
    return absl::OkStatus();
  }
  if (epoch_ == 0) {
    return Restarted(
        "the connection broke while the call was under way, and the server "
        "does not tell whether it has restarted");
  }
  const absl::StatusOr<uint64_t> now = connection_.AskEpoch(deadline_);
  if (absl::IsUnavailable(now.status())) return now.status();
  if (!now.ok()) {
    return Restarted(absl::StrCat(
        "the connection broke while the call was under way, and the server "
        "does not tell whether it has restarted (",
        std::string(now.status().message()), ")"));
  }
  if (*now == epoch_) return absl::OkStatus();
  return Restarted("the server restarted while the call was under way");
}

void RestartGuard::Failed(const absl::Status& failure,
                          const absl::Status& explained) {
  if (!in_doubt_.ok() || WasNeverSent(failure) || WasRefused(failure)) return;
  in_doubt_ = explained;
}

absl::Status RestartGuard::Final(const absl::Status& status) const {
  if (in_doubt_.ok() || !absl::IsUnavailable(status)) return status;
  absl::Status result = WithMessage(
      in_doubt_,
      absl::StrCat(std::string(in_doubt_.message()), "; ", kNotKnown));
  result.SetPayload(kHintUrl, absl::Cord(kLookFirst));
  return result;
}

}  // namespace nfmeter::client_internal
