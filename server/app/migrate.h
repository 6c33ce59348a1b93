// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd --migrate-backend.
#ifndef NFMETER_APP_MIGRATE_H_
#define NFMETER_APP_MIGRATE_H_

#include "app/config.h"
#include "app/exit_code.h"
#include "kernel/kernel.h"

namespace nfmeter::app {

// Moves counters and rules from the other backend to `to`, while no nfmeterd
// runs with this state directory, and says on standard output what it did.
ExitCode MigrateBackend(const Config& config, kernel::Backend to);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_MIGRATE_H_
