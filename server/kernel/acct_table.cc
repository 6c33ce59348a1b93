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

AcctObject ObjectOf(const AcctRecord& record) {
  return {.name = std::string(record.name),
          .packets = record.packets,
          .bytes = record.bytes,
          .quota = record.quota,
          .quota_exceeded = record.quota_exceeded,
          .use_count = record.use_count};
}

std::vector<std::string> NamesOf(absl::Span<const AcctObject> objects) {
  std::vector<std::string> names;
  names.reserve(objects.size());
  for (const AcctObject& object : objects) names.push_back(object.name);
  return names;
}

}  // namespace nfmeter::kernel
