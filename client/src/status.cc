// SPDX-License-Identifier: Apache-2.0
#include "client/src/status.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/src/payload.h"
#include "google/rpc/status.pb.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

// errno of a connect() to the socket; 0 when somebody listens.
int TryConnect(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const int result =
      connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const int error = result == 0 ? 0 : errno;
  close(fd);
  return error;
}

bool IsSocket(const std::string& path) {
  struct stat found {};
  return stat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode);
}

absl::Status ExplainSocket(const absl::Status& failure, const std::string& path,
                           bool with_tls) {
  switch (const int error = TryConnect(path)) {
    case ENOENT:
    case ENOTDIR:
      return ClientError(
          absl::StatusCode::kUnavailable, reason::kSocketMissing,
          absl::StrCat("there is no socket ", path),
          "nfmeterd is not running, or it listens elsewhere: start it, or give "
          "its address.");
    case EACCES:
    case EPERM:
      return ClientError(
          absl::StatusCode::kPermissionDenied, reason::kSocketForbidden,
          absl::StrCat("you may not use the socket ", path),
          absl::StrCat("Join the group that owns it (ls -l ", path,
                       " shows it) and log in again, or use sudo."));
    case ECONNREFUSED:
      if (!IsSocket(path)) {
        return ClientError(absl::StatusCode::kUnavailable,
                           reason::kSocketMissing,
                           absl::StrCat(path, " is not a socket"),
                           "Give the path of nfmeterd's socket.");
      }
      return ClientError(
          absl::StatusCode::kUnavailable, reason::kNotListening,
          absl::StrCat("nobody listens on the socket ", path),
          "nfmeterd has ended and left its socket behind: start it again.");
    case 0:
    case EAGAIN:  // its queue of connections is full
      if (with_tls && absl::StrContains(failure.message(), "handshake")) {
        return ClientError(
            absl::StatusCode::kUnavailable, reason::kTlsFailed,
            absl::StrCat("no TLS connection to the socket ", path, ": ",
                         std::string(failure.message())),
            "nfmeterd speaks no TLS on unix sockets: give no CA, certificate, "
            "key or server name; the command takes them from NFMETER_CA, "
            "NFMETER_CERT and NFMETER_KEY, too.");
      }
      return ClientError(
          absl::StatusCode::kUnavailable, reason::kConnectionLost,
          absl::StrCat("the connection to ", path,
                       " broke: ", std::string(failure.message())),
          "Try again; nfmeterd may just have restarted.");
    default:
      return ClientError(absl::StatusCode::kUnavailable, reason::kUnreachable,
                         absl::StrCat("can't connect to the socket ", path,
                                      ": ", strerror(error)),
                         "Check the address.");
  }
}

// The server hung up as the connection was made. With TLS 1.3 the client has
// by then sent its certificate and thinks the handshake done.
absl::Status ExplainRefusal(const TlsOptions& tls, const std::string& target,
                            const std::string& text) {
  return ClientError(
      absl::StatusCode::kUnavailable, reason::kTlsFailed,
      absl::StrCat(target, " ended the TLS connection at once: ", text),
      tls.certificate_file.empty()
          ? "nfmeterd lets in clients with a certificate only: give one and "
            "its key."
          : "Most likely it refuses this client's certificate, which may have "
            "expired or be of an authority that it does not take; the "
            "server's log says why.");
}

