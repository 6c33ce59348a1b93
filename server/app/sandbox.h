// SPDX-License-Identifier: GPL-3.0-or-later
// What nfmeterd gives up before it serves.
#ifndef NFMETER_APP_SANDBOX_H_
#define NFMETER_APP_SANDBOX_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "app/config.h"

namespace nfmeter::app {

// In this order, while the process has one thread:

// Keeps the capabilities that `config` needs; see security::DropPrivileges().
// Files are checked and opened after it, so that none is used that could not
// be read again later.
absl::Status GiveUpPrivileges(const Config& config);

// Landlock, as far as `config.sandbox` wants it and the kernel has it. First
// makes the folders and files that could not be made afterwards; what can't be
// made now is reported by whoever opens it. Returns the version of Landlock in
// force; 0: none.
absl::StatusOr<int> RestrictFiles(const Config& config);

// When the listeners are open, for all threads: seccomp, as RestrictFiles().
// Logs what is in force.
absl::Status FilterSystemCalls(const Config& config, int landlock_version);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_SANDBOX_H_
