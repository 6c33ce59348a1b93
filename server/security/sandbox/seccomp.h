// SPDX-License-Identifier: GPL-3.0-or-later
// seccomp: which system calls the process can make from now on.
#ifndef NFMETER_SECURITY_SANDBOX_SECCOMP_H_
#define NFMETER_SECURITY_SANDBOX_SECCOMP_H_

#include "absl/status/status.h"

namespace nfmeter::security {

// Lets all threads of the process make the calls that a serving nfmeterd needs
// and no others: no program is started, no file becomes executable memory, no
// socket of another family is opened. Others answer ENOSYS, as on a kernel that
// does not have them, which libraries are made for; those that only an intruder
// would make end the process (SIGSYS). Call it when the listeners are open.
// Needs no_new_privs or CAP_SYS_ADMIN. UNIMPLEMENTED, SANDBOX_UNAVAILABLE: this
// kernel, or a build with sanitizers, has no place for it. INTERNAL,
// SANDBOX_FAILED.
absl::Status FilterSystemCalls();

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_SANDBOX_SECCOMP_H_
