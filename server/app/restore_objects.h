// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel's objects, before anything else needs them.
#ifndef NFMETER_APP_RESTORE_OBJECTS_H_
#define NFMETER_APP_RESTORE_OBJECTS_H_

#include "app/config.h"
#include "app/exit_code.h"

namespace nfmeter::app {

// For --restore-objects: makes, empty, what counters the kernel lacks of those
// that were made through nfmeter and those of plans. A saved firewall that
// names them can't be restored before. Says on standard output what it did, or
// on standard error what is wrong.
ExitCode RestoreObjects(const Config& config);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_RESTORE_OBJECTS_H_
