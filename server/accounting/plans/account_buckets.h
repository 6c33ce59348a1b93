// SPDX-License-Identifier: GPL-3.0-or-later
// Accounts that can be told apart by one thing.
#ifndef NFMETER_ACCOUNTING_PLANS_ACCOUNT_BUCKETS_H_
#define NFMETER_ACCOUNTING_PLANS_ACCOUNT_BUCKETS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "accounting/plans/key_range.h"
#include "accounting/plans/plan.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// What the rule of an account does beside counting.
kernel::OwnedAction ActionOf(const PlanAccount& account);

// Accounts whose matches are equal but for one key, and that do the same.
struct AccountBucket {
  int rank = 0;              // rises with the place that its rules need
  kernel::RuleMatch shared;  // without the key
  std::optional<KeyField> key;
  // Beside the key, a destination, each account leaves out packets that also
  // come from there: they have counted by their source.
  bool from_elsewhere = false;
  std::optional<Split> split;
  std::vector<const PlanAccount*> accounts;  // at least one

  // Tells it apart from others of the same plan.
  std::string Text() const;
};

// Puts each account where most others are of its shape. In the order in which
// their rules have to stand: those that may end a packet's way come last.
std::vector<AccountBucket> MakeBuckets(
    absl::Span<const PlanAccount* const> accounts);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_ACCOUNT_BUCKETS_H_
