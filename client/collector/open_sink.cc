// SPDX-License-Identifier: Apache-2.0
#include "collector/open_sink.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/src/status_macros.h"
#include "collector/nats_sink.h"
#include "collector/postgres_sink.h"
#include "collector/sqlite_sink.h"

namespace nfmeter::collector {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsPostgres(absl::string_view url) {
  return absl::StartsWith(url, "postgresql://") ||
         absl::StartsWith(url, "postgres://");
}

bool IsNats(absl::string_view url) {
  return absl::StartsWith(url, "nats://") || absl::StartsWith(url, "tls://");
}

// Where the part before the host ends; npos: there is none. A password may have
// signs that should have been escaped.
size_t EndOfUser(absl::string_view url) {
  const size_t at = url.substr(0, url.find('?')).rfind('@');
  if (at != absl::string_view::npos) return at;
  return url.find(':') < url.find('?') ? url.substr(0, url.find('/')).rfind('@')
                                       : at;
}

// Of postgresql://USER:PASSWORD@HOST/DATABASE?password=PASSWORD, and
// nats://TOKEN@HOST.
std::string WithoutPassword(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == absl::string_view::npos) return std::string(url);
  std::string shown(url.substr(0, scheme + 3));
  url.remove_prefix(scheme + 3);
  if (const size_t at = EndOfUser(url); at != absl::string_view::npos) {
    const size_t colon = url.find(':');
    if (colon < at) {
      absl::StrAppend(&shown, url.substr(0, colon), ":***");
    } else {
      absl::StrAppend(&shown, IsNats(shown) ? "***" : url.substr(0, at));
    }
    url.remove_prefix(at);
  }
  const size_t query = url.find('?');
  absl::StrAppend(&shown, url.substr(0, query));
  if (query == absl::string_view::npos) return shown;
  char before = '?';
  for (const absl::string_view each :
       absl::StrSplit(url.substr(query + 1), '&')) {
    const absl::string_view key = each.substr(0, each.find('='));
    shown.push_back(before);
    before = '&';
    absl::StrAppend(&shown, key);
    if (key.size() == each.size()) continue;
    absl::StrAppend(&shown, absl::StrContains(key, "password")
                                ? "=***"
                                : each.substr(key.size()));
  }
  return shown;
}

// SQLite keeps a file without a name until it is closed, and no longer.
absl::Status CheckPath(absl::string_view path, bool check_rights) {
  if (path.empty()) {
    return absl::InvalidArgumentError(
        "--sink sqlite: has no path; write sqlite:PATH");
  }
  std::string folder = std::filesystem::path(std::string(path)).parent_path();
  if (folder.empty()) folder = ".";
  if (check_rights && access(folder.c_str(), W_OK | X_OK) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder, " can't be written: ", std::strerror(errno),
                     "; give the collector a folder that it may write, --sink "
                     "sqlite:PATH"));
  }
  return absl::OkStatus();
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
  // Each server of NATS has a URL of its own.
  std::string shown;
  size_t begin = 0;
  for (;;) {
    const size_t scheme = url.find("://", begin);
    const size_t next =
        scheme == std::string::npos ? scheme : url.find("://", scheme + 3);
    const size_t comma =
        next == std::string::npos ? next : url.rfind(',', next);
    const size_t end =
        comma == std::string::npos || comma < scheme ? url.size() : comma;
    absl::StrAppend(&shown, WithoutPassword(absl::string_view(url).substr(
                                begin, end - begin)));
    if (end == url.size()) return shown;
    shown.push_back(',');
    begin = end + 1;
  }
}

bool KeepsEvents(absl::string_view url) { return IsPostgres(url); }

absl::StatusOr<std::unique_ptr<Sink>> OpenSink(const SinkOptions& options) {
  const std::string url = options.url.empty() ? DefaultSink() : options.url;
  absl::string_view path(url);
  if (absl::ConsumePrefix(&path, "sqlite:")) {
    absl::ConsumePrefix(&path, "//");
    NFM_RETURN_IF_ERROR(CheckPath(path, options.check_rights));
    return SqliteSink::Open(
        {.path = std::string(path), .only_inspect = options.only_inspect});
  }
  if (IsPostgres(url)) {
    return PostgresSink::Open({.url = url,
                               .connections = options.connections,
                               .only_inspect = options.only_inspect,
                               .check_rights = options.check_rights});
  }
  if (IsNats(url)) {
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
