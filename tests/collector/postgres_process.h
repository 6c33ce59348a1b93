// SPDX-License-Identifier: GPL-3.0-or-later
// A real PostgreSQL beside the test.
#ifndef NFMETER_TESTS_COLLECTOR_POSTGRES_PROCESS_H_
#define NFMETER_TESTS_COLLECTOR_POSTGRES_PROCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// A program and its arguments, as a user that PostgreSQL and its companions
// accept.
std::vector<std::string> AsPostgres(std::vector<std::string> argv);

// Waits until a companion answers psql at `url`; what is in the file `log`
// where it does not.
absl::Status AwaitAnswer(const std::string& url, const std::string& log);

// A cluster of its own in a folder of the test's, reached by a unix socket in
// it. It runs as user postgres where the test is root.
// NFMETER_TEST_POSTGRES_BIN is the folder of the server's programs where it is
// not Debian's.
class PostgresProcess {
 public:
  // With `syncs` a commit waits for the disk, as in life. A test that kills
  // processes needs no syncing: what is in the kernel's cache is not lost.
  explicit PostgresProcess(bool syncs = false);
  ~PostgresProcess();

  // Waits until it answers.
  absl::Status Start();
  // kill -9 of all its processes: what was committed must be there again after
  // Start().
  void Kill();
  // SIGSTOP and SIGCONT of the process that accepts, and so of new connections.
  void Signal(int signal) { process_->Signal(signal); }

  // Where its files are, for tests that fill the disk.
  const std::string& folder() const { return data_; }
  std::string url() const;
  const std::string& socket_folder() const { return dir_.path(); }
  // Answer of a query, rows by line feed, columns by '|'; "ERROR: ..." when it
  // fails.
  std::string Query(absl::string_view sql) const;
  std::string Log() const;

 private:
  TemporaryDirectory dir_;
  const std::string data_ = dir_ / "data";
  const bool syncs_;
  absl::Status made_;
  std::unique_ptr<Background> process_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_POSTGRES_PROCESS_H_
