// SPDX-License-Identifier: Apache-2.0
// The schema of the PostgreSQL sink; docs/fleet.md explains it.
#ifndef NFMETER_COLLECTOR_POSTGRES_SCHEMA_H_
#define NFMETER_COLLECTOR_POSTGRES_SCHEMA_H_

#include <string>
#include <vector>

namespace nfmeter::collector {

// The i-th takes the schema `nfmeter` from version i to i + 1.
std::vector<std::string> PostgresMigrations();

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_POSTGRES_SCHEMA_H_
