// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/acct_table.h"

#include "absl/container/flat_hash_map.h"
#include "base/status_macros.h"

namespace nfmeter::kernel {

std::vector<absl::StatusOr<AcctObject>> AcctTable::GetEach(
    absl::Span<const std::string> names) {
  absl::flat_hash_map<absl::string_view, AcctObject> read;
  if (names.size() >= kDumpFromNames) {
    for (const std::string& name : names) read[name];
    // An error or an incomplete dump leaves names over for the loop below.
    (void)Dump(AcctDumpFilter::kAll, [&](absl::Span<const AcctRecord> records) {
      for (const AcctRecord& record : records) {
        const auto found = read.find(record.name);
        if (found == read.end()) continue;
        found->second = ObjectOf(record);
      }
    });
  }
  std::vector<absl::StatusOr<AcctObject>> objects;
  objects.reserve(names.size());
  for (const std::string& name : names) {
    const auto found = read.find(name);
    const bool known = found != read.end() && !found->second.name.empty();
    objects.push_back(known ? found->second : Get(name));
  }
  return objects;
}

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
