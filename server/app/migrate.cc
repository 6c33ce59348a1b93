// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/migrate.h"

#include <stdio.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "app/backend_names.h"
#include "app/state_directory.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "kernel/linux/host_kernel.h"
#include "kernel/migration.h"

namespace nfmeter::app {
namespace {

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

}  // namespace

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

}  // namespace nfmeter::app
