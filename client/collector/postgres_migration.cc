// SPDX-License-Identifier: Apache-2.0
#include "collector/postgres_migration.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"
#include "collector/postgres_features.h"
#include "collector/postgres_retry.h"
#include "collector/postgres_schema.h"

namespace nfmeter::collector {
namespace {

using postgres::Connection;
using postgres::Retried;
using postgres::Rows;

// An index of a large table, say.
constexpr absl::Duration kLongest = absl::Minutes(10);

// IF NOT EXISTS looks and then makes: of two that do so at the same moment one
// is told that the other has made it (23505, 42P06 and 42P07 by how far it
// came), and finds it when it looks again.
absl::Status MakeOnce(Connection& connection, const std::string& sql) {
  constexpr int kTries = 10;
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    status = Retried([&] { return connection.Execute(sql); });
    const std::string state = postgres::SqlState(status);
    if (state != "23505" && state != "42P06" && state != "42P07") break;
  }
  return status;
}

// Each statement alone: a replicator (Pgpool-II) sends such to its main server
// first, so that collectors which start together come in the same order on all
// servers. The others are sent several in one message, by the one collector
// that has locked this table's row.
absl::Status MakeVersionTable(Connection& connection) {
  for (const char* sql :
       {"CREATE SCHEMA IF NOT EXISTS nfmeter",
        "CREATE TABLE IF NOT EXISTS nfmeter.schema_version ("
        "only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), "
        "version int NOT NULL)",
        "INSERT INTO nfmeter.schema_version (version) VALUES (0) "
        "ON CONFLICT DO NOTHING"}) {
    NFM_RETURN_IF_ERROR(MakeOnce(connection, sql));
  }
  return absl::OkStatus();
}

// To the next version; false: there is none. Of several collectors that start
// at once one migrates, the others wait.
absl::StatusOr<bool> MigrateOnce(Connection& connection) {
  connection.RollBack();
  NFM_RETURN_IF_ERROR(connection.Begin(kLongest));
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      connection.Query(
          "SELECT version FROM nfmeter.schema_version FOR UPDATE"));
  const int64_t version = rows.Int64(0, 0);
  if (version >= static_cast<int64_t>(PostgresMigrations().size())) {
    NFM_RETURN_IF_ERROR(connection.Execute("COMMIT"));
    return false;
  }
  NFM_RETURN_IF_ERROR(connection.Execute(PostgresMigrations()[version]));
  NFM_RETURN_IF_ERROR(connection.Execute(absl::StrCat(
      "UPDATE nfmeter.schema_version SET version = ", version + 1)));
  NFM_RETURN_IF_ERROR(connection.Execute("COMMIT"));
  return true;
}

}  // namespace

absl::Status MigratePostgres(Connection& connection, int64_t version) {
  NFM_RETURN_IF_ERROR(MakeVersionTable(connection));
  if (version == 0) NFM_RETURN_IF_ERROR(CheckFeatures(connection));
  for (bool more = true; more;) {
    NFM_ASSIGN_OR_RETURN(more,
                         Retried([&] { return MigrateOnce(connection); }));
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::collector
