// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/sandbox/privileges.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::security {
namespace {

using Capabilities =
    std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)>;

absl::Status Failed(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kInternal, "SANDBOX_FAILED",
      absl::StrCat("giving up privileges: ", what, ": ", strerror(errno)));
}

// The highest capability that both kernel and libcap know of.
cap_value_t Last() {
  cap_value_t last = 0;
  while (cap_get_bound(last + 1) >= 0) ++last;
  return last;
}

bool Permits(cap_t capabilities, cap_value_t value) {
  cap_flag_value_t on = CAP_CLEAR;
  return cap_get_flag(capabilities, value, CAP_PERMITTED, &on) == 0 &&
         on == CAP_SET;
}

// Adds to the groups that the process is in. Without CAP_SETGID nothing happens
// here, and giving a socket to such a group fails later with its own message.
absl::Status JoinGroups(const std::vector<gid_t>& wanted) {
  std::vector<gid_t> groups(getgroups(0, nullptr));
  if (getgroups(static_cast<int>(groups.size()), groups.data()) < 0) {
    return Failed("reading the process's groups");
  }
  const size_t before = groups.size();
  for (const gid_t group : wanted) {
    if (group != getegid() &&
        std::find(groups.begin(), groups.end(), group) == groups.end()) {
      groups.push_back(group);
    }
  }
  if (groups.size() == before) return absl::OkStatus();
  if (setgroups(groups.size(), groups.data()) != 0 && errno != EPERM) {
    return Failed("joining the groups of unix sockets");
  }
  return absl::OkStatus();
}

// Without CAP_SETPCAP the bounding set stays as it is.
absl::Status DropBounds(const std::vector<cap_value_t>& keep) {
  for (cap_value_t value = 0; value <= Last(); ++value) {
    if (std::find(keep.begin(), keep.end(), value) != keep.end()) continue;
    if (cap_drop_bound(value) != 0 && errno != EPERM) {
      return Failed("the bounding set");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DropPrivileges(const PrivilegeOptions& options) {
  NFM_RETURN_IF_ERROR(JoinGroups(options.socket_groups));
  std::vector<cap_value_t> keep = {CAP_NET_ADMIN};
  if (!options.read_only) keep.push_back(CAP_NET_RAW);
  if (options.low_ports) keep.push_back(CAP_NET_BIND_SERVICE);
  NFM_RETURN_IF_ERROR(DropBounds(keep));
  // Ambient ones would pass to programs that this one starts, and it starts
  // none.
  if (cap_reset_ambient() != 0 && errno != EINVAL) {
    return Failed("the ambient set");
  }

  const Capabilities now(cap_get_proc(), cap_free);
  const Capabilities kept(cap_init(), cap_free);
  if (now == nullptr || kept == nullptr) return Failed("reading them");
  std::erase_if(keep, [&](cap_value_t v) { return !Permits(now.get(), v); });
  if (!keep.empty()) {
    const int count = static_cast<int>(keep.size());
    cap_set_flag(kept.get(), CAP_PERMITTED, count, keep.data(), CAP_SET);
    cap_set_flag(kept.get(), CAP_EFFECTIVE, count, keep.data(), CAP_SET);
  }
  if (cap_set_proc(kept.get()) != 0) return Failed("setting them");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Failed("no_new_privs");
  }
  const Capabilities left(cap_get_proc(), cap_free);
  if (left == nullptr || cap_compare(left.get(), kept.get()) != 0) {
    errno = EPERM;
    return Failed("some are left");
  }
  return absl::OkStatus();
}

std::string DescribeCapabilities() {
  const Capabilities now(cap_get_proc(), cap_free);
  std::vector<std::string> names;
  for (cap_value_t value = 0; now != nullptr && value <= Last(); ++value) {
    if (!Permits(now.get(), value)) continue;
    char* const name = cap_to_name(value);
    names.emplace_back(name == nullptr ? absl::StrCat(value) : name);
    cap_free(name);
  }
  return names.empty() ? "none" : absl::StrJoin(names, ",");
}

}  // namespace nfmeter::security
