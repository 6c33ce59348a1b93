// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/listen/unix_socket.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

namespace nfmeter::security {
namespace {

absl::Status CannotListen(const std::string& path, absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LISTEN_FAILED",
                   absl::StrCat("cannot listen on unix:", path, ": ", why));
}

absl::Status CheckFolder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  struct stat found;
  if (stat(folder.c_str(), &found) != 0 && errno == ENOENT &&
      path == kDefaultSocketPath && mkdir(folder.c_str(), 0755) == 0 &&
      chmod(folder.c_str(), 0755) == 0) {  // whatever the umask
    return absl::OkStatus();
  }
  if (stat(folder.c_str(), &found) != 0) {
    if (errno == ENOENT) {
      return CannotListen(path, absl::StrCat("the folder ", folder,
                                             " does not exist; make it with: "
                                             "mkdir -p ",
                                             folder));
    }
    return CannotListen(path, absl::StrCat(folder, ": ", strerror(errno)));
  }
  if (!S_ISDIR(found.st_mode)) {
    return CannotListen(path, absl::StrCat(folder, " is not a folder"));
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return CannotListen(
        path, absl::StrCat("the folder ", folder, " is not writable for uid ",
                           geteuid(), ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

// What connecting to the socket says: 0 or an errno.
int TryToConnect(const std::string& path) {
  const UniqueFd fd(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno;
  sockaddr_un address{.sun_family = AF_UNIX};
  memcpy(address.sun_path, path.data(), path.size());
  const int result =
      connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  return result == 0 ? 0 : errno;
}

}  // namespace

absl::Status MakeRoomForSocket(const std::string& path) {
  struct stat found;
  if (lstat(path.c_str(), &found) != 0) {
    // If the folder is the reason, its message is the clearer one.
    return CheckFolder(path);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return CannotListen(path,
                        "something that is not a socket is there; remove it "
                        "or choose another path");
  }
  switch (const int error = TryToConnect(path)) {
    case 0:
    case EAGAIN:  // its queue of new connections is full
      return CannotListen(path, absl::StrCat("another nfmeterd serves ", path,
                                             "; stop it or choose another "
                                             "path"));
    case ECONNREFUSED:
      break;
    default:
      return CannotListen(path, absl::StrCat("a socket is there that can't be "
                                             "asked whether it is in use (",
                                             strerror(error),
                                             "); remove it or choose another "
                                             "path"));
  }
  NFM_RETURN_IF_ERROR(CheckFolder(path));
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return CannotListen(path, absl::StrCat("removing the socket of an ended "
                                           "server: ",
                                           strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<gid_t> FindGroup(const std::string& group) {
  gid_t id = 0;
  if (absl::SimpleAtoi(group, &id)) return id;
  std::vector<char> buffer(65536);
  struct group entry;
  struct group* found = nullptr;
  getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return MakeError(
        absl::StatusCode::kNotFound, "NO_SUCH_GROUP",
        absl::StrCat("there is no group '", group,
                     "'; make it with: groupadd --system ", group));
  }
  return found->gr_gid;
}

absl::Status SetSocketAccess(const std::string& path, mode_t mode,
                             const std::string& group) {
  if (!group.empty()) {
    NFM_ASSIGN_OR_RETURN(const gid_t id, FindGroup(group));
    if (chown(path.c_str(), static_cast<uid_t>(-1), id) != 0) {
      return CannotListen(path, absl::StrCat("giving it to the group ", group,
                                             ": ", strerror(errno)));
    }
  }
  if (chmod(path.c_str(), mode) != 0) {
    return CannotListen(path,
                        absl::StrCat("setting its mode: ", strerror(errno)));
  }
  return absl::OkStatus();
}

PrivateUmask::PrivateUmask() : before_(umask(0177)) {}
PrivateUmask::~PrivateUmask() { umask(before_); }

}  // namespace nfmeter::security
