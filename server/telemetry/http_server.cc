// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/http_server.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::telemetry {
namespace {

constexpr int kBacklog = 32;
constexpr unsigned kThreads = 2;
// While there are many connections; for one round trip of a handshake, or of a
// request, on a slow network.
constexpr unsigned kCrowdedIdleSeconds = 2;
// Of a connection, its request's headers included.
constexpr size_t kConnectionBytes = 16 << 10;

std::string WhatToDo(int error, absl::string_view setting) {
  switch (error) {
    case EADDRINUSE:
      return absl::StrCat(
          "the port is in use; stop what uses it or choose another for ",
          setting);
    case EACCES:
      return absl::StrCat(
          "ports below 1024 need CAP_NET_BIND_SERVICE; choose another for ",
          setting);
    case EADDRNOTAVAIL:
      return "this host has no such address";
    default:
      return strerror(error);
  }
}

MHD_Response* MakeResponse(HttpAnswer answer) {
  auto* const kept = new std::string(std::move(answer.body));
  MHD_Response* const response =
      MHD_create_response_from_buffer_with_free_callback_cls(
          kept->size(), kept->data(),
          [](void* text) { delete static_cast<std::string*>(text); }, kept);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                          answer.type.c_str());
  for (const auto& [name, value] : answer.headers) {
    MHD_add_response_header(response, name.c_str(), value.c_str());
  }
  return response;
}

std::optional<std::string> Look(MHD_Connection* connection, MHD_ValueKind kind,
                                const char* name) {
  const char* const value = MHD_lookup_connection_value(connection, kind, name);
  if (value == nullptr) return std::nullopt;
  return value;
}

gnutls_session_t SessionOf(MHD_Connection* connection) {
  const MHD_ConnectionInfo* const info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  return info == nullptr ? nullptr
                         : static_cast<gnutls_session_t>(info->tls_session);
}

// The certificates that a connection began with, which its "socket context"
// keeps.
using Kept = std::shared_ptr<const HttpTls>;

const Kept* KeptOf(MHD_Connection* connection) {
  const MHD_ConnectionInfo* const info =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr
                         : static_cast<const Kept*>(info->socket_context);
}

// For a session that HttpTls::Prepare() has not seen: it gets no certificate,
// and so no handshake.
int NoCertificate(gnutls_session_t, const gnutls_datum_t*, int,
                  const gnutls_pk_algorithm_t*, int, gnutls_pcert_st**,
                  unsigned*, gnutls_privkey_t*) {
  return -1;
}

}  // namespace

std::string HttpRequest::Certificate() const {
  const gnutls_session_t session = SessionOf(connection_);
  return session == nullptr ? "" : ClientCertificate(session);
}

std::optional<std::string> HttpRequest::Query(const char* name) const {
  return Look(connection_, MHD_GET_ARGUMENT_KIND, name);
}

std::optional<std::string> HttpRequest::Header(const char* name) const {
  return Look(connection_, MHD_HEADER_KIND, name);
}

// The library's callbacks. They answer before the library has read a request's
// body, so it closes the connection instead of reading that.
class HttpCallback {
 public:
  static MHD_Result Handle(void* server, MHD_Connection* connection,
                           const char* url, const char* method, const char*,
                           const char*, size_t*, void**) {
    HttpAnswer answer =
        Answer(*static_cast<HttpServer*>(server), connection, url, method);
    const Kept* const kept = KeptOf(connection);
    if (kept != nullptr && *kept != static_cast<HttpServer*>(server)->tls()) {
      answer.headers.emplace_back(MHD_HTTP_HEADER_CONNECTION, "close");
    }
    const unsigned code = answer.code;
    MHD_Response* const response = MakeResponse(std::move(answer));
    const MHD_Result queued = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return queued;
  }

