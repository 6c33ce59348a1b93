// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/config.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "accounting/common/counter_filter.h"
#include "base/status_macros.h"
#include "security/access/in_process.h"
#include "security/access/policy.h"
#include "security/access/policy_check.h"
#include "security/listen/unix_socket.h"

namespace nfmeter::app {
namespace {

using Kind = security::ListenAddress::Kind;

absl::Status CheckTlsIsWhole(const security::TlsOptions& tls) {
  const std::pair<const char*, const std::string&> files[] = {
      {"certificate", tls.certificate},
      {"key", tls.key},
      {"client_ca", tls.client_ca}};
  for (const auto& [name, file] : files) {
    if (file.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tls.", name,
                       " is missing; mutual TLS needs certificate, key and "
                       "client_ca"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FindPolicyWarnings(
    const Config& config) {
  if (config.policy.empty()) {
    return security::FindClosedListeners(ListenerGrants(config), nullptr);
  }
  NFM_ASSIGN_OR_RETURN(const security::Policy policy,
                       security::ReadPolicy(config.policy));
  std::vector<std::string> warnings = security::FindWarnings(policy);
  for (std::string& closed :
       security::FindClosedListeners(ListenerGrants(config), &policy)) {
    warnings.push_back(std::move(closed));
  }
  return warnings;
}

}  // namespace

security::ListenerOptions DefaultListener() {
  return {
      .address = {.kind = Kind::kUnix, .path = security::kDefaultSocketPath}};
}

std::vector<security::ListenerGrant> ListenerGrants(const Config& config) {
  std::vector<security::ListenerGrant> grants =
      security::GrantsOf(config.listen);
  if (config.web.listen.has_value()) {
    security::ListenerGrant page = {
        .address = absl::StrCat("the page at ", config.web.listen->ToString())};
    // Over TLS callers have names of their own.
    if (!config.web.over_tls()) {
      page.principal = security::kWebPage;
      page.role = config.web.role;
    }
    grants.push_back(std::move(page));
  }
  return grants;
}

absl::StatusOr<std::vector<std::string>> CheckConfig(const Config& config) {
  if (config.listen.tls.has_value()) {
    NFM_RETURN_IF_ERROR(CheckTlsIsWhole(*config.listen.tls));
  }
  if (config.limits.default_rule_change_time >
      config.limits.max_rule_change_time) {
    return absl::InvalidArgumentError(
        "limits.lock_timeout must not be longer than "
        "limits.max_lock_timeout");
  }
  if (config.read_only && !config.plan.empty()) {
    return absl::InvalidArgumentError(
        "plan can't be applied by a server that is read_only; leave one of "
        "them out");
  }
  if (accounting::HasOpenBracket(config.metrics.counters)) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.counters '", config.metrics.counters,
                     "' has a '[' without its ']', which no name matches"));
  }
  if (config.web.over_tls() && !config.listen.tls.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "web.listen ", config.web.listen->ToString(),
        " can be reached from other hosts, so it takes mutual TLS: set "
        "tls.certificate, tls.key and tls.client_ca; or give a loopback "
        "address or unix:/PATH (docs/web.md)"));
  }
  NFM_ASSIGN_OR_RETURN(std::vector<std::string> warnings,
                       security::CheckListeners(config.listen));
  const bool has_tcp = std::any_of(
      config.listen.listeners.begin(), config.listen.listeners.end(),
      [](const auto& each) { return each.address.kind == Kind::kTcp; });
  if (!has_tcp && !config.web.over_tls() && config.listen.tls.has_value()) {
    warnings.emplace_back("tls is configured, but no listener uses it");
  }
  NFM_ASSIGN_OR_RETURN(const std::vector<std::string> of_policy,
                       FindPolicyWarnings(config));
  warnings.insert(warnings.end(), of_policy.begin(), of_policy.end());
  if (config.retention.record_bytes > config.retention.hard_record_bytes) {
    warnings.push_back(absl::StrCat(
        "retention.record_bytes ", config.retention.record_bytes,
        " is more than retention.max_record_bytes ",
        config.retention.hard_record_bytes,
        ", beyond which the oldest records go that a consumer has not "
        "acknowledged; raise that, too"));
  }
  const auto& metrics = config.metrics.listen;
  if (metrics.has_value() && !metrics->IsLocal()) {
    warnings.push_back(absl::StrCat(
        "metrics.listen ", metrics->ToString(),
        " is plain HTTP: everybody who reaches it sees the names and values of "
        "counters"));
  }
  if (config.audit_file.empty() &&
      config.log_level > telemetry::LogLevel::kInfo) {
    warnings.emplace_back(
        "changes and denials are recorded nowhere: there is no audit.file, and "
        "log.level hides them in the log");
  }
  return warnings;
}

std::string DescribeConfig(const Config& config) {
  std::string text;
  const auto add_access = [&](const security::ListenerOptions& listener) {
    if (listener.role.has_value()) {
      absl::StrAppend(&text, ", role ", security::RoleName(*listener.role));
    }
    if (listener.flows > security::FlowAccess::kNone) {
      absl::StrAppend(&text, ", flows ",
                      security::FlowAccessName(listener.flows));
    }
  };
  for (const security::ListenerOptions& each : config.listen.listeners) {
    absl::StrAppend(&text, "listen ", each.address.ToString());
    if (each.address.kind == Kind::kUnix) {
      absl::StrAppendFormat(&text, " (mode %04o", each.mode);
      if (!each.group.empty()) absl::StrAppend(&text, ", group ", each.group);
      add_access(each);
      text.append(")\n");
    } else {
      text.append(config.listen.tls.has_value() ? " (mutual TLS"
                                                : " (insecure");
      if (!config.listen.tls.has_value()) add_access(each);
      text.append(")\n");
    }
  }
  if (config.read_only) text.append("changes refused\n");
  if (!config.policy.empty()) {
    absl::StrAppend(&text, "policy ", config.policy, "\n");
  }
  if (!config.plan.empty()) absl::StrAppend(&text, "plan ", config.plan, "\n");
  if (!config.audit_file.empty()) {
    absl::StrAppend(&text, "audit ", config.audit_file, "\n");
  }
  if (config.metrics.listen.has_value()) {
    absl::StrAppend(&text, "metrics http://", config.metrics.listen->ToString(),
                    "/metrics\n");
  }
  if (config.web.listen.has_value()) {
    absl::StrAppend(
        &text, "page ", config.web.listen->ToString(), " (",
        config.web.over_tls()
            ? "mutual TLS"
            : absl::StrCat("role ", security::RoleName(config.web.role)),
        ")\n");
  }
  absl::StrAppend(
      &text, "state ",
      config.state_dir.empty() ? "in memory only" : config.state_dir, "\n");
  return text;
}

}  // namespace nfmeter::app
