// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/options.h"

#include <iterator>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "app/option_kinds.h"
#include "base/status_macros.h"
#include "telemetry/counter_metrics.h"

namespace nfmeter::app {
namespace {

using telemetry::LogFormat;
using telemetry::LogLevel;

security::TlsOptions& Tls(Config& config) {
  if (!config.listen.tls.has_value()) config.listen.tls.emplace();
  return *config.listen.tls;
}

void AddListenOptions(std::vector<Option>& options) {
  options.push_back(File(
      "tls.certificate",
      "PEM file of the server's certificate, followed by intermediate ones",
      [](Config & c) -> auto& { return Tls(c).certificate; }));
  options.push_back(File(
      "tls.key", "PEM file of its private key",
      [](Config & c) -> auto& { return Tls(c).key; }));
  options.push_back(File(
      "tls.client_ca", "PEM file of the authorities whose clients are let in",
      [](Config & c) -> auto& { return Tls(c).client_ca; }));
  options.push_back(Duration(
      "tls.reload_interval", absl::Seconds(1), absl::Hours(24),
      "how often these files and the policy are looked at again (whole "
      "seconds)",
      [](Config & c) -> auto& { return c.reload_interval; }, absl::Seconds(1)));
  options.push_back(Switch(
      "insecure_loopback",
      "allow TCP without TLS on loopback addresses: every user of this host "
      "can do everything",
      [](Config & c) -> auto& { return c.listen.insecure_loopback; }));
}

void AddServerOptions(std::vector<Option>& options) {
  options.push_back(Text(
      "policy", "FILE",
      "who may do what (see --check-policy); '' for none: then only a "
      "listener's role counts",
      [](Config & c) -> auto& { return c.policy; }));
  options.push_back(Text(
      "plan", "FILE|DIR",
      "plans to apply, and to apply again whenever they change: a file, or all "
      "*.yaml, *.yml and *.json of a folder; '' for none",
      [](Config & c) -> auto& { return c.plan; }));
  options.push_back(Text(
      "audit.file", "FILE",
      "where each change and each denial is written, as JSON lines; '' for "
      "the log",
      [](Config & c) -> auto& { return c.audit_file; }));
  options.push_back(Text(
      "state_dir", "DIR",
      "where totals, labels, plans and answers are kept; '' keeps them in "
      "memory only",
      [](Config & c) -> auto& { return c.state_dir; }));
  options.push_back(Text(
      "hostname", "NAME", "name of this node; '' for the host's",
      [](Config & c) -> auto& { return c.hostname; }));
  options.push_back(Choice<>(
      "backend",
      "where counters and rules are kept: nfacct with legacy iptables, or "
      "nf_tables alone; auto takes what holds some already, else iptables "
      "where all of it works",
      std::vector<std::pair<std::string, kernel::Backend>>(
          std::begin(kBackendNames), std::end(kBackendNames)),
      [](Config & c) -> auto& { return c.backend; }));
  options.push_back(Switch(
      "reflection", "gRPC reflection: clients can list and describe the API",
      [](Config & c) -> auto& { return c.reflection; }));
  options.push_back(Switch(
      "channelz",
      "gRPC channelz: statistics of connections; off whenever a listener can "
      "be reached from other hosts",
      [](Config & c) -> auto& { return c.channelz; }));
  options.push_back(Switch(
      "read_only",
      "refuse every change of counters and rules; CAP_NET_RAW is given up too",
      [](Config & c) -> auto& { return c.read_only; }));
  options.push_back(Switch(
      "enable_flow_accounting",
      "turn on accounting and timestamps of connection tracking in this "
      "network namespace, for flows that begin from then on",
      [](Config & c) -> auto& { return c.enable_flow_accounting; }));
  options.push_back(Switch(
      "sandbox", "seccomp and Landlock: nfmeterd gives up what it never needs",
      [](Config & c) -> auto& { return c.sandbox; }));
  options.push_back(Choice<>(
      "log.level", "the lowest level that is logged",
      std::vector<std::pair<std::string, LogLevel>>{
          {"info", LogLevel::kInfo},
          {"debug", LogLevel::kDebug},
          {"warning", LogLevel::kWarning},
          {"error", LogLevel::kError},
          {"off", LogLevel::kOff}},
      [](Config & c) -> auto& { return c.log_level; }));
  options.push_back(Choice<>(
      "log.format", "the form of log lines",
      std::vector<std::pair<std::string, LogFormat>>{
          {"text", LogFormat::kText}, {"json", LogFormat::kJson}},
      [](Config & c) -> auto& { return c.log_format; }));
}

// Each key becomes a label of a series per counter, so there is a bound, and
// Prometheus takes nothing of a page on which a series has a label twice.
absl::Status CheckMetricsLabels(absl::Span<const std::string> keys,
                                absl::string_view text) {
  constexpr size_t kMost = 16;
  if (keys.size() > kMost) {
    return MustBe(absl::StrCat("at most ", kMost, " keys"), text);
  }
  absl::flat_hash_map<std::string, std::string> shown;
  for (const std::string& key : keys) {
    if (!accounting::IsLabelKey(key)) {
      return MustBe("keys of labels, each of [a-z0-9._/-], with commas between",
                    text);
    }
    const auto [other, added] =
        shown.try_emplace(telemetry::InfoLabel(key), key);
    if (added) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("shows both '", other->second, "' and '", key, "' as ",
                     other->first, "; leave one of them out"));
  }
  return absl::OkStatus();
}

Option MetricsLabels() {
  return {.key = "metrics.labels",
          .flag = FlagOf("metrics.labels"),
          .value = "KEYS",
          .help =
              "keys of the labels, separated by commas, that "
              "nfmeter_counter_info shows of these counters; '' for none",
          .set = [](absl::string_view text, Config& config) {
            std::vector<std::string> keys =
                absl::StrSplit(text, ',', absl::SkipWhitespace());
            for (std::string& key : keys) {
              absl::StripAsciiWhitespace(&key);
            }
            NFM_RETURN_IF_ERROR(CheckMetricsLabels(keys, text));
            config.metrics.labels = std::move(keys);
            return absl::OkStatus();
          }};
}

void AddWebOptions(std::vector<Option>& options) {
  options.push_back(Address(
      "web.listen", "ADDRESS",
      "where browsers read a page about this host: HOST:PORT of a loopback "
      "address, which every user of this host reaches, or unix:/PATH; any "
      "other HOST:PORT with mutual TLS by tls.*; '' for nowhere",
      "", "HOST:PORT or unix:/PATH",
      [](Config & c) -> auto& { return c.web.listen; }));
  options.push_back(Choice<>(
      "web.role",
      "what the page shows without TLS: all that a viewer may see, or with "
      "none what the policy grants to 'web'",
      std::vector<std::pair<std::string, security::Role>>{
          {"viewer", security::Role::kViewer}, {"none", security::Role::kNone}},
      [](Config & c) -> auto& { return c.web.role; }));
}

void AddMetricsOptions(std::vector<Option>& options) {
  options.push_back(Address(
      "metrics.listen", "HOST:PORT",
      "where Prometheus reads metrics, at /metrics, by HTTP without TLS: "
      "everybody who reaches it sees the counters; '' for nowhere",
      "tcp:", "HOST:PORT, or [IPV6]:PORT",
      [](Config & c) -> auto& { return c.metrics.listen; }));
  options.push_back(Number(
      "metrics.max_counters", 0, 10'000'000,
      "most counters that are shown there, the first by name; the others are "
      "only counted",
      [](Config & c) -> auto& { return c.metrics.max_counters; }));
  options.push_back(Text(
      "metrics.counters", "GLOB",
      "names of counters that are shown there; '' for none",
      [](Config & c) -> auto& { return c.metrics.counters; }));
  options.push_back(MetricsLabels());
}

void AddRetention(std::vector<Option>& options) {
  constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 100);
  options.push_back(Duration(
      "retention.records", absl::Minutes(10), kLongest,
      "how long records of usage are kept",
      [](Config & c) -> auto& { return c.retention.records; }));
  options.push_back(Number(
      "retention.record_bytes", 1 << 20, size_t{1} << 50,
      "bytes of all records; beyond that the oldest go",
      [](Config & c) -> auto& { return c.retention.record_bytes; }));
  options.push_back(Number(
      "retention.max_record_bytes", 1 << 20, size_t{1} << 50,
      "bytes up to which records are kept beyond both, as a consumer has not "
      "acknowledged them",
      [](Config & c) -> auto& { return c.retention.hard_record_bytes; }));
  options.push_back(Duration(
      "retention.five_minutes", absl::Hours(1), kLongest,
      "how long usage of each five minutes is kept",
      [](Config & c) -> auto& { return c.retention.five_minutes; }));
  options.push_back(Duration(
      "retention.hours", absl::Hours(1), kLongest,
      "how long usage of each hour is kept",
      [](Config & c) -> auto& { return c.retention.hours; }));
}

