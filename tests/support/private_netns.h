// SPDX-License-Identifier: GPL-3.0-or-later
// A network namespace that belongs to one test process.
#ifndef NFMETER_TESTS_SUPPORT_PRIVATE_NETNS_H_
#define NFMETER_TESTS_SUPPORT_PRIVATE_NETNS_H_

#include "absl/status/status.h"

namespace nfmeter::testing {

// Moves the calling process, which must have one thread, into a new network
// and mount namespace (and, where it is not root, a user namespace in which it
// is), brings up lo, and points XTABLES_LOCKFILE at a lock of its own that goes
// with the process. Nothing of the host's network is touched after that.
absl::Status EnterPrivateNetns();

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_PRIVATE_NETNS_H_
