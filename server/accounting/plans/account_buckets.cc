// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/account_buckets.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "accounting/plans/match_text.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedAction;
using kernel::RuleMatch;

// Fewer accounts than these stand in a row: a tree would cost more.
constexpr size_t kTreeFrom = 5;

// Those that end a packet's way come last.
int RankOf(OwnedAction action) {
  switch (action) {
    case OwnedAction::kDrop:
    case OwnedAction::kReject:
      return 1;
    default:
      return 0;
  }
}

std::string BucketText(const RuleMatch& shared, std::optional<KeyField> key,
                       const PlanAccount& account) {
  return absl::StrCat(
      RankOf(ActionOf(account)), "|",
      key.has_value() ? static_cast<int>(*key) : -1, "|",
      account.split.has_value() ? static_cast<int>(*account.split) : -1, "|",
      MatchText(shared));
}

}  // namespace

OwnedAction ActionOf(const PlanAccount& account) {
  if (!account.quota.has_value()) return OwnedAction::kContinue;
  switch (account.quota->over) {
    case OverQuota::kTell:
      return OwnedAction::kContinue;
    case OverQuota::kDrop:
      return OwnedAction::kDrop;
    case OverQuota::kReject:
      return OwnedAction::kReject;
    case OverQuota::kMark:
      return OwnedAction::kMark;
  }
  return OwnedAction::kContinue;
}

std::string Bucket::Text() const {
  return BucketText(shared, key, *accounts[0]);
}

std::vector<Bucket> MakeBuckets(absl::Span<const PlanAccount* const> accounts) {
  struct Candidate {
    KeyField key;
    std::string text;
  };
  std::vector<std::vector<Candidate>> candidates(accounts.size());
  absl::flat_hash_map<std::string, size_t> sizes;
  for (size_t i = 0; i < accounts.size(); ++i) {
    for (const KeyField key : kKeyFields) {
      if (!KeyOf(accounts[i]->match, key).has_value()) continue;
      RuleMatch shared = accounts[i]->match;
      ClearKey(shared, key);
      std::string text = BucketText(shared, key, *accounts[i]);
      ++sizes[text];
      candidates[i].push_back({key, std::move(text)});
    }
  }
  std::map<std::string, Bucket> buckets;  // in a stable order
  for (size_t i = 0; i < accounts.size(); ++i) {
    const Candidate* best = nullptr;
    for (const Candidate& each : candidates[i]) {
      if (best == nullptr || sizes[each.text] > sizes[best->text]) best = &each;
    }
    const PlanAccount& account = *accounts[i];
    const bool alone = best == nullptr || sizes[best->text] < kTreeFrom;
    const std::string text =
        alone ? BucketText({}, std::nullopt, account) : best->text;
    const auto [found, is_new] = buckets.try_emplace(text);
    Bucket& bucket = found->second;
    bucket.accounts.push_back(&account);
    if (!is_new) continue;
    bucket.rank = RankOf(ActionOf(account));
    bucket.split = account.split;
    if (alone) continue;
    bucket.key = best->key;
    bucket.shared = account.match;
    ClearKey(bucket.shared, best->key);
  }
  std::vector<Bucket> ordered;
  for (auto& [text, bucket] : buckets) ordered.push_back(std::move(bucket));
  return ordered;
}

}  // namespace nfmeter::accounting
