// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/rules.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "accounting/common/counter_filter.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using kernel::Chain;
using kernel::Family;
using kernel::Rule;
using kernel::Table;
using kernel::TableContents;

bool Matches(const RuleFilter& filter, const Rule& rule) {
  if (!filter.chain.empty() && rule.chain != filter.chain) return false;
  if (filter.managed_only && !rule.managed) return false;
  if (!filter.scope.Contains(ShownName(rule.counter))) return false;
  return filter.counter_glob.empty() ||
         (!rule.counter.empty() &&
          GlobMatches(filter.counter_glob, ShownName(rule.counter)));
}

// As an answer has it: a byte that is not printable ASCII has four there, in
// the rule's text and in the field that it stands for.
size_t ApproximateBytes(const Rule& rule) {
  size_t bytes = 200 + rule.counter.size();
  for (const char c : rule.text) bytes += c >= ' ' && c <= '~' ? 2 : 8;
  return bytes;
}

uint64_t QueryHash(const RuleFilter& filter) {
  StableHash hash;
  hash.Add("rules").Add(filter.chain).Add(filter.counter_glob);
  hash.Add(uint64_t{filter.managed_only});
  for (const std::string& prefix : filter.scope.prefixes) hash.Add(prefix);
  hash.Add(filter.family ? kernel::FamilyName(*filter.family) : "");
  hash.Add(filter.table ? kernel::TableName(*filter.table) : "");
  return hash.value();
}

// Where a listing goes on: an offset into a reading that is kept. `ids` is the
// hash of its rules' ids, by which a new reading is known to have the same.
struct ListPosition {
  size_t offset = 0;
  uint64_t listing = 0;
  uint64_t ids = 0;
};

absl::StatusOr<ListPosition> ReadPosition(absl::string_view token,
                                          uint64_t query) {
  NFM_ASSIGN_OR_RETURN(const std::string text, ReadPageToken(token, query));
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  ListPosition position;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &position.offset) ||
      !absl::SimpleAtoi(parts[1], &position.listing) ||
      !absl::SimpleAtoi(parts[2], &position.ids)) {
    return ReadPageToken("", query).status();
  }
  return position;
}

absl::Status RulesChanged() {
  return MakeError(absl::StatusCode::kAborted, "RULES_CHANGED",
                   "the reading that this page belongs to is not kept any "
                   "more, and rules were made or deleted since; start again "
                   "with an empty page_token and ask for the pages one soon "
                   "after the other");
}

}  // namespace

Rules::Rules(const Parts& parts)
    : kernel_(parts.kernel),
      lane_(parts.lane),
      listings_(parts.clock, parts.listings) {}

absl::StatusOr<TablesRead> Rules::ReadInTurn(
    std::optional<Family> family, std::optional<Table> table,
    absl::FunctionRef<bool(const TableContents&)> on_table) {
  return lane_.Run(Lane::Priority::kNormal, [&] {
    return ReadTables(kernel_, kernel_.rule_reads(), family, table, on_table);
  });
}

absl::StatusOr<Rule> Rules::Get(absl::string_view id,
                                const CounterScope& scope) {
  std::optional<Rule> found;
  const auto find = [&](const TableContents& contents) {
    ForEachRule(contents, [&](const Rule& rule) {
      if (rule.id == id && scope.Contains(ShownName(rule.counter))) {
        found = rule;
      }
    });
    return !found.has_value();
  };
  NFM_ASSIGN_OR_RETURN(const TablesRead read,
                       ReadInTurn(std::nullopt, std::nullopt, find));
  if (found.has_value()) return *std::move(found);
  NFM_RETURN_IF_ERROR(read.unseen);
  return RuleNotFound({std::string(id)});
}

absl::StatusOr<std::shared_ptr<const RuleListing>> Rules::ReadListing(
    const RuleFilter& filter) {
  auto listing = std::make_shared<RuleListing>();
  listing->query = QueryHash(filter);
  StableHash ids;
  const auto keep = [&](const TableContents& contents) {
    ForEachRule(contents, [&](const Rule& rule) {
      if (!Matches(filter, rule)) return;
      ids.Add(rule.id);
      listing->rules.push_back(rule);
    });
    return true;
  };
  const auto read = ReadInTurn(filter.family, filter.table, keep);
  NFM_RETURN_IF_ERROR(read.status());
  listing->ids = ids.value();
  return listing;
}

absl::StatusOr<RulePage> Rules::List(const RuleQuery& query) {
  const uint64_t hash = QueryHash(query.filter);
  ListPosition start;
  std::shared_ptr<const RuleListing> listing;
  if (!query.page_token.empty()) {
    NFM_ASSIGN_OR_RETURN(start, ReadPosition(query.page_token, hash));
    listing = listings_.Find(start.listing, hash);
  }
  if (listing == nullptr) {
    start.listing = 0;
    NFM_ASSIGN_OR_RETURN(listing, ReadListing(query.filter));
    if (!query.page_token.empty() && start.ids != listing->ids) {
      return RulesChanged();
    }
  }
  RulePage page{.total_size = listing->rules.size()};
  size_t end = std::min(start.offset, listing->rules.size());
  for (size_t bytes = 0;
       end < listing->rules.size() && page.rules.size() < query.page_size;
       ++end) {
    bytes += ApproximateBytes(listing->rules[end]);
    if (bytes > query.max_bytes && !page.rules.empty()) break;
    page.rules.push_back(listing->rules[end]);
  }
  if (end < listing->rules.size()) {
    if (start.listing == 0) start.listing = listings_.Keep(listing);
    page.next_page_token = MakePageToken(
        hash, absl::StrCat(end, ":", start.listing, ":", listing->ids));
  } else {
    listings_.Finish(start.listing);
  }
  return page;
}

absl::StatusOr<std::vector<ChainSummary>> Rules::ListChains(
    std::optional<Family> family, std::optional<Table> table) {
  std::vector<ChainSummary> chains;
  const auto read =
      ReadInTurn(family, table, [&](const TableContents& contents) {
        for (const Chain& chain : contents.chains) {
          ChainSummary& summary = chains.emplace_back();
          summary.family = contents.family;
          summary.table = contents.table;
          summary.rule_count = chain.rules.size();
          summary.chain = {chain.name,
                           chain.builtin,
                           chain.policy,
                           chain.packets,
                           chain.bytes,
                           chain.references,
                           {}};
        }
        return true;
      });
  NFM_RETURN_IF_ERROR(read.status());
  return chains;
}

absl::StatusOr<std::vector<Rule>> Rules::Holders(
    absl::Span<const std::string> counters) {
  const absl::flat_hash_set<absl::string_view> wanted(counters.begin(),
                                                      counters.end());
  const auto counts_into_one = [&](const Rule& rule) {
    return wanted.contains(rule.counter) ||
           std::any_of(rule.other_counters.begin(), rule.other_counters.end(),
                       [&](const std::string& counter) {
                         return wanted.contains(counter);
                       });
  };
  std::vector<Rule> holders;
  const auto keep = [&](const TableContents& contents) {
    ForEachRule(contents, [&](const Rule& rule) {
      if (counts_into_one(rule)) holders.push_back(rule);
    });
    return true;
  };
  const auto read = ReadInTurn(std::nullopt, std::nullopt, keep);
  NFM_RETURN_IF_ERROR(read.status());
  return holders;
}

}  // namespace nfmeter::accounting
