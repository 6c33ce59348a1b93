// SPDX-License-Identifier: GPL-3.0-or-later
// The file of a unix socket: what may be in its place, who may open it.
#ifndef NFMETER_SECURITY_LISTEN_UNIX_SOCKET_H_
#define NFMETER_SECURITY_LISTEN_UNIX_SOCKET_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace nfmeter::security {

inline constexpr char kDefaultSocketPath[] = "/run/nfmeter/nfmeter.sock";

// Makes room for a socket at `path`: removes one that nobody listens on, and
// makes the folder of kDefaultSocketPath. FAILED_PRECONDITION: a live server or
// something else is there, or the folder is missing or not writable.
absl::Status MakeRoomForSocket(const std::string& path);

// The id of a group given by name or number. NOT_FOUND: no such name.
absl::StatusOr<gid_t> FindGroup(const std::string& group);

// Gives the socket at `path` to `group` (empty: as it is), then opens it to
// `mode`; in this order it is never more open than wanted.
absl::Status SetSocketAccess(const std::string& path, mode_t mode,
                             const std::string& group);

// While it lives, files and sockets that this process makes are for its user
// alone. One at a time: the mask is the process's.
class PrivateUmask {
 public:
  PrivateUmask();
  ~PrivateUmask();
  PrivateUmask(const PrivateUmask&) = delete;
  PrivateUmask& operator=(const PrivateUmask&) = delete;

 private:
  const mode_t before_;
};

}  // namespace nfmeter::security

#endif  // NFMETER_SECURITY_LISTEN_UNIX_SOCKET_H_
