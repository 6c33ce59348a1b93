// SPDX-License-Identifier: GPL-3.0-or-later
// Rules: what RuleService offers, without gRPC.
#ifndef NFMETER_ACCOUNTING_RULES_RULES_H_
#define NFMETER_ACCOUNTING_RULES_RULES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_scope.h"
#include "accounting/common/lane.h"
#include "accounting/common/paging.h"
#include "accounting/rules/rule_listings.h"
#include "base/clock.h"
#include "kernel/kernel.h"
#include "kernel/rule_table.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// A rule to make, validated. An empty id is chosen by Rules.
struct NewRule {
  kernel::Family family = kernel::Family::kIpv4;
  kernel::Table table = kernel::Table::kFilter;
  kernel::RuleSpec spec;  // its form is chosen by Rules, see `form`
  // nullopt: the match where the kernel has it, else the target.
  std::optional<kernel::CountingForm> form;
  // What errors about it say: its place in the request, "rules[3]".
  std::string field;
};

// How a change of rules is carried out.
struct RuleChange {
  kernel::RulePlacement placement = kernel::RulePlacement::kHead;
  bool validate_only = false;
  // For earlier changes and for the xtables lock.
  kernel::Patience patience;
  // To others than the rules that count into these the caller is blind.
  CounterScope scope;
  // Deletions: rules that count into others are not meant, whatever their ids;
  // the kernel's names. Empty: any.
  std::vector<std::string> counters;
  // Rules with another verdict than kContinue may not be deleted.
  bool counting_only = false;
};

// Which rules. Empty: all.
struct RuleFilter {
  std::optional<kernel::Family> family;
  std::optional<kernel::Table> table;
  std::string chain;
  std::string counter_glob;
  bool managed_only = false;
  CounterScope scope;  // rules that count into these; with all, any rule
};

struct RuleQuery {
  RuleFilter filter;
  size_t page_size = 1000;
  std::string page_token;
  size_t max_bytes = kMaxPageBytes;  // of the page, as it is written
};

struct RulePage {
  std::vector<kernel::Rule> rules;
  std::string next_page_token;
  size_t total_size = 0;
};

// A chain without its rules.
struct ChainSummary {
  kernel::Family family = kernel::Family::kIpv4;
  kernel::Table table = kernel::Table::kFilter;
  kernel::Chain chain;  // `rules` is empty
  size_t rule_count = 0;
};

// PERMISSION_DENIED, VERDICT_NOT_PERMITTED: the caller may only count.
absl::Status VerdictNotPermitted();

// NOT_FOUND, RULE_NOT_FOUND.
absl::Status RuleNotFound(absl::Span<const std::string> ids);

// Creates, reads and deletes rules, whole batches at once over all tables.
//
// Thread-safe: each table is touched on its own lane only. Tables that the
// kernel lacks are left out of listings, unless the request names them. Does
// not own what it is given.
class Rules {
 public:
  // Changes and reads have lanes of their own, so that a read does not stand
  // behind a change that waits for others.
  struct Parts {
    kernel::Kernel& kernel;
    Lane& changes;
    Lane& reads;
    Clock& clock;
    RuleListings::Options listings = {};
  };
  explicit Rules(const Parts& parts);

  // Creates all or none and returns them as read back, in order. NOT_FOUND
  // (COUNTER_NOT_FOUND, or chain or ipset), ALREADY_EXISTS (id), UNAVAILABLE
  // (lock), UNIMPLEMENTED (no such match or target). What concerns some of the
  // rules names their fields.
  absl::StatusOr<std::vector<kernel::Rule>> Create(std::vector<NewRule> rules,
                                                   const RuleChange& change);

  // NOT_FOUND: no rule of that id in any table that counts into the scope.
  absl::StatusOr<kernel::Rule> Get(absl::string_view id,
                                   const CounterScope& scope = {});

  // All pages are of one reading, whatever happens to the rules meanwhile.
  // INVALID_ARGUMENT: the token is not of this listing. ABORTED: that reading
  // is not kept any more, see RuleListings, and the rules have changed since.
  absl::StatusOr<RulePage> List(const RuleQuery& query);

  absl::StatusOr<std::vector<ChainSummary>> ListChains(
      std::optional<kernel::Family> family, std::optional<kernel::Table> table);

  // Deletes all or none and returns them with their last counters, in order.
  // NOT_FOUND names the ids that are missing; FAILED_PRECONDITION: a rule of
  // somebody else's; PERMISSION_DENIED: see RuleChange.counting_only.
  absl::StatusOr<std::vector<kernel::Rule>> Delete(
      absl::Span<const std::string> ids, const RuleChange& change);

  // All rules, managed or not, that count into any of these counters (the
  // kernel's names).
  absl::StatusOr<std::vector<kernel::Rule>> Holders(
      absl::Span<const std::string> counters);

  // Gives back memory that nobody uses any more; call it now and then.
  void ExpireListings() { listings_.Expire(); }

  // The server ends: changes that wait for others give up.
  void StopWaiting() { changes_.table.StopWaiting(); }

  // What our changes have done to others since the start, for people; see
  // kernel::TableOutcome. Sentences; usually none.
  std::vector<std::string> Notices() const;

 private:
  // A table and the lane that it belongs to.
  struct Access {
    kernel::RuleTable& table;
    Lane& lane;
  };
  // The changes of one table and family, with their places in the request.
  struct Group {
    kernel::TableEdit edit;
    std::vector<size_t> indexes;
  };

  // Sets spec.form. UNIMPLEMENTED: the kernel can't count so.
  absl::Status ChooseForm(NewRule& rule) const;
  absl::Status CheckCounters(absl::Span<const NewRule> rules);
  // Takes the specs out of `rules`.
  static std::vector<Group> GroupInsertions(std::vector<NewRule>& rules,
                                            const RuleChange& change);

  absl::StatusOr<std::shared_ptr<const RuleListing>> ReadListing(
      const RuleFilter& filter);

  // What came of reading tables.
  struct TablesRead {
    // OK: all were handed out that the kernel has. TABLE_NOT_VISIBLE: of the
    // first that was left out as this process can't see whether it is there.
    absl::Status unseen;
  };

  // On the lane of `source`: hands out tables until `on_table` returns false.
  // UNIMPLEMENTED: the kernel has none of them. TABLE_NOT_VISIBLE: `table` is
  // given and can't be seen.
  absl::StatusOr<TablesRead> ReadTables(
      kernel::RuleTable& source, std::optional<kernel::Family> family,
      std::optional<kernel::Table> table,
      absl::FunctionRef<bool(const kernel::TableContents&)> on_table);

  // On the lane of changes:
  // Those of `ids` that rules have.
  absl::StatusOr<std::vector<std::string>> ExistingIds(
      const absl::flat_hash_set<std::string>& ids);
  absl::StatusOr<std::vector<Group>> GroupDeletions(
      absl::Span<const std::string> ids, const RuleChange& change);
  absl::StatusOr<std::vector<kernel::Rule>> EditAll(std::vector<Group> groups,
                                                    const RuleChange& change);

  kernel::RuleCapabilities capabilities() const {
    return kernel_.capabilities()->rules;
  }

  kernel::Kernel& kernel_;
  const Access changes_;
  const Access reads_;
  RuleListings listings_;
  // Changes of tables.
  std::atomic<uint64_t> rule_counter_losses_{0};
  std::atomic<uint64_t> refills_{0};
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_RULES_H_
