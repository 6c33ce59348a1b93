// SPDX-License-Identifier: GPL-3.0-or-later
// What nfmeterd is told: by its YAML file and by its flags, which win.
#ifndef NFMETER_APP_CONFIG_H_
#define NFMETER_APP_CONFIG_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/ledger/retention.h"
#include "kernel/kernel.h"
#include "security/listen/listeners.h"
#include "service/gate/limits.h"
#include "telemetry/log.h"

namespace nfmeter::app {

inline constexpr char kDefaultConfigFile[] = "/etc/nfmeter/nfmeter.yaml";

struct MetricsConfig {
  std::optional<security::ListenAddress> listen;  // kTcp; none: no metrics
  size_t max_counters = 10'000;
  std::string counters = "*";  // a glob; empty: none
  // Keys of the labels that nfmeter_counter_info shows.
  std::vector<std::string> labels;
};

struct WebConfig {
  std::optional<security::ListenAddress> listen;  // none: no page
  // Of whoever opens the page without a certificate: viewer, or none, and then
  // the policy says what "web" may see.
  security::Role role = security::Role::kViewer;

  // What other hosts reach is served with mutual TLS only, by Config's files.
  bool over_tls() const { return listen.has_value() && !listen->IsLocal(); }
};

struct Config {
  security::ListenOptions listen;
  std::string state_dir = "/var/lib/nfmeter";  // empty: nothing is kept
  std::string hostname;                        // empty: the kernel's
  std::string policy;                          // empty: none
  // How often the policy and certificates are looked at again; whole seconds.
  absl::Duration reload_interval = absl::Seconds(30);
  std::string plan;        // a file or folder of plans; empty: none
  std::string audit_file;  // empty: the log
  kernel::Backend backend = kernel::Backend::kAuto;
  bool reflection = true;
  bool channelz = true;                 // when all listeners are local
  bool read_only = false;               // refuses every change
  bool sandbox = true;                  // seccomp and Landlock
  bool enable_flow_accounting = false;  // sysctls of connection tracking
  telemetry::LogLevel log_level = telemetry::LogLevel::kInfo;
  telemetry::LogFormat log_format = telemetry::LogFormat::kText;
  MetricsConfig metrics;
  accounting::Retention retention;
  WebConfig web;
  service::Limits limits;
  size_t max_threads = 64;
  size_t max_streams_per_connection = 1024;
  size_t max_resets_per_second = 1000;  // of one connection; 0: any number
  size_t max_connections = 16'384;
  // Connections over TLS are made anew now and then, so that a certificate that
  // has expired since ends access.
  absl::Duration tls_connection_age = absl::Hours(1);
  absl::Duration tls_connection_grace = absl::Minutes(5);
  // Of requests that are not answered yet, of all connections.
  size_t max_pending_bytes = 64 << 20;
};

// Where the server listens when it is not told.
security::ListenerOptions DefaultListener();

// What callers may do by where they come from: of the listeners, and the page.
std::vector<security::ListenerGrant> ListenerGrants(const Config& config);

// What remains to be checked when file and flags are read: that options fit
// together, and that the files and groups that they name are there.
// INVALID_ARGUMENT, a sentence. Otherwise warnings, to be logged.
absl::StatusOr<std::vector<std::string>> CheckConfig(const Config& config);

// For --check-config: the settings that say who gets in and what is kept.
std::string DescribeConfig(const Config& config);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_CONFIG_H_
