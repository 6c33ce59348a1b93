// SPDX-License-Identifier: Apache-2.0
#include "collector/open_sink.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "collector/nats_sink.h"
#include "collector/postgres_sink.h"
#include "collector/sqlite_sink.h"
#include "collector/status_macros.h"

namespace nfmeter::collector {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string WithoutPassword(const std::string& url) {
  const size_t user = url.find("://");
  const size_t at = url.find('@');
  if (user == std::string::npos || at == std::string::npos) return url;
  const size_t colon = url.find(':', user + 3);
  if (colon == std::string::npos || colon > at) return url;
  return absl::StrCat(url.substr(0, colon), ":***", url.substr(at));
}

}  // namespace

std::string DefaultSink() {
  std::string folder = Variable("STATE_DIRECTORY");
  std::error_code error;
  if (folder.empty()) {
    folder = "/var/lib/nfmeter-collector";
    std::filesystem::create_directories(folder, error);
    if (access(folder.c_str(), W_OK) != 0) folder.clear();
  }
  if (folder.empty()) {
    folder = Variable("XDG_STATE_HOME");
    if (folder.empty())
      folder = absl::StrCat(Variable("HOME"), "/.local/state");
    absl::StrAppend(&folder, "/nfmeter-collector");
    std::filesystem::create_directories(folder, error);
  }
  return absl::StrCat("sqlite:", folder, "/usage.db");
}

std::string ShownSink(const std::string& url) {
  std::vector<std::string> servers = absl::StrSplit(url, ',');
  for (std::string& server : servers) server = WithoutPassword(server);
  return absl::StrJoin(servers, ",");
}

absl::StatusOr<std::unique_ptr<Sink>> OpenSink(const SinkOptions& options) {
  const std::string url = options.url.empty() ? DefaultSink() : options.url;
  absl::string_view path(url);
  if (absl::ConsumePrefix(&path, "sqlite:")) {
    absl::ConsumePrefix(&path, "//");
    return SqliteSink::Open(
        {.path = std::string(path), .only_inspect = options.only_inspect});
  }
  if (absl::StartsWith(url, "postgresql://") ||
      absl::StartsWith(url, "postgres://")) {
    return PostgresSink::Open({.url = url,
                               .connections = options.connections,
                               .only_inspect = options.only_inspect});
  }
  if (absl::StartsWith(url, "nats://") || absl::StartsWith(url, "tls://")) {
    auto sink =
        NatsSink::Open({.url = url, .only_inspect = options.only_inspect});
    if (sink.ok()) return sink;
    // NATS does not say where.
    return absl::Status(
        sink.status().code(),
        absl::StrCat(ShownSink(url), ": ", sink.status().message()));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--sink ", ShownSink(url),
                   " is not one; write sqlite:PATH, "
                   "postgresql://USER@HOST/DATABASE or nats://HOST:PORT"));
}

}  // namespace nfmeter::collector
