// SPDX-License-Identifier: GPL-3.0-or-later
// Other programs, run by tests: iptables, nfacct, buf, our own.
#ifndef NFMETER_TESTS_SUPPORT_SUBPROCESS_H_
#define NFMETER_TESTS_SUPPORT_SUBPROCESS_H_

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace nfmeter::testing {

struct RunResult {
  int exit_code = -1;  // 128 + signal when it was killed by one
  std::string out;
  std::string err;
};

// The exit code of who was killed by SIGKILL.
inline constexpr int kKilled = 128 + SIGKILL;

// Programs that these start are killed when the thread that started them ends,
// even by SIGKILL; not what they start in turn, nor one that changes its user
// (setpriv does not lose it with `--pdeathsig keep`).

// Runs a program (found in PATH, sbin folders included) to its end, with
// `input` as its standard input. A program that can't be started has exit code
// 127 and says why in `err`.
RunResult Run(const std::vector<std::string>& argv,
              absl::string_view input = "");

// A program that runs beside the test; killed and reaped with this object.
class Background {
 public:
  // Its standard output and error go to `log_path` ("" for /dev/null).
  Background(const std::vector<std::string>& argv, const std::string& log_path);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal);
  // Waits for its end; its exit code as in RunResult. Killed at the timeout,
  // and then -1.
  int Wait(absl::Duration timeout);

 private:
  pid_t pid_ = -1;
};

// A folder of its own for this test, removed with this object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(absl::string_view name) const;

 private:
  std::string path_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_SUBPROCESS_H_
