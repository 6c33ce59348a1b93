// SPDX-License-Identifier: GPL-3.0-or-later
// What the process may do once it has what it needs: its capabilities.
#ifndef NFMETER_SECURITY_SANDBOX_PRIVILEGES_H_
#define NFMETER_SECURITY_SANDBOX_PRIVILEGES_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace nfmeter::security {

struct PrivilegeOptions {
  // Without CAP_NET_RAW, which only changes of rules need.
  bool read_only = false;
  // A TCP listener has a port below 1024: CAP_NET_BIND_SERVICE stays.
  bool low_ports = false;
  // Groups that unix sockets shall belong to. The process becomes a member
  // where it may, so that it can give them away without CAP_CHOWN.
  std::vector<gid_t> socket_groups;
};

// Gives up every capability but CAP_NET_ADMIN and what `options` ask for, in
// the bounding set too, and for good: no_new_privs is set. A capability that
// the process does not have is not missed here. Call it while there is one
// thread: those made later inherit what is left. INTERNAL, SANDBOX_FAILED: the
// kernel refused, or more is left than should be.
absl::Status DropPrivileges(const PrivilegeOptions& options);

// What the calling thread may do now, as "cap_net_admin,cap_net_raw"; "none".
std::string DescribeCapabilities();

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_SANDBOX_PRIVILEGES_H_
