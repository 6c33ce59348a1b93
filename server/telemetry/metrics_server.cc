// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/metrics_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace nfmeter::telemetry {
namespace {

constexpr int kBacklog = 32;
constexpr unsigned kThreads = 2;
// Of a connection, its request's headers included.
constexpr size_t kConnectionBytes = 16 << 10;

// Version 0.0.4 is that of the format.
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr char kTextType[] = "text/plain; charset=utf-8";

std::string Address(const MetricsServer::Options& options, uint16_t port) {
  return absl::StrContains(options.host, ':')
             ? absl::StrCat("[", options.host, "]:", port)
             : absl::StrCat(options.host, ":", port);
}

absl::Status Unusable(const MetricsServer::Options& options,
                      absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LISTEN_FAILED",
                   absl::StrCat("cannot serve metrics on ",
                                Address(options, options.port), ": ", why));
}

absl::string_view WhatToDo(int error) {
  switch (error) {
    case EADDRINUSE:
      return "the port is in use; stop what uses it or choose another for "
             "metrics.listen";
    case EACCES:
      return "ports below 1024 need CAP_NET_BIND_SERVICE; choose another for "
             "metrics.listen";
    case EADDRNOTAVAIL:
      return "this host has no such address";
    default:
      return strerror(error);
  }
}

// A socket that listens. It is made here as the library would not say why it
// can't be.
absl::StatusOr<UniqueFd> ListenOn(const MetricsServer::Options& options) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(
      options.host.c_str(), absl::StrCat(options.port).c_str(), &hints, &found);
  if (error != 0) return Unusable(options, gai_strerror(error));
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
  return Unusable(options, WhatToDo(failure));
}

uint16_t PortOf(int fd) {
  sockaddr_in6 address{};  // the port lies where it does for IPv4
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin6_port);
}

MHD_Response* MakeResponse(std::string text, const char* type) {
  auto* const kept = new std::string(std::move(text));
  MHD_Response* const response =
      MHD_create_response_from_buffer_with_free_callback_cls(
          kept->size(), kept->data(),
          [](void* text) { delete static_cast<std::string*>(text); }, kept);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
  return response;
}

}  // namespace

// The library's callback. What it answers before it has looked at a request's
// body makes the library close the connection instead of reading that.
class HttpAnswer {
 public:
  static MHD_Result Handle(void* server, MHD_Connection* connection,
                           const char* url, const char* method, const char*,
                           const char*, size_t*, void**) {
    unsigned code = MHD_HTTP_OK;
    MHD_Response* const response =
        Respond(*static_cast<MetricsServer*>(server), url, method, &code);
    const MHD_Result queued = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return queued;
  }

 private:
  static MHD_Response* Respond(const MetricsServer& server,
                               const std::string& path,
                               const std::string& method, unsigned* code) {
    if (path != "/metrics" && path != "/-/healthy") {
      *code = MHD_HTTP_NOT_FOUND;
      return MakeResponse("there is /metrics and /-/healthy\n", kTextType);
    }
    if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
      *code = MHD_HTTP_METHOD_NOT_ALLOWED;
      MHD_Response* const response =
          MakeResponse("GET and HEAD only\n", kTextType);
      MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
      return response;
    }
    return path == "/metrics" ? MakeResponse(server.page_(), kMetricsType)
                              : MakeResponse("ok\n", kTextType);
  }
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const Options& options, Page page) {
  NFM_ASSIGN_OR_RETURN(UniqueFd fd, ListenOn(options));
  auto server = absl::WrapUnique(new MetricsServer(std::move(page)));
  server->url_ =
      absl::StrCat("http://", Address(options, PortOf(fd.get())), "/metrics");
  server->daemon_ = MHD_start_daemon(
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, nullptr, nullptr,
      &HttpAnswer::Handle, server.get(), MHD_OPTION_LISTEN_SOCKET, fd.get(),
      MHD_OPTION_THREAD_POOL_SIZE, kThreads, MHD_OPTION_CONNECTION_LIMIT,
      options.max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
      options.idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      kConnectionBytes, MHD_OPTION_END);
  if (server->daemon_ == nullptr) {
    return Unusable(options, "the HTTP server does not start");
  }
  // The library closes it.
  server->listener_ = fd.release();
  return server;
}

MetricsServer::~MetricsServer() {
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace nfmeter::telemetry
