// SPDX-License-Identifier: GPL-3.0-or-later
// Rules as they are: what RuleService reads, without gRPC.
#ifndef NFMETER_ACCOUNTING_RULES_RULES_H_
#define NFMETER_ACCOUNTING_RULES_RULES_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/lane.h"
#include "accounting/common/paging.h"
#include "accounting/rules/rule_listings.h"
#include "accounting/rules/rule_tables.h"
#include "base/clock.h"
#include "kernel/kernel.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

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

// Reads rules, over all tables at once.
//
// Thread-safe: tables are read on a lane, which is not that of RuleEditor, so
// that a read does not stand behind a change that waits for others. Tables that
// the kernel lacks are left out of listings, unless the request names them.
// Does not own what it is given.
class Rules {
 public:
  struct Parts {
    kernel::Kernel& kernel;
    Lane& lane;
    Clock& clock;
    RuleListings::Options listings = {};
  };
  explicit Rules(const Parts& parts);

  // NOT_FOUND: no rule of that id in any table that counts into the scope.
  absl::StatusOr<kernel::Rule> Get(absl::string_view id,
                                   const CounterScope& scope = {});

  // All pages are of one reading, whatever happens to the rules meanwhile.
  // INVALID_ARGUMENT: the token is not of this listing. ABORTED: that reading
  // is not kept any more, see RuleListings, and the rules have changed since.
  absl::StatusOr<RulePage> List(const RuleQuery& query);

  absl::StatusOr<std::vector<ChainSummary>> ListChains(
      std::optional<kernel::Family> family, std::optional<kernel::Table> table);

  // All rules, managed or not, that count into any of these counters (the
  // kernel's names).
  absl::StatusOr<std::vector<kernel::Rule>> Holders(
      absl::Span<const std::string> counters);

  // Gives back memory that nobody uses any more; call it now and then.
  void ExpireListings() { listings_.Expire(); }

 private:
  absl::StatusOr<std::shared_ptr<const RuleListing>> ReadListing(
      const RuleFilter& filter);
  // ReadTables() on the lane.
  absl::StatusOr<TablesRead> ReadInTurn(
      std::optional<kernel::Family> family, std::optional<kernel::Table> table,
      absl::FunctionRef<bool(const kernel::TableContents&)> on_table);

  kernel::Kernel& kernel_;
  Lane& lane_;
  RuleListings listings_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_RULES_H_
