// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/pooler_process.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace nfmeter::testing {

PoolerProcess::PoolerProcess(const PostgresProcess& postgres) {
  std::ofstream(dir_ / "pgbouncer.ini")
      << "[databases]\n"
      << "* = host=" << postgres.socket_folder() << " user=postgres\n"
      << "[pgbouncer]\n"
      << "listen_addr =\n"
      << "unix_socket_dir = " << dir_.path() << "\n"
      << "auth_type = any\n"
      << "pool_mode = transaction\n"
      << "default_pool_size = 3\n"
      << "server_login_retry = 1\n";
  // It does not run as root.
  if (geteuid() == 0) Run({"chown", "-R", "postgres:", dir_.path()});
}

absl::Status PoolerProcess::Start() {
  process_ = std::make_unique<Background>(
      AsPostgres({"pgbouncer", dir_ / "pgbouncer.ini"}), dir_ / "log");
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (absl::Now() < deadline) {
    if (Run({"psql", "--no-psqlrc", "-qc", "SELECT 1", url()}).exit_code == 0) {
      return absl::OkStatus();
    }
  }
  return absl::DeadlineExceededError(Log());
}

std::string PoolerProcess::url() const {
  return absl::StrCat("postgresql://postgres@/postgres?port=6432&host=",
                      dir_.path());
}

std::string PoolerProcess::Log() const {
  std::ostringstream text;
  text << std::ifstream(dir_ / "log").rdbuf();
  return text.str();
}

}  // namespace nfmeter::testing
