// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/rule_tables.h"

#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using kernel::Family;
using kernel::Table;
using kernel::TableContents;

// The kernel's layer can't see whether there is such a table.
bool IsNotVisible(const absl::Status& status) {
  return absl::IsPermissionDenied(status) &&
         GetErrorDetails(status).reason == "TABLE_NOT_VISIBLE";
}

}  // namespace

absl::StatusOr<TablesRead> ReadTables(
    const kernel::Kernel& kernel, kernel::RuleTable& source,
    std::optional<Family> family, std::optional<Table> table,
    absl::FunctionRef<bool(const TableContents&)> on_table) {
  const kernel::RuleCapabilities capabilities = kernel.capabilities()->rules;
  absl::Status lacking;
  TablesRead outcome;
  bool read_one = false;
  for (const Family each_family : kernel::kAllFamilies) {
    if (family.value_or(each_family) != each_family) continue;
    for (const Table each_table : kernel::kAllTables) {
      if (table.value_or(each_table) != each_table) continue;
      const absl::Status& available = capabilities.tables(each_family);
      const absl::StatusOr<TableContents> contents =
          available.ok() ? source.Read(each_family, each_table) : available;
      if (absl::IsUnimplemented(contents.status())) {
        lacking.Update(contents.status());
        continue;
      }
      if (!table.has_value() && IsNotVisible(contents.status())) {
        outcome.unseen.Update(contents.status());
        continue;
      }
      if (!contents.ok()) return contents.status();
      read_one = true;
      if (!on_table(*contents)) return outcome;
    }
  }
  if (!read_one && outcome.unseen.ok()) NFM_RETURN_IF_ERROR(lacking);
  return outcome;
}

absl::Status RuleNotFound(absl::Span<const std::string> ids) {
  return MakeError(
      absl::StatusCode::kNotFound,
      absl::StrCat(
          ids.size() == 1 ? "there is no rule " : "there are no rules ",
          ShownNames(ids), "; see ListRules for those that exist"),
      ErrorDetails{.reason = "RULE_NOT_FOUND",
                   .metadata = {{"rules", NamesForPrograms(ids)},
                                {"count", absl::StrCat(ids.size())}}});
}

}  // namespace nfmeter::accounting
