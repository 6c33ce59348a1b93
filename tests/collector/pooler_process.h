// SPDX-License-Identifier: GPL-3.0-or-later
// A real PgBouncer between the test and its PostgreSQL.
#ifndef NFMETER_TESTS_COLLECTOR_POOLER_PROCESS_H_
#define NFMETER_TESTS_COLLECTOR_POOLER_PROCESS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "tests/collector/postgres_process.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Pools transactions: each may run in another of three sessions of the
// database's, as its author advises where there are many clients.
class PoolerProcess {
 public:
  // `postgres` must outlive it.
  explicit PoolerProcess(const PostgresProcess& postgres);

  // Waits until it answers.
  absl::Status Start();

  // The database behind it.
  std::string url() const;
  std::string Log() const;

 private:
  TemporaryDirectory dir_;
  std::unique_ptr<Background> process_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COLLECTOR_POOLER_PROCESS_H_
