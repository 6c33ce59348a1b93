// SPDX-License-Identifier: Apache-2.0
#include "collector/metrics.h"

#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/src/status_macros.h"

namespace nfmeter::collector {
namespace {

// A page that grows by metrics.
class Page {
 public:
  void Begin(absl::string_view name, absl::string_view type,
             absl::string_view help) {
    name_ = absl::StrCat("nfmeter_collector_", name);
    absl::StrAppend(&text_, "# HELP ", name_, " ", help, "\n# TYPE ", name_,
                    " ", type, "\n");
  }
  template <typename Value>
  void Add(Value value, absl::string_view node = "") {
    text_ += name_;
    if (!node.empty()) {
      absl::StrAppend(
          &text_, "{node=\"",
          absl::StrReplaceAll(node,
                              {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
          "\"}");
    }
    absl::StrAppend(&text_, " ", value, "\n");
  }
  template <typename Value>
  void One(absl::string_view name, absl::string_view type,
           absl::string_view help, Value value) {
    Begin(name, type, help);
    Add(value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
  std::string name_;
};

}  // namespace

std::string MetricsPage(const CollectorState& state, absl::Time now) {
  Page page;
  page.One("targets", "gauge", "Nodes of the fleet.", state.targets);
  page.One("collectors", "gauge", "Collectors that share them.",
           state.collectors);
  page.One("shards_held", "gauge", "Shards of nodes that this one holds.",
           state.shards);
  page.One("nodes", "gauge", "Nodes that this one follows.",
           state.nodes.size());
  page.One("leases_taken_total", "counter", "Leases of shards taken.",
           state.leases_taken);
  page.One("leases_lost_total", "counter",
           "Leases lost to another collector, or because the sink did not "
           "answer.",
           state.leases_lost);
  page.One("sink_up", "gauge", "1: the sink answers.", state.sink.ok() ? 1 : 0);
  page.One("records_total", "counter", "Records stored.", state.records);
  page.One("rows_total", "counter", "Totals of counters stored.", state.rows);
  page.Begin("node_up", "gauge", "1: its records come and are stored.");
  for (const auto& node : state.nodes) {
    page.Add(node.state.error.ok() ? 1 : 0, node.name);
  }
  page.Begin("node_lag_seconds", "gauge",
             "Age of the newest record that is stored, by both clocks.");
  for (const auto& node : state.nodes) {
    if (node.state.record_time == absl::InfinitePast()) continue;
    page.Add(absl::ToDoubleSeconds(now - node.state.record_time), node.name);
  }
  page.Begin("node_clock_ahead_seconds", "gauge",
             "How far its clock is ahead of the collector's; 0: less than a "
             "minute.");
  for (const auto& node : state.nodes) {
    page.Add(absl::ToDoubleSeconds(node.state.clock_ahead), node.name);
  }
  page.Begin("node_gaps_total", "counter",
             "Gaps that its ledger told of: totals may lack something.");
  for (const auto& node : state.nodes) page.Add(node.state.gaps, node.name);
  page.Begin("node_streams_total", "counter", "Streams of records begun.");
  for (const auto& node : state.nodes) page.Add(node.state.streams, node.name);
  return page.Take();
}

// What libmicrohttpd calls.
struct MetricsAnswer {
  static MHD_Result Answer(void* cls, MHD_Connection* connection,
                           const char* url, const char* method, const char*,
                           const char*, size_t*, void**) {
    const auto& server = *static_cast<MetricsServer*>(cls);
    const bool reads = absl::string_view(method) == MHD_HTTP_METHOD_GET ||
                       absl::string_view(method) == MHD_HTTP_METHOD_HEAD;
    const absl::string_view path(url);
    std::string body;
    unsigned code = MHD_HTTP_OK;
    if (!reads) {
      code = MHD_HTTP_METHOD_NOT_ALLOWED;
    } else if (path == "/metrics") {
      body = server.page_();
    } else if (path == "/-/healthy" || path == "/-/ready") {
      body = "ok\n";
    } else {
      code = MHD_HTTP_NOT_FOUND;
      body = "there is /metrics\n";
    }
    MHD_Response* response = MHD_create_response_from_buffer(
        body.size(), body.data(), MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            "text/plain; version=0.0.4");
    const MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
  }
};

// getaddrinfo() takes the lower half of a number that is no port.
absl::Status CheckMetricsAddress(absl::string_view address) {
  const size_t colon = address.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port > 65'535) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics ", address,
                     ": must be HOST:PORT, such as 127.0.0.1:9479, with a port "
                     "up to 65535"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    absl::string_view address, std::function<std::string()> page) {
  NFM_RETURN_IF_ERROR(CheckMetricsAddress(address));
  const size_t colon = address.rfind(':');
  const std::string host(
      absl::StripSuffix(absl::StripPrefix(address.substr(0, colon), "["), "]"));
  const std::string port(address.substr(colon + 1));
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                    port.c_str(), &hints, &found);
      error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics ", address, ": ", gai_strerror(error)));
  }
  const auto free = absl::MakeCleanup([found] { freeaddrinfo(found); });
  const auto failed = [&](int error) {
    return absl::FailedPreconditionError(absl::StrCat(
        "can't listen on ", address, " for metrics: ", std::strerror(error),
        "; choose another --metrics"));
  };
  const int listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return failed(errno);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, found->ai_addr, found->ai_addrlen) != 0 ||
      listen(listener, SOMAXCONN) != 0) {
    const int error = errno;
    close(listener);
    return failed(error);
  }
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<MetricsServer> server(new MetricsServer(std::move(page)));
  server->daemon_ = MHD_start_daemon(
      MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, nullptr, nullptr,
      &MetricsAnswer::Answer, server.get(), MHD_OPTION_LISTEN_SOCKET, listener,
      MHD_OPTION_CONNECTION_LIMIT, 32u, MHD_OPTION_CONNECTION_TIMEOUT, 15u,
      MHD_OPTION_END);
  if (server->daemon_ == nullptr) {
    close(listener);
    return failed(ENOMEM);
  }
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  char service[NI_MAXSERV] = "";
  getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &size);
  getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, service,
              sizeof(service), NI_NUMERICSERV);
  server->url_ = absl::StrCat("http://", address.substr(0, colon), ":", service,
                              "/metrics");
  return server;
}

MetricsServer::~MetricsServer() {
  if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

}  // namespace nfmeter::collector
