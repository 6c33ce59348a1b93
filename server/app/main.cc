// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd.
#include <stdio.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "app/command_line.h"
#include "app/migrate.h"
#include "app/restore_objects.h"
#include "app/sandbox.h"
#include "app/serve.h"
#include "app/state_tools.h"
#include "security/access/policy.h"
#include "security/access/policy_check.h"
#include "service/plan/file_plans.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

// To stderr, as it is not known yet how to log. A line for each mistake.
ExitCode RefuseConfig(const absl::Status& status) {
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    Complain(line);
  }
  return kExitConfig;
}

// The same. A server writes it to its log, which a program may read.
ExitCode RefuseToServe(const Invocation& invocation,
                       const absl::Status& status) {
  if (invocation.action != Invocation::Action::kServe ||
      invocation.config.log_format == telemetry::LogFormat::kText) {
    return RefuseConfig(status);
  }
  telemetry::ConfigureLog(invocation.config.log_format,
                          telemetry::LogLevel::kError);
  for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    telemetry::Log(telemetry::LogLevel::kError, "not started",
                   {{"error", line}});
  }
  return kExitConfig;
}

void PrintCheck(const Invocation& invocation,
                const std::vector<std::string>& warnings) {
  printf("ok: %s\n%s",
         invocation.config_file.empty() ? "no configuration file"
                                        : invocation.config_file.c_str(),
         DescribeConfig(invocation.config).c_str());
  for (const std::string& warning : warnings) {
    printf("warning: %s\n", warning.c_str());
  }
}

// For --check-policy.
ExitCode CheckPolicy(const std::string& file) {
  const absl::StatusOr<security::Policy> policy = security::ReadPolicy(file);
  if (!policy.ok()) return RefuseConfig(policy.status());
  printf("ok: %s\n%s", file.c_str(), security::DescribePolicy(*policy).c_str());
  for (const std::string& warning : security::FindWarnings(*policy)) {
    printf("warning: %s\n", warning.c_str());
  }
  return kExitOk;
}

ExitCode Main(const std::vector<std::string>& arguments) {
  const auto invocation = ParseCommandLine(arguments);
  if (!invocation.ok()) return RefuseConfig(invocation.status());
  if (invocation->action == Invocation::Action::kPrint) {
    fputs(invocation->text.c_str(), stdout);
    return kExitOk;
  }
  if (invocation->action == Invocation::Action::kCheckPolicy) {
    return CheckPolicy(invocation->text);
  }
  if (invocation->action == Invocation::Action::kCheckState) {
    return CheckState(invocation->config.state_dir);
  }
  if (invocation->action == Invocation::Action::kBackUp) {
    return BackUpState(invocation->config.state_dir, invocation->text);
  }
  // Before files are looked at: the server has to read them without privileges.
  if (const absl::Status status = GiveUpPrivileges(invocation->config);
      !status.ok()) {
    RefuseToServe(*invocation, status);
    return kExitSandbox;
  }
  // Before CheckConfig(), as it needs neither listeners nor certificates.
  if (invocation->action == Invocation::Action::kRestoreObjects) {
    return RestoreObjects(invocation->config);
  }
  const auto warnings = CheckConfig(invocation->config);
  if (!warnings.ok()) return RefuseToServe(*invocation, warnings.status());
  if (invocation->action == Invocation::Action::kCheckConfig) {
    // Only here: a server starts all the same, with the plans from before.
    const std::string& plan = invocation->config.plan;
    const absl::Status plans =
        plan.empty() ? absl::OkStatus() : service::CheckPlanFiles(plan);
    if (!plans.ok()) return RefuseConfig(plans);
    PrintCheck(*invocation, *warnings);
    return kExitOk;
  }
  if (invocation->action == Invocation::Action::kMigrateBackend) {
    return MigrateBackend(invocation->config, invocation->backend);
  }
  return Serve(invocation->config, *warnings);
}

}  // namespace
}  // namespace nfmeter::app

int main(int argc, char** argv) {
  return nfmeter::app::Main(std::vector<std::string>(argv + 1, argv + argc));
}
