// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web_server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "security/access/certificate_names.h"
#include "security/access/principal.h"
#include "security/listen/unix_socket.h"
#include "telemetry/http_tls.h"
#include "web/page_files.h"

namespace nfmeter::web {
namespace {

using telemetry::HttpAnswer;
using telemetry::HttpRequest;

constexpr int kBacklog = 32;
// Its user and group: who may open the socket of gRPC may open this one.
constexpr mode_t kSocketMode = 0660;
// With TLS only. A browser makes six connections.
constexpr unsigned kMaxConnections = 128;
constexpr unsigned kMaxConnectionsPerAddress = 16;
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

absl::StatusOr<std::shared_ptr<const telemetry::HttpTls>> ForHttp(
    const security::TlsTexts& tls) {
  return telemetry::HttpTls::Make({.certificate = tls.certificate,
                                   .key = tls.key,
                                   .client_ca = tls.client_ca});
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
    const security::ListenAddress& address,
    const std::optional<security::TlsTexts>& tls, std::unique_ptr<WebApi> api) {
  auto made = absl::WrapUnique(new WebServer());
  made->api_ = std::move(api);
  made->address_ = address;
  made->tls_ = tls;
  made->over_tls_ = tls.has_value();
  telemetry::HttpServer::Options options;
  if (tls.has_value()) {
    NFM_ASSIGN_OR_RETURN(options.tls, ForHttp(*tls));
    // Strangers can reach it, and no host of theirs is to keep out the others.
    options.max_connections = kMaxConnections;
    options.max_connections_per_address = kMaxConnectionsPerAddress;
  }
  UniqueFd fd;
  if (address.kind == security::ListenAddress::Kind::kTcp) {
    NFM_ASSIGN_OR_RETURN(fd, telemetry::ListenOnTcp(address.host, address.port,
                                                    "the page", "web.listen"));
    made->url_ = absl::StrCat(
        tls.has_value() ? "https://" : "http://",
        telemetry::HostAndPort(address.host, telemetry::PortOf(fd.get())), "/");
  } else {
    NFM_ASSIGN_OR_RETURN(fd, ListenOnSocket(address.path));
    made->url_ = address.ToString();
  }
  NFM_ASSIGN_OR_RETURN(made->server_,
                       telemetry::HttpServer::Start(
                           std::move(fd), options,
                           [server = made.get()](const HttpRequest& request) {
                             HttpAnswer answer = server->Answer(request);
                             AddSafety(answer);
                             return answer;
                           }));
  return made;
}

absl::Status WebServer::UseCertificates(const security::TlsTexts& tls) {
  if (tls_ == tls) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(auto for_http, ForHttp(tls));
  server_->UseTls(std::move(for_http));
  tls_ = tls;
  return absl::OkStatus();
}

// Refuses foreign names that somebody points at this host (DNS rebinding). In
// front of a unix socket is a proxy, which knows its own names, and with TLS
// the browser has compared the name with the certificate.
bool WebServer::IsNameOfThisHost(const HttpRequest& request) const {
  if (address_.kind == security::ListenAddress::Kind::kUnix || over_tls_) {
    return true;
  }
  const std::string header = request.Header("Host").value_or("");
  const absl::string_view host = HostIn(header);
  return host == "localhost" || host == "127.0.0.1" || host == "::1" ||
         host == address_.host;
}

HttpAnswer WebServer::Answer(const HttpRequest& request) const {
  if (!IsNameOfThisHost(request)) {
    return {.code = kMisdirected,
            .body = "this page is at a loopback address\n"};
  }
  std::string principal;
  if (over_tls_) {
    const auto names = security::NamesInDer(request.Certificate());
    if (!names.ok()) {
      return {.code = kForbidden, .body = "the certificate has expired\n"};
    }
    principal = security::EncodePrincipal(security::PrincipalOf(*names));
  }
  const std::string site = request.Header("Sec-Fetch-Site").value_or("none");
  absl::string_view path = request.path();
  if (absl::ConsumePrefix(&path, "/api/")) {
    if (site != "none" && site != "same-origin") {
      return {.code = kForbidden, .body = "another site's page asks\n"};
    }
    return api_->Answer(path, {.http = request, .principal = principal});
  }
  if (const PageFile* const file = FindPageFile(request.path())) {
    return {.type = file->type, .body = std::string(file->content)};
  }
  return {.code = kNotFound, .body = "there is no such page\n"};
}

}  // namespace nfmeter::web
