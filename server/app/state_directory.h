// SPDX-License-Identifier: GPL-3.0-or-later
// Where the server keeps what must survive it.
#ifndef NFMETER_APP_STATE_DIRECTORY_H_
#define NFMETER_APP_STATE_DIRECTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace nfmeter::app {

// A folder of one server at a time, held by a lock that goes with the process.
class StateDirectory {
 public:
  // Makes the folder if only it is missing (mode 0750). An empty path: nothing
  // is kept. A full or read-only disk is no error: what is kept there says so.
  // FAILED_PRECONDITION: it can't be used or made, or another server uses it;
  // the sentence says what to do.
  static absl::StatusOr<std::unique_ptr<StateDirectory>> Open(
      const std::string& path);

  StateDirectory(const StateDirectory&) = delete;
  StateDirectory& operator=(const StateDirectory&) = delete;

  // The path of a file in it; empty when nothing is kept.
  std::string File(absl::string_view name) const;

 private:
  StateDirectory(const std::string& path, UniqueFd directory, UniqueFd lock)
      : path_(path), directory_(std::move(directory)), lock_(std::move(lock)) {}

  const std::string path_;
  // Both are locked.
  const UniqueFd directory_;
  const UniqueFd lock_;
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_STATE_DIRECTORY_H_
