// SPDX-License-Identifier: GPL-3.0-or-later
// Which machine, which boot, which network namespace.
#ifndef NFMETER_APP_HOST_IDENTITY_H_
#define NFMETER_APP_HOST_IDENTITY_H_

#include <string>
#include <vector>

#include "accounting/ledger/ledger_store.h"

namespace nfmeter::app {

// Of this process: /etc/machine-id, empty where there is none, as in most
// containers; /proc/sys/kernel/random/boot_id; the cookie of the network
// namespace (SO_NETNS_COOKIE, Linux 5.14 and newer; before that its inode,
// which another namespace may get later).
//
// The environment variables NFMETER_MACHINE_ID_FILE and NFMETER_BOOT_ID_FILE
// name other files.
accounting::HostIdentity ReadHostIdentity();

// What it reads, for the sandbox.
std::vector<std::string> HostIdentityFiles();

}  // namespace nfmeter::app

#endif  // NFMETER_APP_HOST_IDENTITY_H_
