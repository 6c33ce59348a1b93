// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/pooler_process.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/support/read_file.h"

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
  return AwaitAnswer(url(), dir_ / "log");
}

std::string PoolerProcess::url() const {
  return absl::StrCat("postgresql://postgres@/postgres?port=6432&host=",
                      dir_.path());
}

std::string PoolerProcess::Log() const { return ReadFile(dir_ / "log"); }

}  // namespace nfmeter::testing
