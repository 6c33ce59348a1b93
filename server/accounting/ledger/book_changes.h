// SPDX-License-Identifier: GPL-3.0-or-later
// What changes in a book.
#ifndef NFMETER_ACCOUNTING_LEDGER_BOOK_CHANGES_H_
#define NFMETER_ACCOUNTING_LEDGER_BOOK_CHANGES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "accounting/ledger/account.h"

namespace nfmeter::accounting {

// What has changed in a book since somebody last took its changes.
struct BookChanges {
  struct Total {
    uint64_t account = 0;
    Amount total;
    Amount delta;  // to the total that was taken before
  };
  std::vector<Total> totals;      // by increasing account, each once
  std::vector<Account> accounts;  // likewise: begun, or changed but for `total`
  std::vector<Gap> gaps;          // in the order of their discovery
  std::vector<uint64_t> settled;  // accounts that we reset or closed
  // The newest complete reading, if there was one, and how long before it the
  // one before had been (0: unknown).
  std::optional<Moment> reading;
  absl::Duration since_reading;

  // More gaps become one of all accounts.
  static constexpr size_t kMaxGaps = 10'000;
  void AddGap(Gap gap);
  // What has come after these: of an account the later is what counts.
  void Append(BookChanges later);

  bool empty() const {
    return totals.empty() && accounts.empty() && gaps.empty() &&
           !reading.has_value();
  }
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_BOOK_CHANGES_H_
