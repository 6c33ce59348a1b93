// SPDX-License-Identifier: Apache-2.0
#include "collector/postgres_features.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/strings/substitute.h"
#include "client/src/status_macros.h"

namespace nfmeter::collector {
namespace {

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

}  // namespace

absl::Status CheckFeatures(postgres::Connection& connection) {
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

}  // namespace nfmeter::collector
