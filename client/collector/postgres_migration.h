// SPDX-License-Identifier: Apache-2.0
// How the schema comes into a database.
#ifndef NFMETER_COLLECTOR_POSTGRES_MIGRATION_H_
#define NFMETER_COLLECTOR_POSTGRES_MIGRATION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "collector/postgres.h"

namespace nfmeter::collector {

// Brings the schema from `version` (0: there is none) to the newest, also while
// other collectors do the same. FAILED_PRECONDITION: the database lacks
// something; else as postgres::Connection.
absl::Status MigratePostgres(postgres::Connection& connection, int64_t version);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_POSTGRES_MIGRATION_H_
