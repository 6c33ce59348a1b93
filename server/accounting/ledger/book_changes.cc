// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/book_changes.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace nfmeter::accounting {
namespace {

// Sorts by account and makes one of all entries of an account.
void MergeTotals(std::vector<BookChanges::Total>& totals) {
  std::stable_sort(
      totals.begin(), totals.end(),
      [](const auto& a, const auto& b) { return a.account < b.account; });
  size_t kept = 0;
  for (size_t i = 0; i < totals.size(); ++i) {
    if (kept > 0 && totals[kept - 1].account == totals[i].account) {
      totals[kept - 1].total = totals[i].total;
      totals[kept - 1].delta += totals[i].delta;
    } else {
      totals[kept++] = totals[i];
    }
  }
  totals.resize(kept);
}

// Likewise; the last one counts.
void MergeAccounts(std::vector<Account>& accounts) {
  std::stable_sort(accounts.begin(), accounts.end(),
                   [](const auto& a, const auto& b) { return a.id < b.id; });
  size_t kept = 0;
  for (size_t i = 0; i < accounts.size(); ++i) {
    if (kept > 0 && accounts[kept - 1].id == accounts[i].id) --kept;
    if (kept != i) accounts[kept] = std::move(accounts[i]);
    ++kept;
  }
  accounts.resize(kept);
}

// Makes one gap of a counter's deletion by somebody else and of its absence
// that followed, where both are told together.
void MergeAbsences(std::vector<Gap>& gaps) {
  absl::flat_hash_map<uint64_t, size_t> newest;  // by account
  size_t kept = 0;
  for (size_t i = 0; i < gaps.size(); ++i) {
    if (gaps[i].cause == GapCause::kForeignDelete) {
      const auto [found, first] = newest.try_emplace(gaps[i].account, kept);
      if (!first && gaps[found->second].to == gaps[i].from) {
        gaps[found->second].to = gaps[i].to;
        continue;
      }
      found->second = kept;
    }
    if (kept != i) gaps[kept] = gaps[i];
    ++kept;
  }
  gaps.resize(kept);
}

void BoundGaps(std::vector<Gap>& gaps) {
  if (gaps.size() <= BookChanges::kMaxGaps) return;
  Gap all = gaps[0];
  for (const Gap& gap : gaps) {
    all.from = std::min(all.from, gap.from);
    all.to = std::max(all.to, gap.to);
  }
  all.account = 0;
  all.at_most.reset();
  gaps = {all};
}

template <typename T>
void MoveTo(std::vector<T>& to, std::vector<T>& from) {
  if (to.empty()) return to.swap(from);
  to.insert(to.end(), std::make_move_iterator(from.begin()),
            std::make_move_iterator(from.end()));
}

}  // namespace

void BookChanges::AddGap(Gap gap) {
  gaps.push_back(std::move(gap));
  BoundGaps(gaps);
}

void BookChanges::Append(BookChanges later) {
  MoveTo(totals, later.totals);
  MergeTotals(totals);
  MoveTo(accounts, later.accounts);
  MergeAccounts(accounts);
  MoveTo(gaps, later.gaps);
  MergeAbsences(gaps);
  BoundGaps(gaps);
  MoveTo(settled, later.settled);
  if (later.reading.has_value()) reading = later.reading;
  since_reading += later.since_reading;
}

}  // namespace nfmeter::accounting
