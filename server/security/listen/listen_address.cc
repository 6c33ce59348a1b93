// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"

namespace nfmeter::security {
namespace {

// Without the final NUL.
constexpr size_t kUnixPathMaxBytes = sizeof(sockaddr_un::sun_path) - 1;

absl::Status Wrong(absl::string_view text, absl::string_view why) {
  return MakeError(absl::StatusCode::kInvalidArgument, "LISTEN_ADDRESS",
                   absl::StrCat("'", text, "' ", why));
}

absl::StatusOr<ListenAddress> ParseUnix(absl::string_view text,
                                        absl::string_view path) {
  if (!absl::StartsWith(path, "/")) {
    return Wrong(text, "must have an absolute path: unix:/PATH");
  }
  if (path.size() > kUnixPathMaxBytes) {
    return Wrong(text, absl::StrCat("has a path of ", path.size(),
                                    " bytes; the kernel takes at most ",
                                    kUnixPathMaxBytes));
  }
  if (absl::EndsWith(path, "/")) {
    return Wrong(text, "names a folder; add the name of the socket");
  }
  return ListenAddress{.kind = ListenAddress::Kind::kUnix,
                       .path = std::string(path)};
}

}  // namespace

bool ListenAddress::IsLocal() const {
  if (kind == Kind::kUnix || host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string ListenAddress::ToString() const {
  if (kind == Kind::kUnix) return absl::StrCat("unix:", path);
  if (absl::StrContains(host, ":")) {
    return absl::StrCat("[", host, "]:", port);
  }
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text) {
  absl::string_view rest = text;
  if (text.find('\0') != absl::string_view::npos) {
    return Wrong(text.substr(0, text.find('\0')), "contains a NUL byte");
  }
  if (absl::ConsumePrefix(&rest, "unix:")) return ParseUnix(text, rest);
  if (absl::StartsWith(text, "/")) {
    return Wrong(text, absl::StrCat("must be written unix:", text));
  }
  absl::ConsumePrefix(&rest, "tcp:");
  const size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos) {
    return Wrong(text, "is neither unix:/PATH nor tcp:HOST:PORT");
  }
  absl::string_view host = rest.substr(0, colon);
  const absl::string_view port_text = rest.substr(colon + 1);
  const bool bracketed =
      absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (bracketed) host = host.substr(1, host.size() - 2);
  in6_addr v6;
  if (bracketed && inet_pton(AF_INET6, std::string(host).c_str(), &v6) != 1) {
    return Wrong(text, "has no IPv6 address between [ and ]");
  }
  // A host called unix or tcp could not be told from the scheme.
  if (!bracketed && (host.find_first_of(":[]/") != absl::string_view::npos ||
                     host == "unix" || host == "tcp")) {
    return Wrong(text,
                 "is neither unix:/PATH nor tcp:HOST:PORT "
                 "(IPv6 addresses in brackets: tcp:[::1]:7443)");
  }
  if (host.empty()) {
    return Wrong(text, "has no host; write 0.0.0.0 or [::] for all addresses");
  }
  uint32_t port = 0;
  if (!absl::SimpleAtoi(port_text, &port) || port > 65535) {
    return Wrong(text, "has no port from 0 to 65535 at its end");
  }
  return ListenAddress{.kind = ListenAddress::Kind::kTcp,
                       .host = std::string(host),
                       .port = static_cast<uint16_t>(port)};
}

}  // namespace nfmeter::security