  // A connection begins (this is before its handshake) or ends.
  static void Follow(void* cls, MHD_Connection* connection, void** context,
                     MHD_ConnectionNotificationCode code) {
    auto& server = *static_cast<HttpServer*>(cls);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
      --server.connections_;
      delete static_cast<Kept*>(*context);
      *context = nullptr;
      return;
    }
    if (++server.connections_ > server.many_) {
      MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                server.crowded_idle_seconds_);
    }
    if (const gnutls_session_t session = SessionOf(connection)) {
      auto* const kept = new Kept(server.tls());
      (*kept)->Prepare(session);
      *context = kept;
    }
  }

 private:
  static HttpAnswer Answer(const HttpServer& server, MHD_Connection* connection,
                           const char* url, const std::string& method) {
    if (method == MHD_HTTP_METHOD_GET || method == MHD_HTTP_METHOD_HEAD) {
      return server.handler_(HttpRequest(connection, url));
    }
    return {.code = MHD_HTTP_METHOD_NOT_ALLOWED,
            .body = "GET and HEAD only\n",
            .headers = {{MHD_HTTP_HEADER_ALLOW, "GET, HEAD"}}};
  }
};

HttpServer::HttpServer(const Options& options, Handler handler)
    : handler_(std::move(handler)),
      many_(options.max_connections / 2),
      crowded_idle_seconds_(
          std::min(options.idle_seconds, kCrowdedIdleSeconds)),
      tls_(options.tls) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    UniqueFd listener, const Options& options, Handler handler) {
  auto server = absl::WrapUnique(new HttpServer(options, std::move(handler)));
  std::vector<MHD_OptionItem> of_tls;
  unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
  if (options.tls != nullptr) {
    flags |= MHD_USE_TLS;
    of_tls.push_back({MHD_OPTION_HTTPS_PRIORITIES, 0,
                      const_cast<char*>(HttpTls::Priorities())});
    // The library insists on a certificate or on this callback.
    of_tls.push_back({MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                      reinterpret_cast<void*>(&NoCertificate)});
  }
  of_tls.push_back({MHD_OPTION_END, 0, nullptr});
  server->daemon_ = MHD_start_daemon(
      flags, 0, nullptr, nullptr, &HttpCallback::Handle, server.get(),
      MHD_OPTION_LISTEN_SOCKET, listener.get(), MHD_OPTION_THREAD_POOL_SIZE,
      kThreads, MHD_OPTION_CONNECTION_LIMIT, options.max_connections,
      MHD_OPTION_CONNECTION_TIMEOUT, options.idle_seconds,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, options.max_connections_per_address,
      MHD_OPTION_NOTIFY_CONNECTION, &HttpCallback::Follow, server.get(),
      MHD_OPTION_ARRAY, of_tls.data(), MHD_OPTION_END);
  if (server->daemon_ == nullptr) {
    return absl::UnavailableError("the HTTP server does not start");
  }
  // The library closes it.
  server->listener_ = listener.release();
  return server;
}

void HttpServer::UseTls(std::shared_ptr<const HttpTls> tls) {
  absl::MutexLock lock(&mutex_);
  tls_ = std::move(tls);
}

std::shared_ptr<const HttpTls> HttpServer::tls() const {
  absl::MutexLock lock(&mutex_);
  return tls_;
}

HttpServer::~HttpServer() {
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

std::string HostAndPort(absl::string_view host, uint16_t port) {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

absl::StatusOr<UniqueFd> ListenOnTcp(const std::string& host, uint16_t port,
                                     absl::string_view what,
                                     absl::string_view setting) {
  const auto unusable = [&](absl::string_view why) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "LISTEN_FAILED",
                     absl::StrCat("cannot serve ", what, " on ",
                                  HostAndPort(host, port), ": ", why));
  };
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (error != 0) return unusable(gai_strerror(error));
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  int failure = EADDRNOTAVAIL;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    UniqueFd fd(
        socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) {
      failure = errno;
      continue;
    }
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd.get(), each->ai_addr, each->ai_addrlen) == 0 &&
        listen(fd.get(), kBacklog) == 0) {
      return fd;
    }
    failure = errno;
  }
  return unusable(WhatToDo(failure, setting));
}

uint16_t PortOf(int fd) {
  sockaddr_in6 address{};  // the port lies where it does for IPv4
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin6_port);
}

}  // namespace nfmeter::telemetry
