// SPDX-License-Identifier: Apache-2.0
#include "collector/postgres_features.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace nfmeter::collector {
namespace {

struct Feature {
  const char* name;
  const char* trial;  // after BEGIN
};

constexpr Feature kFeatures[] = {
    {"PL/pgSQL with exceptions",
     "DO $$ BEGIN PERFORM 1; EXCEPTION WHEN OTHERS THEN NULL; END $$"},
    {"declarative partitions with a default one, and pg_inherits",
     "CREATE TABLE nfmeter.trial (t timestamptz) PARTITION BY RANGE (t); "
     "CREATE TABLE nfmeter.trial_other PARTITION OF nfmeter.trial DEFAULT; "
     "SELECT inhrelid FROM pg_inherits LIMIT 1"},
    {"identity and generated columns",
     "CREATE TABLE nfmeter.trial (a int GENERATED ALWAYS AS IDENTITY, "
     "b text GENERATED ALWAYS AS (to_hex(1::bigint) || '/') STORED)"},
    {"INSERT ... ON CONFLICT DO UPDATE within WITH",
     "CREATE TABLE nfmeter.trial (a int PRIMARY KEY, b int); "
     "WITH t AS (INSERT INTO nfmeter.trial VALUES (1, 2) "
     "ON CONFLICT (a) DO UPDATE SET b = excluded.b RETURNING *) "
     "SELECT * FROM t"},
    {"FOR KEY SHARE and FOR UPDATE SKIP LOCKED",
     "CREATE TABLE nfmeter.trial (a int PRIMARY KEY); "
     "SELECT 1 FROM nfmeter.trial FOR KEY SHARE; "
     "SELECT 1 FROM nfmeter.trial FOR UPDATE SKIP LOCKED"},
    {"jsonb_to_recordset, and unnest of several arrays",
     "SELECT * FROM jsonb_to_recordset('[]') AS r (a bigint, b jsonb); "
     "SELECT * FROM unnest('{1}'::bigint[], '{2}'::bigint[]) AS t (a, b)"},
};
constexpr char kCopyFeature[] = "COPY FROM STDIN in binary format";
constexpr char kCopyTrial[] =
    "BEGIN; CREATE TABLE nfmeter.trial (a bigint); "
    "COPY nfmeter.trial (a) FROM STDIN (FORMAT binary)";

bool IsLacking(const absl::Status& status) {
  return !status.ok() && !absl::IsUnavailable(status) &&
         !absl::IsPermissionDenied(status);
}

}  // namespace

absl::Status CheckFeatures(postgres::Connection& connection) {
  std::vector<std::string> lacking;
  const auto note = [&](const char* name, const absl::Status& tried) {
    connection.RollBack();
    // Distributed databases may have committed each table at once.
    (void)connection.Execute("DROP TABLE IF EXISTS nfmeter.trial CASCADE");
    if (!IsLacking(tried)) return tried;
    lacking.push_back(absl::StrCat(
        name, " (", absl::StripPrefix(tried.message(), "the database: "), ")"));
    return absl::OkStatus();
  };
  for (const Feature& feature : kFeatures) {
    const absl::Status status =
        note(feature.name,
             connection.Execute(absl::StrCat("BEGIN; ", feature.trial)));
    if (!status.ok()) return status;
  }
  const absl::Status copied = note(
      kCopyFeature, connection.CopyIn(kCopyTrial, postgres::CopyData().Take()));
  if (!copied.ok()) return copied;
  if (lacking.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the database lacks what nfmeter-collector needs: ",
      absl::StrJoin(lacking, "; "),
      ". PostgreSQL 15 has all of it; fleet.md tells what others must have"));
}

}  // namespace nfmeter::collector
