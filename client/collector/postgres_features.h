// SPDX-License-Identifier: Apache-2.0
// What the schema and the collector need of a database that speaks PostgreSQL's
// protocol. docs/fleet.md has the same list, for people.
#ifndef NFMETER_COLLECTOR_POSTGRES_FEATURES_H_
#define NFMETER_COLLECTOR_POSTGRES_FEATURES_H_

#include "absl/status/status.h"
#include "collector/postgres.h"

namespace nfmeter::collector {

// Tries each in a transaction of its own in the schema nfmeter, which exists,
// and rolls it back. FAILED_PRECONDITION: names all that the database lacks,
// and what it said of each. Also errors of Connection where it can't be asked.
absl::Status CheckFeatures(postgres::Connection& connection);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_POSTGRES_FEATURES_H_
