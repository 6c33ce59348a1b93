// SPDX-License-Identifier: Apache-2.0
// What an error of the SDK says to programs and to people.
//
// Statuses of the SDK have the gRPC code of the server's answer, its sentence
// as message, and the google.rpc details as payloads under their type URLs
// ("type.googleapis.com/google.rpc.ErrorInfo" and so on). Failures to reach
// the server get a sentence and a hint made here.
//
// The SDK brings its own copy of google/rpc/status.proto and
// error_details.proto. A program that also links another C++ library with
// these files (googleapis, google-cloud-cpp) registers them twice, which
// protobuf refuses at start ("File already exists in database"); link such
// libraries and the SDK into different processes, or build both against one
// copy of these protos.
#ifndef NFMETER_ERRORS_H_
#define NFMETER_ERRORS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace nfmeter {

// Reasons that the SDK itself gives. These and the server's are explained in
// docs/errors.md.
namespace reason {
// UNAVAILABLE: the unix socket does not exist.
inline constexpr char kSocketMissing[] = "SERVER_SOCKET_MISSING";
// PERMISSION_DENIED: this user may not connect to the unix socket.
inline constexpr char kSocketForbidden[] = "SERVER_SOCKET_FORBIDDEN";
// UNAVAILABLE: the unix socket or port is there, nobody listens.
inline constexpr char kNotListening[] = "SERVER_NOT_LISTENING";
// UNAVAILABLE: no connection, for another reason.
inline constexpr char kUnreachable[] = "SERVER_UNREACHABLE";
// UNAVAILABLE: the connection broke during the call.
inline constexpr char kConnectionLost[] = "CONNECTION_LOST";
// ABORTED: the server restarted, or may have, during a change that it may have
// carried out. Not retried, because it forgot the request_id.
inline constexpr char kServerRestarted[] = "SERVER_RESTARTED";
// ABORTED, of an item of a batch: others in its part were refused, so the
// server has not tried it.
inline constexpr char kNotTried[] = "NOT_TRIED";
// UNAVAILABLE: TLS could not be agreed on.
inline constexpr char kTlsFailed[] = "TLS_FAILED";
// INVALID_ARGUMENT: ClientOptions are wrong.
inline constexpr char kBadAddress[] = "BAD_SERVER_ADDRESS";
inline constexpr char kTlsRequired[] = "TLS_REQUIRED";
inline constexpr char kBadTlsFiles[] = "BAD_TLS_FILES";
// INVALID_ARGUMENT: a string of the request is not UTF-8.
inline constexpr char kBadText[] = "BAD_TEXT";
// DATA_LOSS: a snapshot ended early or contradicts itself.
inline constexpr char kBrokenSnapshot[] = "BROKEN_SNAPSHOT";
// DATA_LOSS: records of usage contradict themselves.
inline constexpr char kBrokenUsage[] = "BROKEN_USAGE";
// CANCELLED: Cancel() was called on a watch or collector.
inline constexpr char kWatchCancelled[] = "WATCH_CANCELLED";
// Of the server, for which a collector's caller has to decide something.
// FAILED_PRECONDITION: the ledger began anew since that position.
inline constexpr char kPositionOfAnotherEpoch[] = "POSITION_OF_ANOTHER_EPOCH";
// OUT_OF_RANGE: the ledger has no such record yet.
inline constexpr char kPositionAhead[] = "POSITION_AHEAD";
// ABORTED: another collector of the same name has begun.
inline constexpr char kConsumerReplaced[] = "CONSUMER_REPLACED";
// ABORTED: the consumer was deleted.
inline constexpr char kConsumerDeleted[] = "CONSUMER_DELETED";
}  // namespace reason

// One wrong field of a request: its path, such as "rules[3].match.source", and
// what is wrong with it.
struct InvalidField {
  std::string field;
  std::string description;
};

// ErrorInfo.reason: UPPER_SNAKE, stable. Empty: the status has none, because it
// is OK or comes from elsewhere.
std::string ErrorReason(const absl::Status& status);

// ErrorInfo.metadata: names, bounds and values that belong to the reason.
std::map<std::string, std::string> ErrorMetadata(const absl::Status& status);

// BadRequest.field_violations, in the order of the server.
std::vector<InvalidField> FieldViolations(const absl::Status& status);

// RetryInfo.retry_delay.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

// One sentence on what to do about it. Empty: nothing more than the message
// says.
std::string ErrorHint(const absl::Status& status);

}  // namespace nfmeter

#endif  // NFMETER_ERRORS_H_
