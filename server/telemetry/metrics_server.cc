// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/metrics_server.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace nfmeter::telemetry {
namespace {

constexpr char kPath[] = "/metrics";
// Version 0.0.4 is that of the format.
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

HttpAnswer Answer(const HttpRequest& request, const MetricsServer::Page& page) {
  if (request.path() == kPath) return {.type = kMetricsType, .body = page()};
  if (request.path() == "/-/healthy") return {.body = "ok\n"};
  return {.code = 404, .body = "there is /metrics and /-/healthy\n"};
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const Options& options, Page page) {
  NFM_ASSIGN_OR_RETURN(UniqueFd fd, ListenOnTcp(options.host, options.port,
                                                "metrics", "metrics.listen"));
  std::string url = absl::StrCat(
      "http://", HostAndPort(options.host, PortOf(fd.get())), kPath);
  NFM_ASSIGN_OR_RETURN(
      auto server,
      HttpServer::Start(std::move(fd), options.http,
                        [page = std::move(page)](const HttpRequest& request) {
                          return Answer(request, page);
                        }));
  return absl::WrapUnique(new MetricsServer(std::move(url), std::move(server)));
}

}  // namespace nfmeter::telemetry
