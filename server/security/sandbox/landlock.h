// SPDX-License-Identifier: GPL-3.0-or-later
// Landlock: which files and ports the process can reach from now on.
#ifndef NFMETER_SECURITY_SANDBOX_LANDLOCK_H_
#define NFMETER_SECURITY_SANDBOX_LANDLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace nfmeter::security {

// Files and folders, with everything below those. What does not exist when the
// rules are made stays out of reach.
struct FileAccess {
  std::vector<std::string> readable;
  // Read, written, made and removed in.
  std::vector<std::string> writable;
  // Folders in which unix sockets are made and removed.
  std::vector<std::string> socket_folders;
  // TCP ports that may be bound; 0 in it: any.
  std::vector<uint16_t> ports;
};

// Restricts the calling thread and those that it makes later to `access`, as
// far as this kernel's version of Landlock goes; connections over TCP are not
// opened any more where it can refuse them. Needs no_new_privs or
// CAP_SYS_ADMIN. Returns the version (landlock(7)) that is active; 0: this
// kernel has none. INTERNAL, SANDBOX_FAILED.
absl::StatusOr<int> RestrictFiles(const FileAccess& access);

// The folders that must be readable so that the file at `path` can be read,
// now and after one of the symbolic links on its way has been switched to
// a neighbour of what it names.
std::vector<std::string> FoldersToRead(const std::string& path);

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_SANDBOX_LANDLOCK_H_
