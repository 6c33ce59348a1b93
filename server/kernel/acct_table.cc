// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/acct_table.h"

#include "base/status_macros.h"

namespace nfmeter::kernel {

absl::StatusOr<AcctDumpOutcome> AcctTable::DumpVerified(AcctDumpFilter filter,
                                                        AcctReader& reader) {
  AcctDumpOutcome outcome;
  for (int walk = 0; walk < kMaxWalks && !outcome.complete; ++walk) {
    reader.OnBegin();
    NFM_ASSIGN_OR_RETURN(
        outcome, Dump(filter, [&](absl::Span<const AcctRecord> records) {
          reader.OnRecords(records);
        }));
  }
  return outcome;
}

}  // namespace nfmeter::kernel
