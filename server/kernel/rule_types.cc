// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

absl::string_view FamilyName(Family family) {
  return family == Family::kIpv4 ? "IPv4" : "IPv6";
}

absl::string_view TableName(Table table) {
  switch (table) {
    case Table::kFilter:
      return "filter";
    case Table::kMangle:
      return "mangle";
    case Table::kRaw:
      return "raw";
    case Table::kNat:
      return "nat";
    case Table::kSecurity:
      return "security";
  }
  return "";
}

std::optional<Table> TableFromName(absl::string_view name) {
  for (Table table : kAllTables) {
    if (TableName(table) == name) return table;
  }
  return std::nullopt;
}

absl::string_view TargetName(Verdict verdict, CountingForm form) {
  if (form == CountingForm::kTarget) return kAcctTarget;
  switch (verdict) {
    case Verdict::kAccept:
      return "ACCEPT";
    case Verdict::kDrop:
      return "DROP";
    case Verdict::kReturn:
      return "RETURN";
    case Verdict::kContinue:
    case Verdict::kOther:
      return "";
  }
  return "";
}

}  // namespace nfmeter::kernel
