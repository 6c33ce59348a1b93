// SPDX-License-Identifier: Apache-2.0
// The schema of the SQLite sink; docs/fleet.md explains it.
#ifndef NFMETER_COLLECTOR_SQLITE_SCHEMA_H_
#define NFMETER_COLLECTOR_SQLITE_SCHEMA_H_

#include <cstdint>
#include <string>
#include <vector>

namespace nfmeter::collector {

// "NFMC": tells other programs' databases apart.
inline constexpr int32_t kSqliteApplicationId = 0x4e464d43;

// The i-th takes the schema from version i to i + 1 (PRAGMA user_version).
std::vector<std::string> SqliteMigrations();

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_SQLITE_SCHEMA_H_
