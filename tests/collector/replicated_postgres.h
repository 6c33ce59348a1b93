// SPDX-License-Identifier: GPL-3.0-or-later
// A real Pgpool-II that sends what is written to two PostgreSQL servers.
#ifndef NFMETER_TESTS_COLLECTOR_REPLICATED_POSTGRES_H_
#define NFMETER_TESTS_COLLECTOR_REPLICATED_POSTGRES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/collector/postgres_process.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Pgpool-II's native replication: each statement that writes runs on the main
// server, and then on the replica; reads go to the main one.
class ReplicatedPostgres {
 public:
  // Both must outlive it. `main` is the one whose answers clients get while it
  // lives.
  ReplicatedPostgres(const PostgresProcess& main,
                     const PostgresProcess& replica);
  ~ReplicatedPostgres();

  // Waits until it answers.
  absl::Status Start();
  // kill -9 of all its processes.
  void Kill();

  // The database behind it.
  std::string url() const;
  std::string Log() const;

 private:
  TemporaryDirectory dir_;
  std::unique_ptr<Background> process_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_REPLICATED_POSTGRES_H_
