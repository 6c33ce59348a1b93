// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web_server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "security/listen/unix_socket.h"
#include "web/page_files.h"

namespace nfmeter::web {
namespace {

using telemetry::HttpAnswer;
using telemetry::HttpRequest;

constexpr int kBacklog = 32;
// Its user and group: who may open the socket of gRPC may open this one.
constexpr mode_t kSocketMode = 0660;
constexpr unsigned kMisdirected = 421;
constexpr unsigned kForbidden = 403;
constexpr unsigned kNotFound = 404;

// Scripts, styles and requests of the page alone; nobody may frame it.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

absl::StatusOr<UniqueFd> ListenOnSocket(const std::string& path) {
  NFM_RETURN_IF_ERROR(security::MakeRoomForSocket(path));
  const auto unusable = [&path](int error) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "LISTEN_FAILED",
                     absl::StrCat("cannot serve the page on unix:", path, ": ",
                                  strerror(error)));
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return unusable(ENAMETOOLONG);
  path.copy(address.sun_path, path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return unusable(errno);
  {
    const security::PrivateUmask closed_to_others;
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
             sizeof(address)) != 0 ||
        listen(fd.get(), kBacklog) != 0) {
      return unusable(errno);
    }
  }
  NFM_RETURN_IF_ERROR(security::SetSocketAccess(path, kSocketMode, ""));
  return fd;
}

// "localhost:9478" -> "localhost", "[::1]:9478" -> "::1"
absl::string_view HostIn(absl::string_view header) {
  if (absl::ConsumePrefix(&header, "[")) {
    return header.substr(0, header.find(']'));
  }
  return header.substr(0, header.find(':'));
}

void AddSafety(HttpAnswer& answer) {
  answer.headers.insert(answer.headers.end(),
                        {{"Content-Security-Policy", kContentSecurityPolicy},
                         {"X-Content-Type-Options", "nosniff"},
                         {"X-Frame-Options", "DENY"},
                         {"Referrer-Policy", "no-referrer"},
                         {"Cross-Origin-Resource-Policy", "same-origin"},
                         {"Cache-Control", "no-store"}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<WebServer>> WebServer::Start(
    const security::ListenAddress& address, std::unique_ptr<WebApi> api) {
  auto made = absl::WrapUnique(new WebServer());
  made->api_ = std::move(api);
  made->host_ = address.host;
  made->over_tcp_ = address.kind == security::ListenAddress::Kind::kTcp;
  UniqueFd fd;
  if (made->over_tcp_) {
    NFM_ASSIGN_OR_RETURN(fd, telemetry::ListenOnTcp(address.host, address.port,
                                                    "the page", "web.listen"));
    made->url_ = absl::StrCat(
        "http://",
        telemetry::HostAndPort(address.host, telemetry::PortOf(fd.get())), "/");
  } else {
    NFM_ASSIGN_OR_RETURN(fd, ListenOnSocket(address.path));
    made->url_ = address.ToString();
  }
  NFM_ASSIGN_OR_RETURN(
      made->server_,
      telemetry::HttpServer::Start(
          std::move(fd), {}, [server = made.get()](const HttpRequest& request) {
            HttpAnswer answer = server->Answer(request);
            AddSafety(answer);
            return answer;
          }));
  return made;
}

HttpAnswer WebServer::Answer(const HttpRequest& request) const {
  // A name that somebody has made to mean this host is not one of it. Behind a
  // socket stands a proxy, which knows its own names.
  if (over_tcp_) {
    const std::string header = request.Header("Host").value_or("");
    const absl::string_view host = HostIn(header);
    if (host != "localhost" && host != "127.0.0.1" && host != "::1" &&
        host != host_) {
      return {.code = kMisdirected,
              .body = "this page is at a loopback address\n"};
    }
  }
  const std::string site = request.Header("Sec-Fetch-Site").value_or("none");
  absl::string_view path = request.path();
  if (absl::ConsumePrefix(&path, "/api/")) {
    if (site != "none" && site != "same-origin") {
      return {.code = kForbidden, .body = "another site's page asks\n"};
    }
    return api_->Answer(path, request);
  }
  if (const PageFile* const file = FindPageFile(request.path())) {
    return {.type = file->type, .body = std::string(file->content)};
  }
  return {.code = kNotFound, .body = "there is no such page\n"};
}

}  // namespace nfmeter::web
