// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_store.h"

#include <utility>

#include "absl/memory/memory.h"
#include "base/sqlite.h"
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

constexpr char kQuotaSchema[] = R"sql(
  CREATE TABLE quota_periods (
    plan TEXT NOT NULL PRIMARY KEY,
    renew_time_ns INTEGER NOT NULL  -- since the Unix epoch
  ) WITHOUT ROWID;
  CREATE TABLE quota_thresholds (
    plan TEXT NOT NULL,
    counter TEXT NOT NULL,
    percent INTEGER NOT NULL,
    PRIMARY KEY (plan, counter)
  ) WITHOUT ROWID;
)sql";

constexpr char kHealthSchema[] = R"sql(
  CREATE TABLE well_times (
    plan TEXT NOT NULL PRIMARY KEY,
    well_time_ns INTEGER NOT NULL  -- since the Unix epoch
  ) WITHOUT ROWID;
)sql";

}  // namespace

absl::StatusOr<std::unique_ptr<PlanStore>> PlanStore::Open(
    const std::string& path) {
  NFM_ASSIGN_OR_RETURN(auto db,
                       sqlite::Database::Open({
                           .path = path.empty() ? ":memory:" : path,
                           .noun = "the store of plans",
                           .unusable_reason = "PLAN_STORE_UNUSABLE",
                           .failed_reason = "PLAN_STORE_FAILED",
                           .application_id = 0x4e464d50,  // "NFMP"
                           .migrations = {kSchema, kQuotaSchema, kHealthSchema},
                           .patient = true,
                       }));
  return absl::WrapUnique(new PlanStore(std::move(db)));
}

absl::StatusOr<std::vector<StoredPlan>> PlanStore::All() {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db_->Prepare("SELECT name, owner, source, apply_time_ns FROM plans "
                   "ORDER BY name"));
  std::vector<StoredPlan> plans;
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&] {
    plans.push_back({.name = std::string(rows.Bytes(0)),
                     .owner = std::string(rows.Bytes(1)),
                     .source = std::string(rows.Bytes(2)),
                     .apply_time = absl::FromUnixNanos(rows.Int64(3))});
  }));
  return plans;
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
  for (const char* const sql :
       {"DELETE FROM plans WHERE name = ?",
        "DELETE FROM quota_periods WHERE plan = ?",
        "DELETE FROM quota_thresholds WHERE plan = ?"}) {
    NFM_ASSIGN_OR_RETURN(sqlite::Statement remove, db_->Prepare(sql));
    NFM_RETURN_IF_ERROR(remove.Run(name));
  }
  return Change(std::move(transaction));
}

absl::StatusOr<std::optional<QuotaState>> PlanStore::QuotasOf(
    absl::string_view plan) {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement period,
      db_->Prepare("SELECT renew_time_ns FROM quota_periods WHERE plan = ?"));
  period.Bind(1, plan);
  NFM_ASSIGN_OR_RETURN(const bool found, period.Step());
  if (!found) return std::nullopt;
  QuotaState state = {.renew_time = absl::FromUnixNanos(period.Int64(0))};
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement told,
      db_->Prepare(
          "SELECT counter, percent FROM quota_thresholds WHERE plan = ?"));
  told.Bind(1, plan);
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(told, [&] {
    state.told[std::string(told.Bytes(0))] =
        static_cast<uint32_t>(told.Int64(1));
  }));
  return state;
}

absl::Status PlanStore::PutQuotas(absl::string_view plan,
                                  const QuotaState& state) {
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement period,
      db_->Prepare("INSERT OR REPLACE INTO quota_periods VALUES (?, ?)"));
  NFM_RETURN_IF_ERROR(period.Run(plan, absl::ToUnixNanos(state.renew_time)));
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement clear,
      db_->Prepare("DELETE FROM quota_thresholds WHERE plan = ?"));
  NFM_RETURN_IF_ERROR(clear.Run(plan));
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement put,
      db_->Prepare("INSERT INTO quota_thresholds VALUES (?, ?, ?)"));
  for (const auto& [counter, percent] : state.told) {
    NFM_RETURN_IF_ERROR(put.Run(plan, absl::string_view(counter),
                                static_cast<int64_t>(percent)));
  }
  return transaction.Commit();
}

absl::StatusOr<std::map<std::string, absl::Time>> PlanStore::WellTimes() {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db_->Prepare("SELECT plan, well_time_ns FROM well_times"));
  std::map<std::string, absl::Time> times;
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&] {
    times.emplace(rows.Bytes(0), absl::FromUnixNanos(rows.Int64(1)));
  }));
  return times;
}

absl::Status PlanStore::PutWellTimes(
    const std::map<std::string, absl::Time>& times) {
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_RETURN_IF_ERROR(db_->Execute("DELETE FROM well_times"));
  NFM_ASSIGN_OR_RETURN(sqlite::Statement put,
                       db_->Prepare("INSERT INTO well_times VALUES (?, ?)"));
  for (const auto& [plan, time] : times) {
    NFM_RETURN_IF_ERROR(
        put.Run(absl::string_view(plan), absl::ToUnixNanos(time)));
  }
  return transaction.Commit();
}

}  // namespace nfmeter::accounting