void AddLimits(std::vector<Option>& options) {
  options.push_back(Number(
      "limits.max_batch_size", 1, 1'000'000, "items in a batch request",
      [](Config & c) -> auto& { return c.limits.max_batch_size; }));
  options.push_back(Number(
      "limits.max_page_size", 1, 1'000'000, "items in a page",
      [](Config & c) -> auto& { return c.limits.max_page_size; }));
  options.push_back(Number(
      "limits.max_streams", 1, 1'000'000,
      "streams open at once, all kinds together",
      [](Config & c) -> auto& { return c.limits.max_streams; }));
  options.push_back(Number(
      "limits.max_streams_per_caller", 1, 1'000'000,
      "of these, those of one caller with a certificate",
      [](Config & c) -> auto& { return c.limits.max_streams_per_caller; }));
  options.push_back(Number(
      "limits.max_calls_per_second", 0, 1'000'000,
      "calls of one caller with a certificate, twice as many at once; 0 for "
      "any number",
      [](Config & c) -> auto& { return c.limits.max_calls_per_second; }));
  options.push_back(Number(
      "limits.max_streams_per_connection", 1, 1'000'000,
      "calls and streams at once on one connection; more wait at the client",
      [](Config & c) -> auto& { return c.max_streams_per_connection; }));
  options.push_back(Number(
      "limits.max_resets_per_second", 0, 1'000'000,
      "calls that one connection may cancel in a second; beyond that it is "
      "closed; 0 for any number",
      [](Config & c) -> auto& { return c.max_resets_per_second; }));
  options.push_back(Number(
      "limits.max_connections", 1, 1'000'000,
      "connections at once; more are closed, and so are those that leave no "
      "descriptors for anything else",
      [](Config & c) -> auto& { return c.max_connections; }));
  options.push_back(Duration(
      "limits.tls_connection_age", absl::Seconds(1), absl::Hours(24 * 30),
      "how long a connection over TLS takes new calls, give or take a tenth; "
      "clients then make another one, with a certificate that is still good",
      [](Config & c) -> auto& { return c.tls_connection_age; }));
  options.push_back(Duration(
      "limits.tls_connection_grace", absl::Seconds(1), absl::Hours(24 * 30),
      "how long its open streams may go on after that",
      [](Config & c) -> auto& { return c.tls_connection_grace; }));
  options.push_back(Number(
      "limits.max_threads", 2, 10'000,
      "threads that carry out reads; as many more for changes of counters, and "
      "of rules",
      [](Config & c) -> auto& { return c.max_threads; }));
  options.push_back(Number(
      "limits.max_request_bytes", 4096, 1 << 30, "bytes in a request",
      [](Config & c) -> auto& { return c.limits.max_request_bytes; }));
  options.push_back(Number(
      "limits.max_pending_bytes", 4096, size_t{1} << 40,
      "bytes of all requests that are not answered yet; beyond, connections of "
      "clients with more than their share are closed",
      [](Config & c) -> auto& { return c.max_pending_bytes; }));
  options.push_back(Number(
      "limits.max_held_bytes", 1 << 20, size_t{1} << 40,
      "bytes that are held for callers, half of them for each: requests that "
      "are served, answers that were not read",
      [](Config & c) -> auto& { return c.limits.max_held_bytes; }));
  options.push_back(Number(
      "limits.max_counters", 1, 100'000'000,
      "counters that snapshots keep track of",
      [](Config & c) -> auto& { return c.limits.max_counters; }));
  options.push_back(Number(
      "limits.max_label_bytes", 0, size_t{1} << 40,
      "bytes of memory that the labels of all counters take",
      [](Config & c) -> auto& { return c.limits.max_label_bytes; }));
  options.push_back(Number(
      "limits.max_label_bytes_per_scope", 0, size_t{1} << 40,
      "of these, those of the counters that one caller with prefixes may touch",
      [](Config & c) -> auto& { return c.limits.max_label_bytes_per_scope; }));
  options.push_back(Duration(
      "limits.min_snapshot_interval", absl::Milliseconds(1), absl::Hours(1),
      "shortest time between two snapshots of a stream",
      [](Config & c) -> auto& { return c.limits.min_snapshot_interval; }));
  options.push_back(Number(
      "limits.max_flow_groups", 1, 10'000'000,
      "groups into which flows are summed at once, 200 bytes each",
      [](Config & c) -> auto& { return c.limits.max_flow_groups; }));
  options.push_back(Number(
      "limits.max_watched_flows", 1, 100'000'000,
      "flows that are watched at once, 100 bytes each",
      [](Config & c) -> auto& { return c.limits.max_watched_flows; }));
  options.push_back(Duration(
      "limits.min_flow_interval", absl::Milliseconds(10), absl::Hours(1),
      "shortest time between two readings of all flows",
      [](Config & c) -> auto& { return c.limits.min_flow_interval; }));
  options.push_back(Duration(
      "limits.lock_timeout", absl::Milliseconds(1), absl::Hours(1),
      "longest wait for the xtables lock in a call without a deadline",
      [](Config & c) -> auto& { return c.limits.default_rule_change_time; }));
  options.push_back(Duration(
      "limits.max_lock_timeout", absl::Milliseconds(1), absl::Hours(1),
      "the same in a call with one",
      [](Config & c) -> auto& { return c.limits.max_rule_change_time; }));
}

}  // namespace

const std::vector<Option>& AllOptions() {
  static const auto* const options = [] {
    auto* made = new std::vector<Option>;
    AddListenOptions(*made);
    AddServerOptions(*made);
    AddMetricsOptions(*made);
    AddRetention(*made);
    AddWebOptions(*made);
    AddLimits(*made);
    return made;
  }();
  return *options;
}

absl::StatusOr<mode_t> ParseMode(absl::string_view text) {
  mode_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || mode > 0777) {
      return MustBe("an octal mode such as 0660", text);
    }
    mode = mode * 8 + static_cast<mode_t>(c - '0');
  }
  if (text.empty() || mode > 0777) {
    return MustBe("an octal mode such as 0660", text);
  }
  return mode;
}

absl::StatusOr<security::Role> ParseListenerRole(absl::string_view text) {
  if (const auto role = security::ParseRole(text)) return *role;
  return MustBe("viewer, operator, admin or none", text);
}

absl::StatusOr<security::FlowAccess> ParseListenerFlows(
    absl::string_view text) {
  if (const auto flows = security::ParseFlowAccess(text)) return *flows;
  return MustBe("none, summary or full", text);
}

}  // namespace nfmeter::app
