// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_store.h"

#include <utility>

#include "absl/memory/memory.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

constexpr char kSchema[] = R"sql(
  CREATE TABLE plans (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    source BLOB NOT NULL,
    apply_time_ns INTEGER NOT NULL  -- since the Unix epoch
  ) WITHOUT ROWID;
)sql";

}  // namespace

absl::StatusOr<std::unique_ptr<PlanStore>> PlanStore::Open(
    const std::string& path) {
  NFM_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open({
                                    .path = path.empty() ? ":memory:" : path,
                                    .noun = "the store of plans",
                                    .unusable_reason = "PLAN_STORE_UNUSABLE",
                                    .failed_reason = "PLAN_STORE_FAILED",
                                    .application_id = 0x4e464d50,  // "NFMP"
                                    .migrations = {kSchema},
                                }));
  return absl::WrapUnique(new PlanStore(std::move(db)));
}

absl::StatusOr<std::vector<StoredPlan>> PlanStore::All() {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db_->Prepare("SELECT name, owner, source, apply_time_ns FROM plans "
                   "ORDER BY name"));
  std::vector<StoredPlan> plans;
  while (true) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return plans;
    plans.push_back({.name = std::string(rows.Bytes(0)),
                     .owner = std::string(rows.Bytes(1)),
                     .source = std::string(rows.Bytes(2)),
                     .apply_time = absl::FromUnixNanos(rows.Int64(3))});
  }
}

absl::StatusOr<PlanStore::Change> PlanStore::Put(const StoredPlan& plan) {
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db_->Prepare("INSERT OR REPLACE INTO plans VALUES (?, ?, ?, ?)"));
  NFM_RETURN_IF_ERROR(
      put.Run(absl::string_view(plan.name), absl::string_view(plan.owner),
              sqlite::Blob{plan.source}, absl::ToUnixNanos(plan.apply_time)));
  return Change(std::move(transaction));
}

absl::StatusOr<PlanStore::Change> PlanStore::Remove(absl::string_view name) {
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement remove,
                       db_->Prepare("DELETE FROM plans WHERE name = ?"));
  NFM_RETURN_IF_ERROR(remove.Run(name));
  return Change(std::move(transaction));
}

}  // namespace nfmeter::accounting
