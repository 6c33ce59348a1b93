// SPDX-License-Identifier: GPL-3.0-or-later
// HTTP for programs and browsers: GET and HEAD, nothing else.
#ifndef NFMETER_TELEMETRY_HTTP_SERVER_H_
#define NFMETER_TELEMETRY_HTTP_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"
#include "telemetry/http_tls.h"

struct MHD_Connection;
struct MHD_Daemon;

namespace nfmeter::telemetry {

// What is asked for. Lives as long as the handler runs.
class HttpRequest {
 public:
  HttpRequest(MHD_Connection* connection, std::string path)
      : connection_(connection), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  // Of "?name=value"; decoded.
  std::optional<std::string> Query(const char* name) const;
  std::optional<std::string> Header(const char* name) const;
  // Over TLS, the client's certificate in DER, which is good now; else empty.
  std::string Certificate() const;

 private:
  MHD_Connection* const connection_;
  const std::string path_;
};

struct HttpAnswer {
  unsigned code = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

// Bounded: few connections, a few kilobytes and seconds for each, no bodies of
// requests. Two threads; a handler that waits holds up one.
class HttpServer {
 public:
  // May be called on both threads at once.
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;

  struct Options {
    unsigned max_connections = 256;
    // Those that come while half of them are taken have two seconds at most, so
    // that there is always one soon that gives way.
    unsigned idle_seconds = 15;
    unsigned max_connections_per_address = 0;  // 0: as many as there are
    std::shared_ptr<const HttpTls> tls;        // null: plain HTTP
  };

  // Answers on `listener`, a socket that listens. UNAVAILABLE: the library does
  // not start.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      UniqueFd listener, const Options& options, Handler handler);

  // Ends connections; waits for handlers.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int listener() const { return listener_; }

  // For connections to come, of a server that has TLS. Those that stand get one
  // more answer each.
  void UseTls(std::shared_ptr<const HttpTls> tls);

 private:
  HttpServer(const Options& options, Handler handler);
  std::shared_ptr<const HttpTls> tls() const;
  friend class HttpCallback;

  const Handler handler_;
  // Of connections that begin while there are so `many`.
  const unsigned many_;
  const unsigned crowded_idle_seconds_;
  std::atomic<unsigned> connections_ = 0;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const HttpTls> tls_ ABSL_GUARDED_BY(mutex_);
  int listener_ = -1;
  MHD_Daemon* daemon_ = nullptr;
};

// A socket that listens on an address or a name (IPv6 without brackets). Port
// 0: one that the kernel chooses. FAILED_PRECONDITION, LISTEN_FAILED: the
// sentence says why, that `what` can't be served, and which `setting` to
// change.
absl::StatusOr<UniqueFd> ListenOnTcp(const std::string& host, uint16_t port,
                                     absl::string_view what,
                                     absl::string_view setting);

// That of a socket of TCP.
uint16_t PortOf(int fd);

// "127.0.0.1:9477", "[::1]:9477"
std::string HostAndPort(absl::string_view host, uint16_t port);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_HTTP_SERVER_H_
