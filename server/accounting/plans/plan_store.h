// SPDX-License-Identifier: GPL-3.0-or-later
// Plans that outlive the server.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_STORE_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

// A plan as somebody gave it. `source` is in the giver's form, which the store
// does not read.
struct StoredPlan {
  std::string name;
  std::string owner;
  std::string source;
  absl::Time apply_time;

  friend bool operator==(const StoredPlan&, const StoredPlan&) = default;
};

// What is known of a plan's quotas beyond the counters' values.
struct QuotaState {
  // Until when all quotas have started anew whose period ended.
  absl::Time renew_time;
  // The highest threshold, in percent, that was told of a counter.
  std::map<std::string, uint32_t> told;

  friend bool operator==(const QuotaState&, const QuotaState&) = default;
};

// Plans by name, in a file of their own. Not thread-safe.
class PlanStore {
 public:
  // Opens or makes the file; an empty path keeps plans in memory only.
  // Statuses: sqlite::Database::Open().
  static absl::StatusOr<std::unique_ptr<PlanStore>> Open(
      const std::string& path);

  // By name. Statuses of all below: sqlite::Database.
  absl::StatusOr<std::vector<StoredPlan>> All();

  // A change that is not yet there: nothing has changed unless it is committed.
  class Change {
   public:
    absl::Status Commit() { return transaction_.Commit(); }

   private:
    friend class PlanStore;
    explicit Change(sqlite::Transaction transaction)
        : transaction_(std::move(transaction)) {}
    sqlite::Transaction transaction_;
  };
  // One at a time.
  absl::StatusOr<Change> Put(const StoredPlan& plan);
  // Its quotas, too.
  absl::StatusOr<Change> Remove(absl::string_view name);

  // nullopt: nothing was put.
  absl::StatusOr<std::optional<QuotaState>> QuotasOf(absl::string_view plan);
  // In place of what was there.
  absl::Status PutQuotas(absl::string_view plan, const QuotaState& state);

  // When plans that are not well last were, by name: what they may have missed
  // since is told when they are repaired, which may be after a start.
  absl::StatusOr<std::map<std::string, absl::Time>> WellTimes();
  // In place of all that were there.
  absl::Status PutWellTimes(const std::map<std::string, absl::Time>& times);

 private:
  explicit PlanStore(std::unique_ptr<sqlite::Database> db)
      : db_(std::move(db)) {}

  const std::unique_ptr<sqlite::Database> db_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_STORE_H_
