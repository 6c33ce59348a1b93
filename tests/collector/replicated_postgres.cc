// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/collector/replicated_postgres.h"

#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/read_file.h"

namespace nfmeter::testing {
namespace {

// The first four as fleet.md advises.
constexpr char kSettings[] = R"(
backend_clustering_mode = 'native_replication'
replication_stop_on_mismatch = on
failover_if_affected_tuples_mismatch = on
load_balance_mode = off
num_init_children = 40
max_pool = 1
listen_addresses = ''
pcp_listen_addresses = ''
)";

// Its shared memory goes with its processes, even by kill -9.
std::vector<std::string> InItsOwnIpc(std::vector<std::string> argv) {
  if (geteuid() == 0) argv.insert(argv.begin(), {"unshare", "--ipc"});
  return argv;
}

}  // namespace

ReplicatedPostgres::ReplicatedPostgres(const PostgresProcess& main,
                                       const PostgresProcess& replica) {
  std::ofstream settings(dir_ / "pgpool.conf");
  settings << kSettings;
  for (const char* folder :
       {"socket_dir", "pcp_socket_dir", "wd_ipc_socket_dir", "logdir"}) {
    settings << folder << " = '" << dir_.path() << "'\n";
  }
  settings << "pid_file_name = '" << dir_ / "pid"
           << "'\n"
           << "backend_hostname0 = '" << main.socket_folder() << "'\n"
           << "backend_hostname1 = '" << replica.socket_folder() << "'\n";
  for (const char* each : {"0", "1"}) {
    settings << "backend_port" << each << " = 5432\n"
             << "backend_weight" << each << " = 1\n"
             << "backend_flag" << each << " = 'ALLOW_TO_FAILOVER'\n";
  }
  settings.close();
  std::ofstream(dir_ / "pcp.conf");
  if (geteuid() == 0) Run({"chown", "-R", "postgres:", dir_.path()});
}

ReplicatedPostgres::~ReplicatedPostgres() { Kill(); }

absl::Status ReplicatedPostgres::Start() {
  process_ = std::make_unique<Background>(
      InItsOwnIpc(AsPostgres({"pgpool", "-n", "-f", dir_ / "pgpool.conf", "-F",
                              dir_ / "pcp.conf"})),
      dir_ / "log");
  return AwaitAnswer(url(), dir_ / "log");
}

void ReplicatedPostgres::Kill() {
  if (process_ == nullptr) return;
  // Stopped first, so that it starts no more of them.
  process_->Signal(SIGSTOP);
  const std::string pid = absl::StrCat(process_->pid());
  const std::string children =
      ReadFile(absl::StrCat("/proc/", pid, "/task/", pid, "/children"));
  Run({"sh", "-c", absl::StrCat("kill -KILL ", pid, " ", children)});
  process_.reset();
  Run({"sh", "-c",
       absl::StrCat("rm -f ", dir_.path(), "/.s.* ", dir_ / "pid")});
}

std::string ReplicatedPostgres::url() const {
  return absl::StrCat("postgresql://postgres@/postgres?port=9999&host=",
                      dir_.path());
}

std::string ReplicatedPostgres::Log() const { return ReadFile(dir_ / "log"); }

}  // namespace nfmeter::testing
