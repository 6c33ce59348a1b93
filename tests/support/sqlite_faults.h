// SPDX-License-Identifier: GPL-3.0-or-later
// A disk for SQLite that fails when it is told to.
#ifndef NFMETER_TESTS_SUPPORT_SQLITE_FAULTS_H_
#define NFMETER_TESTS_SUPPORT_SQLITE_FAULTS_H_

#include <string>

namespace nfmeter::testing {

// An sqlite3_vfs over the default one, under a name of its own, while this
// object lives: give name() to whatever opens the database. Faults may be set
// while others use it.
class SqliteFaults {
 public:
  // What SQLite calls SQLITE_FULL and SQLITE_CORRUPT.
  static constexpr int kFull = 13;
  static constexpr int kCorrupt = 11;

  SqliteFaults();
  // After the databases that use it.
  ~SqliteFaults();

  SqliteFaults(const SqliteFaults&) = delete;
  SqliteFaults& operator=(const SqliteFaults&) = delete;

  const std::string& name() const { return name_; }

  // From now on, after `more` further ones, each writing operation (a write, a
  // sync, a truncation) fails with `result`, e.g. kFull, until Mend().
  void FailWrites(int result, int more = 0);
  // Each read fails, e.g. with SQLITE_IOERR_READ.
  void FailReads(int result);
  void Mend();

  // How often the disk was waited for.
  int syncs() const;

 private:
  std::string name_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_SQLITE_FAULTS_H_
