// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/state_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::app {
namespace {

absl::Status Unusable(const std::string& path, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "STATE_DIRECTORY",
      absl::StrCat("state directory ", path, ": ", why,
                   "; choose another with --state-dir, or --state-dir '' to "
                   "keep totals and labels in memory only"));
}

// Not every file system locks directories: that is no reason to refuse one.
absl::Status Lock(int fd, const std::string& path) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
    return absl::OkStatus();
  }
  return Unusable(path, "another nfmeterd uses it");
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateDirectory>> StateDirectory::Open(
    const std::string& path) {
  if (path.empty())
    return absl::WrapUnique(new StateDirectory(path, UniqueFd(), UniqueFd()));
  if (mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
    return Unusable(path, absl::StrCat("making it: ", strerror(errno)));
  }
  // The directory is locked, too, as a full or read-only disk takes no new
  // file.
  UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) {
    return Unusable(path, absl::StrCat("opening it: ", strerror(errno)));
  }
  NFM_RETURN_IF_ERROR(Lock(directory.get(), path));
  const std::string file = absl::StrCat(path, "/lock");
  UniqueFd lock(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const bool takes_nothing =
      !lock.valid() && (errno == ENOSPC || errno == EDQUOT || errno == EROFS);
  if (takes_nothing) {
    lock = UniqueFd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!lock.valid() && !takes_nothing) {
    return Unusable(path, absl::StrCat("writing to it: ", strerror(errno)));
  }
  if (lock.valid()) NFM_RETURN_IF_ERROR(Lock(lock.get(), path));
  return absl::WrapUnique(
      new StateDirectory(path, std::move(directory), std::move(lock)));
}

std::string StateDirectory::File(absl::string_view name) const {
  return path_.empty() ? "" : absl::StrCat(path_, "/", name);
}

}  // namespace nfmeter::app
