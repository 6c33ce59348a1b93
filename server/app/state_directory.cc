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
#include "base/unique_fd.h"

namespace nfmeter::app {
namespace {

absl::Status Unusable(const std::string& path, absl::string_view why) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "STATE_DIRECTORY",
      absl::StrCat("state directory ", path, ": ", why,
                   "; choose another with --state-dir, or --state-dir '' to "
                   "keep labels in memory only"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<StateDirectory>> StateDirectory::Open(
    const std::string& path) {
  if (path.empty())
    return absl::WrapUnique(new StateDirectory(path, UniqueFd()));
  if (mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
    return Unusable(path, absl::StrCat("making it: ", strerror(errno)));
  }
  const std::string file = absl::StrCat(path, "/lock");
  UniqueFd lock(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) {
    return Unusable(path, absl::StrCat("writing to it: ", strerror(errno)));
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Unusable(path, "another nfmeterd uses it");
  }
  return absl::WrapUnique(new StateDirectory(path, std::move(lock)));
}

std::string StateDirectory::File(absl::string_view name) const {
  return path_.empty() ? "" : absl::StrCat(path_, "/", name);
}

}  // namespace nfmeter::app