absl::Status ExplainNetwork(const absl::Status& failure,
                            const std::string& target,
                            const std::optional<TlsOptions>& tls) {
  const std::string text(failure.message());
  const std::string lower = absl::AsciiStrToLower(text);
  const auto says = [&](absl::string_view part) {
    return absl::StrContains(lower, part);
  };
  // What gRPC 1.51 has to say of credentials that it could not make.
  if (tls.has_value() && says("empty address list")) {
    return ClientError(
        absl::StatusCode::kInvalidArgument, reason::kBadTlsFiles,
        "the CA, the certificate or its key can't be used",
        "Check that they are whole, and that the key is the certificate's.");
  }
  if (says("ssl") || says("tls") || says("handshake") || says("certificate")) {
    return ClientError(
        absl::StatusCode::kUnavailable, reason::kTlsFailed,
        absl::StrCat("no TLS connection to ", target, ": ", text),
        "Check that the CA is the one of the server's certificate, that the "
        "certificate has the host name you use, and that the server speaks "
        "TLS.");
  }
  if (says("connection refused")) {
    return ClientError(absl::StatusCode::kUnavailable, reason::kNotListening,
                       absl::StrCat("nobody listens on ", target),
                       "Check the port, and that nfmeterd runs there.");
  }
  if (says("socket closed") || says("reset by peer") || says("goaway") ||
      says("broken pipe")) {
    if (tls.has_value() && says("failed to connect")) {
      return ExplainRefusal(*tls, target, text);
    }
    return ClientError(
        absl::StatusCode::kUnavailable, reason::kConnectionLost,
        absl::StrCat("the connection to ", target, " broke: ", text),
        "Try again. If it stays so, the server may speak TLS and this client "
        "not, or the reverse.");
  }
  return ClientError(absl::StatusCode::kUnavailable, reason::kUnreachable,
                     absl::StrCat("can't reach ", target, ": ", text),
                     "Check the host name, the network and firewalls.");
}

std::string ShiftText(absl::string_view text, absl::string_view field,
                      size_t offset) {
  const std::string opening = absl::StrCat(field, "[");
  std::string shifted;
  for (;;) {
    const size_t found = text.find(opening);
    if (found == text.npos) break;
    const size_t digits = found + opening.size();
    const size_t end = text.find(']', digits);
    uint64_t index;
    if (end == text.npos ||
        !absl::SimpleAtoi(text.substr(digits, end - digits), &index)) {
      absl::StrAppend(&shifted, text.substr(0, digits));
      text.remove_prefix(digits);
      continue;
    }
    absl::StrAppend(&shifted, text.substr(0, digits), index + offset);
    text.remove_prefix(end);
  }
  absl::StrAppend(&shifted, text);
  return shifted;
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  int code = status.error_code();
  if (code < 0 || code > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    code = static_cast<int>(absl::StatusCode::kUnknown);
  }
  absl::Status result(static_cast<absl::StatusCode>(code),
                      status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      result.SetPayload(detail.type_url(),
                        absl::Cord(std::string(detail.value())));
    }
  }
  return result;
}

absl::Status ClientError(absl::StatusCode code, absl::string_view reason,
                         absl::string_view message, absl::string_view hint) {
  absl::Status status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("nfmeter.client");
  SetPayload(info, &status);
  if (!hint.empty()) status.SetPayload(kHintUrl, absl::Cord(hint));
  return status;
}

absl::Status ExplainConnection(const absl::Status& failure,
                               const Address& address,
                               const std::optional<TlsOptions>& tls) {
  if (!absl::IsUnavailable(failure) || !ErrorReason(failure).empty() ||
      RetryDelay(failure).has_value()) {
    return failure;
  }
  return address.socket_path.empty()
             ? ExplainNetwork(failure, address.target, tls)
             : ExplainSocket(failure, address.socket_path, tls.has_value());
}

absl::Status WithMessage(const absl::Status& status,
                         absl::string_view message) {
  absl::Status result(status.code(), message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    result.SetPayload(url, value);
  });
  return result;
}

absl::Status ShiftIndexes(const absl::Status& status, absl::string_view field,
                          size_t offset) {
  if (offset == 0) return status;
  absl::Status result =
      WithMessage(status, ShiftText(status.message(), field, offset));
  google::rpc::BadRequest request;
  if (GetPayload(status, &request)) {
    for (auto& violation : *request.mutable_field_violations()) {
      violation.set_field(ShiftText(violation.field(), field, offset));
    }
    SetPayload(request, &result);
  }
  return result;
}

}  // namespace nfmeter::client_internal
