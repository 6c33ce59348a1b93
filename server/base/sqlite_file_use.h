// SPDX-License-Identifier: GPL-3.0-or-later
// Who in this process uses which database file, and how.
#ifndef NFMETER_BASE_SQLITE_FILE_USE_H_
#define NFMETER_BASE_SQLITE_FILE_USE_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace nfmeter::sqlite {

// One Database's use of a file, for as long as this lives: with SQLite's locks,
// or alone and without them. Thread-safe.
//
// POSIX drops all locks that a process has on a file when it closes any
// descriptor of it. SQLite makes up for that among connections that lock, but
// not for one that reads without locks: so the two ways never meet at one file.
//
// Users with locks take turns to write, in the order in which they came: one
// that writes again and again lets the others in. SQLite alone would let a
// connection that finds the file locked sleep, longer each time, before it
// looks again.
class FileUse {
 public:
  enum class Way { kLocked, kAlone };

  // Null: the file is in use in the other way.
  static std::unique_ptr<FileUse> Begin(const std::string& path, Way way);
  ~FileUse();
  FileUse(const FileUse&) = delete;
  FileUse& operator=(const FileUse&) = delete;

  // Waits for the turn to write. False: it did not come within `patience`.
  bool AwaitTurn(absl::Duration patience);
  void EndTurn();

 private:
  FileUse(const std::string& path, Way way) : path_(path), way_(way) {}

  const std::string path_;
  const Way way_;
};

}  // namespace nfmeter::sqlite

#endif  // NFMETER_BASE_SQLITE_FILE_USE_H_
