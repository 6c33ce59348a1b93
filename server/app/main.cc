// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd.
#include <stdio.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "accounting/counters/label_store.h"
#include "accounting/counters/managed_counters.h"
#include "accounting/ledger/ledger_files.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_store.h"
#include "app/command_line.h"
#include "app/config.h"
#include "app/exit_code.h"
#include "app/host_identity.h"
#include "app/options.h"
#include "app/sandbox.h"
#include "app/serve.h"
#include "app/state_directory.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "kernel/kernel.h"
#include "kernel/linux/host_kernel.h"
#include "kernel/migration.h"
#include "security/access/policy.h"
#include "security/access/policy_check.h"
#include "service/plan/file_plans.h"
#include "service/plan/read_plan.h"
#include "telemetry/log.h"

namespace nfmeter::app {
namespace {

// By name, with the quotas.
using Objects = std::map<std::string, std::optional<kernel::QuotaLimit>>;

constexpr size_t kShownFailures = 5;

void AddPlan(const absl::StatusOr<accounting::Plan>& plan, Objects& objects) {
  const auto compiled =
      plan.ok() ? accounting::CompilePlan(*plan, {}) : plan.status();
  if (!compiled.ok()) return Complain(compiled.status().message());
  for (const accounting::PlannedCounter& each : compiled->counters) {
    // What the plan says is newer than what a reading has shown.
    objects[each.name] = each.quota.has_value()
                             ? std::optional(each.quota->limit)
                             : std::nullopt;
  }
}

// The state directory is not locked: a server that uses it may go on.
absl::StatusOr<Objects> KeptObjects(const Config& config) {
  Objects objects;
  const auto file = [&](absl::string_view name) {
    return config.state_dir.empty() ? ""
                                    : absl::StrCat(config.state_dir, "/", name);
  };
  NFM_ASSIGN_OR_RETURN(
      const std::unique_ptr<accounting::LabelStore> labels,
      accounting::LabelStore::Open(
          file("ledger.db"), {.max_bytes = config.limits.max_label_bytes}));
  NFM_ASSIGN_OR_RETURN(
      const std::unique_ptr<accounting::ManagedCounters> managed,
      accounting::ManagedCounters::Open(file("quotas.db"), *labels));
  for (const std::string& name : *managed->Names()) {
    objects.emplace(name, managed->Wanted(name)->quota);
  }
  NFM_ASSIGN_OR_RETURN(const std::unique_ptr<accounting::PlanStore> plans,
                       accounting::PlanStore::Open(file("plans.db")));
  NFM_ASSIGN_OR_RETURN(const std::vector<accounting::StoredPlan> stored,
                       plans->All());
  for (const accounting::StoredPlan& each : stored) {
    AddPlan(service::ReadPlanSource(each.source), objects);
  }
  if (config.plan.empty()) return objects;
  for (const auto& plan : service::ReadPlansOf(config.plan)) {
    AddPlan(plan, objects);
  }
  return objects;
}

// For --restore-objects: makes, empty, what counters the kernel lacks of those
// that were made through nfmeter and those of plans. A saved firewall that
// names them can't be restored before. Says on standard output what it did, or
// on standard error what is wrong.
ExitCode RestoreObjects(const Config& config) {
  if (config.read_only) {
    printf("nothing restored: the configuration says read_only\n");
    return kExitOk;
  }
  const auto kept = KeptObjects(config);
  if (!kept.ok()) return Refuse(kept.status().message(), kExitState);
  const auto kernel =
      kernel::OpenHostKernel({.backend = config.backend}, SystemClock());
  if (!kernel.ok()) return Refuse(kernel.status().message(), kExitKernel);
  const auto capabilities = (*kernel)->capabilities();
  if (capabilities->backend == kernel::Backend::kNftables) {
    printf(
        "nothing to restore: the counters are in nfmeterd's own nf_tables "
        "table, which no saved firewall names\n");
    return kExitOk;
  }
  if (!capabilities->acct.ok()) {
    return Refuse(capabilities->acct.message(), kExitKernel);
  }
  std::vector<kernel::AcctObject> objects;
  for (const auto& [name, quota] : *kept) {
    objects.push_back({.name = name, .quota = quota});
  }
  size_t made = 0;
  std::vector<std::string> failures;
  for (const absl::Status& status : (*kernel)->acct().Create(objects)) {
    made += status.ok() ? 1 : 0;
    if (!status.ok() && !absl::IsAlreadyExists(status)) {
      failures.emplace_back(status.message());
    }
  }
  printf("counters made: %zu, there already: %zu\n", made,
         objects.size() - made - failures.size());
  if (failures.empty()) return kExitOk;
  const size_t failed = failures.size();
  if (failed > kShownFailures) failures.resize(kShownFailures);
  return Refuse(absl::StrCat("counters that could not be made: ", failed, ": ",
                             absl::StrJoin(failures, "; ")),
                kExitKernel);
}

absl::StatusOr<kernel::Migration> Migrate(kernel::Backend from_backend,
                                          kernel::Backend to_backend,
                                          Clock& clock) {
  NFM_ASSIGN_OR_RETURN(
      const std::unique_ptr<kernel::Kernel> from,
      kernel::OpenHostKernel({.backend = from_backend}, clock));
  NFM_ASSIGN_OR_RETURN(const std::unique_ptr<kernel::Kernel> to,
                       kernel::OpenHostKernel({.backend = to_backend}, clock));
  NFM_RETURN_IF_ERROR(from->capabilities()->acct);
  NFM_RETURN_IF_ERROR(to->capabilities()->acct);
  return kernel::MigrateCounting(*from, *to, clock);
}

// Moves counters and rules from the other backend to `to`, while no nfmeterd
// runs with this state directory, and says on standard output what it did.
ExitCode MigrateBackend(const Config& config, kernel::Backend to) {
  const auto state = StateDirectory::Open(config.state_dir);
  if (!state.ok()) return Refuse(state.status().message(), kExitState);
  const kernel::Backend from = to == kernel::Backend::kNftables
                                   ? kernel::Backend::kIptables
                                   : kernel::Backend::kNftables;
  const auto moved = Migrate(from, to, SystemClock());
  if (!moved.ok()) return Refuse(moved.status().message(), kExitKernel);
  printf("%zu %s and %zu %s by %s now.\n", moved->counters,
         moved->counters == 1 ? "counter" : "counters", moved->rules,
         moved->rules == 1 ? "rule count" : "rules count", BackendName(to));
  if (moved->counters == 0 && moved->rules == 0 && moved->plans == 0) {
    return kExitOk;
  }
  printf(
      "What passed in the %lld ms of the change was not counted; nothing was "
      "counted twice.\n",
      static_cast<long long>(absl::ToInt64Milliseconds(
          absl::Ceil(moved->missed, absl::Milliseconds(1)))));
  if (moved->plans > 0) {
    printf("The rules of %zu %s come when nfmeterd starts: start it now.\n",
           moved->plans, moved->plans == 1 ? "plan" : "plans");
  }
  if (config.backend == from) {
    printf("Its configuration says --backend %s: change that first.\n",
           BackendName(from));
  }
  return kExitOk;
}

absl::Status CheckDirectory(const std::string& state_dir) {
  if (!state_dir.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "there is no state directory, as --state-dir is ''");
}

std::string FileIn(const std::string& state_dir) {
  return absl::StrCat(state_dir, "/ledger.db");
}

std::string Shown(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

// --check-state: prints what the ledger has and what is wrong with it.
// kExitState: it is not sound, or can't be read.
ExitCode CheckState(const std::string& state_dir) {
  if (const absl::Status status = CheckDirectory(state_dir); !status.ok()) {
    return Refuse(status.message(), kExitState);
  }
  const std::string path = FileIn(state_dir);
  const auto report =
      accounting::CheckLedger(path, ReadHostIdentity().machine_id);
  if (!report.ok()) return Refuse(report.status().message(), kExitState);
  const bool sound = report->faults.empty();
  std::string text = absl::StrCat(
      sound ? "ok" : "NOT SOUND", ": ", path, "\nnode: ", report->node_id,
      "\ncounters: ", report->accounts, "\nrecords: ", report->records, ", ",
      report->record_bytes, " bytes");
  if (report->records > 0) {
    absl::StrAppend(
        &text, ", ", Shown(report->oldest), " to ", Shown(report->newest),
        "\nnewest record: ", report->sequence, " of epoch ", report->epoch);
  }
  absl::StrAppend(&text, "\ncheckpoints: ", report->checkpoints,
                  "\ngaps: ", report->gaps, "\n");
  fputs(text.c_str(), stdout);
  for (const std::string& fault : report->faults) {
    printf("fault: %s\n", fault.c_str());
  }
  return sound ? kExitOk : kExitState;
}

// --backup: copies the ledger. kExitState: it could not.
ExitCode BackUpState(const std::string& state_dir, const std::string& copy) {
  absl::Status status = CheckDirectory(state_dir);
  if (status.ok()) {
    status = accounting::BackUpLedger(FileIn(state_dir), copy, absl::Now());
  }
  if (!status.ok()) return Refuse(status.message(), kExitState);
  printf(
      "copied %s to %s; to restore it, stop nfmeterd and put it in that place, "
      "without the -wal and -shm files beside it\n",
      FileIn(state_dir).c_str(), copy.c_str());
  return kExitOk;
}

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
  // Others of this host read no ledger: a state directory that was there, such
  // as a hostPath of Kubernetes, may be everybody's to enter.
  umask(umask(0) | 027);
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
