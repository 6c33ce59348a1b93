// SPDX-License-Identifier: Apache-2.0
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/strings/substitute.h"
#include "client/src/status_macros.h"
#include "collector/postgres_schema.h"

namespace nfmeter::collector {
namespace {

using postgres::Connection;
using postgres::Retried;
using postgres::Rows;

// --- What the schema and the collector need of a database that speaks
// PostgreSQL's protocol; docs/fleet.md has the same list, for people.

struct Feature {
  const char* name;
  const char* trial;  // after BEGIN; $0: a table of this collector's own
};

constexpr Feature kFeatures[] = {
    {"PL/pgSQL with exceptions",
     "DO $$$$ BEGIN PERFORM 1; EXCEPTION WHEN OTHERS THEN NULL; END $$$$"},
    {"declarative partitions with a default one, and pg_inherits",
     "CREATE TABLE $0 (t timestamptz) PARTITION BY RANGE (t); "
     "CREATE TABLE $0_other PARTITION OF $0 DEFAULT; "
     "SELECT inhrelid FROM pg_inherits LIMIT 1"},
    {"identity and generated columns",
     "CREATE TABLE $0 (a int GENERATED ALWAYS AS IDENTITY, "
     "b text GENERATED ALWAYS AS (to_hex(1::bigint) || '/') STORED); "
     "ALTER TABLE $0 ALTER a DROP IDENTITY"},
    {"INSERT ... ON CONFLICT DO UPDATE within WITH",
     "CREATE TABLE $0 (a int PRIMARY KEY, b int); "
     "WITH t AS (INSERT INTO $0 VALUES (1, 2) "
     "ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING *) "
     "SELECT * FROM t"},
    {"FOR KEY SHARE and FOR UPDATE SKIP LOCKED",
     "CREATE TABLE $0 (a int PRIMARY KEY); "
     "SELECT 1 FROM $0 FOR KEY SHARE; "
     "SELECT 1 FROM $0 FOR UPDATE SKIP LOCKED"},
    {"jsonb_to_recordset, WITH ORDINALITY, and unnest of several arrays",
     "SELECT * FROM jsonb_to_recordset('[]') AS r (a bigint, b jsonb); "
     "SELECT * FROM jsonb_array_elements('[]') WITH ORDINALITY AS e (a, b); "
     "SELECT * FROM unnest('{1}'::bigint[], '{2}'::bigint[]) AS t (a, b)"},
};
constexpr char kCopyFeature[] = "COPY FROM STDIN in binary format";
constexpr char kCopyTrial[] =
    "CREATE TABLE $0 (a bigint); "
    "COPY $0 (a) FROM STDIN (FORMAT binary)";

bool IsLacking(const absl::Status& status) {
  return !status.ok() && !absl::IsUnavailable(status) &&
         !absl::IsPermissionDenied(status);
}

// Tries each in a transaction of its own in the schema nfmeter, which exists,
// and rolls it back. FAILED_PRECONDITION: names all that the database lacks,
// and what it said of each. Also errors of Connection where it can't be asked.
absl::Status CheckFeatures(Connection& connection) {
  // Collectors may start together.
  const std::string table = absl::StrCat(
      "nfmeter.trial_", absl::Hex(std::random_device()(), absl::kZeroPad8));
  const auto trial = [&table](const char* text) {
    return absl::StrCat("BEGIN; ", absl::Substitute(text, table));
  };
  std::vector<std::string> lacking;
  const auto note = [&](const char* name, const absl::Status& tried) {
    connection.RollBack();
    // Distributed databases may have committed each table at once.
    (void)connection.Execute(
        absl::StrCat("DROP TABLE IF EXISTS ", table, " CASCADE"));
    if (tried.ok()) return tried;
    if (!IsLacking(tried)) {
      return absl::Status(
          tried.code(),
          absl::StrCat("the database, as ", name, " was tried: ",
                       absl::StripPrefix(tried.message(), "the database: ")));
    }
    lacking.push_back(absl::StrCat(
        name, " (", absl::StripPrefix(tried.message(), "the database: "), ")"));
    return absl::OkStatus();
  };
  for (const Feature& feature : kFeatures) {
    NFM_RETURN_IF_ERROR(
        note(feature.name, connection.Execute(trial(feature.trial))));
  }
  NFM_RETURN_IF_ERROR(
      note(kCopyFeature,
           connection.CopyIn(trial(kCopyTrial), postgres::CopyData().Take())));
  if (lacking.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the database lacks what nfmeter-collector needs: ",
      absl::StrJoin(lacking, "; "),
      ". PostgreSQL 15 has all of it; fleet.md tells what others must have"));
}

// --- Versions

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
