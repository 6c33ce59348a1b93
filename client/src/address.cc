// SPDX-License-Identifier: Apache-2.0
#include "client/src/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/src/status.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

absl::Status Bad(absl::string_view text, absl::string_view what) {
  return ClientError(
      absl::StatusCode::kInvalidArgument, reason::kBadAddress,
      absl::StrCat("server address \"", text, "\": ", what),
      "Write it as unix:/path/to/socket, host:port or dns:///host:port.");
}

absl::StatusOr<Address> UnixAddress(absl::string_view text,
                                    absl::string_view path) {
  if (absl::StartsWith(path, "//")) path.remove_prefix(2);  // unix:///path
  if (path.empty()) return Bad(text, "the path of the socket is missing");
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Bad(text, absl::StrCat("the path has ", path.size(),
                                  " bytes, unix sockets take up to ",
                                  sizeof(sockaddr_un::sun_path) - 1));
  }
  return Address{absl::StrCat("unix:", path), std::string(path), true};
}

// All of 127.0.0.0/8, ::1, and the name that RFC 6761 keeps for them.
bool IsLoopback(const std::string& host) {
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET;
  }
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return absl::EqualsIgnoreCase(host, "localhost");
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c == '\x7f') {
      return Bad(text, "has spaces or control characters in it");
    }
  }
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) return UnixAddress(text, rest);
  if (absl::StartsWith(text, "/")) return UnixAddress(text, text);
  if (absl::StartsWith(text, "unix-abstract:")) {
    return Address{std::string(text), "", true};
  }
  if (absl::StartsWith(text, "http://") || absl::StartsWith(text, "https://")) {
    return Bad(text, "is a URL; leave out the scheme");
  }
  if (absl::StartsWith(text, "tcp:")) {
    return Bad(text, "leave out \"tcp:\", which only nfmeterd takes");
  }
  for (const char* scheme : {"dns:", "ipv4:", "ipv6:", "xds:"}) {
    if (!absl::ConsumePrefix(&rest, scheme)) continue;
    // dns://resolver/host: whatever that resolver says is not known here.
    if (absl::StartsWith(rest, "//") && !absl::ConsumePrefix(&rest, "///")) {
      return Address{std::string(text), "", false};
    }
    break;
  }
  const size_t colon = rest.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || rest.find(',') != rest.npos) {
    // Several addresses, or a name without port that gRPC may resolve itself.
    if (rest.size() != text.size())
      return Address{std::string(text), "", false};
    return Bad(text, "the port is missing");
  }
  if (!absl::SimpleAtoi(rest.substr(colon + 1), &port) || port == 0 ||
      port > 65535) {
    return Bad(text, "the port must be a number from 1 to 65535");
  }
  absl::string_view host = rest.substr(0, colon);
  if (host.empty()) return Bad(text, "the host is missing");
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return Bad(text, "\"]\" is missing");
  } else if (host.find(':') != host.npos) {
    return Bad(text, "write IPv6 addresses in brackets: [::1]:50051");
  }
  return Address{std::string(text), "", IsLoopback(std::string(host))};
}

}  // namespace nfmeter::client_internal
