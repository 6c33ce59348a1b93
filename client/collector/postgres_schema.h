// SPDX-License-Identifier: Apache-2.0
// The schema of the PostgreSQL sink, how it comes into a database, and batches
// in its forms; docs/fleet.md explains it.
#ifndef NFMETER_COLLECTOR_POSTGRES_SCHEMA_H_
#define NFMETER_COLLECTOR_POSTGRES_SCHEMA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "collector/postgres.h"
#include "collector/sink.h"

namespace nfmeter::collector {

// The i-th takes the schema `nfmeter` from version i to i + 1.
std::vector<std::string> PostgresMigrations();

// Brings the schema from `version` (0: there is none) to the newest, also while
// other collectors do the same. FAILED_PRECONDITION: the database lacks
// something; else as postgres::Connection.
absl::Status MigratePostgres(postgres::Connection& connection, int64_t version);

// Rows of nfmeter.records, for COPY in binary format.
std::string PostgresRecords(const Batch& batch, int32_t node);

// The parameters of nfmeter.store_batch(), in their order.
std::vector<postgres::Parameter> PostgresBatch(const Batch& batch,
                                               int32_t node);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_POSTGRES_SCHEMA_H_
