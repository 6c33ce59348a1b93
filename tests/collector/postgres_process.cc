// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/postgres_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/eventually.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
namespace {

constexpr char kDebian[] = "/usr/lib/postgresql/15/bin";

// A program of the server, of Debian's or of one that the environment names.
std::string ServerProgram(absl::string_view name) {
  const char* const folder = std::getenv("NFMETER_TEST_POSTGRES_BIN");
  return absl::StrCat(folder != nullptr ? folder : kDebian, "/", name);
}

// And did not end on its own.
bool IsAlive(pid_t pid) {
  siginfo_t info = {};
  return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

}  // namespace

std::vector<std::string> AsPostgres(std::vector<std::string> argv) {
  if (geteuid() != 0) return argv;
  std::vector<std::string> all = {"setpriv",          "--reuid=postgres",
                                  "--regid=postgres", "--clear-groups",
                                  "--pdeathsig",      "keep"};
  all.insert(all.end(), argv.begin(), argv.end());
  return all;
}

absl::Status AwaitAnswer(const std::string& url, const std::string& log) {
  const bool answers = Eventually([&] {
    return Run({"psql", "--no-psqlrc", "-qc", "SELECT 1", url}).exit_code == 0;
  });
  return answers ? absl::OkStatus()
                 : absl::DeadlineExceededError(ReadFile(log));
}

PostgresProcess::PostgresProcess(bool syncs) : syncs_(syncs) {
  if (geteuid() == 0) Run({"chown", "postgres:", dir_.path()});
  const RunResult made = Run(
      AsPostgres({ServerProgram("initdb"), "--pgdata", data_, "--no-sync",
                  "--no-instructions", "--auth", "trust", "--username",
                  "postgres", "--encoding", "UTF8", "--locale", "C.UTF-8"}));
  if (made.exit_code != 0) {
    made_ = absl::InternalError(absl::StrCat("initdb: ", made.out, made.err));
  }
}

PostgresProcess::~PostgresProcess() {
  if (process_ == nullptr) return;
  process_->Signal(SIGCONT);
  process_->Signal(SIGQUIT);  // at once; its children end with it
  process_->Wait(absl::Seconds(10));
}

absl::Status PostgresProcess::Start() {
  if (!made_.ok()) return made_;
  // After a kill -9 its children may take a moment to notice.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  const char* on = syncs_ ? "on" : "off";
  while (absl::Now() < deadline) {
    process_ = std::make_unique<Background>(
        AsPostgres({ServerProgram("postgres"), "-D", data_, "-k", dir_.path(),
                    "-c", "listen_addresses=", "-c", absl::StrCat("fsync=", on),
                    "-c", absl::StrCat("full_page_writes=", on), "-c",
                    "shared_buffers=32MB", "-c", "max_connections=60", "-c",
                    "autovacuum_naptime=10s"}),
        dir_ / "log");
    const bool answers = Eventually([this] {
      return Query("SELECT 1") == "1" || !IsAlive(process_->pid());
    });
    if (answers && IsAlive(process_->pid())) return absl::OkStatus();
  }
  return absl::DeadlineExceededError(Log());
}

void PostgresProcess::Kill() {
  process_->Signal(SIGKILL);
  process_->Wait(absl::Seconds(10));
}

std::string PostgresProcess::url() const {
  return absl::StrCat("postgresql://postgres@/postgres?host=", dir_.path());
}

std::string PostgresProcess::Query(absl::string_view sql) const {
  const RunResult result =
      Run({absl::StrCat(kDebian, "/psql"), "--no-psqlrc", "--tuples-only",
           "--no-align", "--quiet", "-v", "ON_ERROR_STOP=1", url()},
          sql);
  return std::string(absl::StripAsciiWhitespace(
      result.exit_code == 0 ? result.out : result.err));
}

std::string PostgresProcess::Log() const { return ReadFile(dir_ / "log"); }

}  // namespace nfmeter::testing
