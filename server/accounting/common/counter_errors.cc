// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/counter_errors.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "accounting/common/counter_filter.h"
#include "base/error.h"
#include "kernel/rule_edit.h"

namespace nfmeter::accounting {
namespace {

constexpr size_t kShownNames = 8;
constexpr size_t kShownRules = 4;

// Metadata: the names, and how many.
ErrorDetails Details(absl::string_view reason,
                     absl::Span<const std::string> names) {
  return ErrorDetails{.reason = std::string(reason),
                      .metadata = {{"counters", NamesForPrograms(names)},
                                   {"count", absl::StrCat(names.size())}}};
}

absl::string_view Noun(absl::Span<const std::string> names) {
  return names.size() == 1 ? "counter " : "counters ";
}

std::string ShownRule(const kernel::Rule& rule) {
  return absl::StrCat(rule.managed ? "rule " : "somebody else's rule ", rule.id,
                      " (", kernel::TextWithPlace(rule), ")");
}

}  // namespace

std::string NamesForPrograms(absl::Span<const std::string> names) {
  const auto first = names.subspan(0, std::min(names.size(), kShownNames));
  return absl::StrJoin(first, ",", [](std::string* out, const auto& name) {
    absl::StrAppend(out, ShownName(name));
  });
}

std::string ShownNames(absl::Span<const std::string> names) {
  const auto shown = names.subspan(0, std::min(names.size(), kShownNames));
  std::string text =
      absl::StrJoin(shown, ", ", [](std::string* out, const auto& name) {
        absl::StrAppend(out, "'", ShownName(name), "'");
      });
  if (names.size() > shown.size()) {
    absl::StrAppend(&text, " and ", names.size() - shown.size(), " more");
  }
  return text;
}

absl::Status CountersMissing(absl::Span<const std::string> names) {
  return MakeError(
      absl::StatusCode::kNotFound,
      absl::StrCat(
          names.size() == 1 ? "there is no counter " : "there are no counters ",
          ShownNames(names), "; create ", names.size() == 1 ? "it" : "them",
          " with CreateCounter, or see ListCounters for "
          "those that exist"),
      Details("COUNTER_NOT_FOUND", names));
}

absl::Status CountersExist(absl::Span<const std::string> names) {
  return MakeError(absl::StatusCode::kAlreadyExists,
                   absl::StrCat(Noun(names), ShownNames(names),
                                names.size() == 1 ? " exists" : " exist",
                                " already; nothing was changed; delete first "
                                "or choose other names"),
                   Details("COUNTER_EXISTS", names));
}

absl::Status CountersChanged(absl::Span<const std::string> names) {
  return MakeError(
      absl::StatusCode::kAborted,
      absl::StrCat(Noun(names), ShownNames(names),
                   " changed since the etag was read; nothing was done; read "
                   "again and decide anew"),
      Details("ETAG_MISMATCH", names));
}

absl::Status CountersInUse(absl::Span<const std::string> names,
                           absl::Span<const kernel::Rule> rules,
                           absl::string_view advice) {
  ErrorDetails details = Details("COUNTER_IN_USE", names);
  const auto shown = rules.subspan(0, std::min(rules.size(), kShownRules));
  details.metadata["rules"] =
      absl::StrJoin(rules.subspan(0, std::min(rules.size(), kShownNames)), ",",
                    [](std::string* out, const kernel::Rule& rule) {
                      absl::StrAppend(out, rule.id);
                    });
  details.metadata["rule_count"] = absl::StrCat(rules.size());
  std::string holders =
      absl::StrJoin(shown, "; ", [](std::string* out, const auto& rule) {
        absl::StrAppend(out, ShownRule(rule));
      });
  if (rules.size() > shown.size()) {
    absl::StrAppend(&holders, "; and ", rules.size() - shown.size(), " more");
  }
  if (rules.empty())
    holders = "something that is not a rule that nfmeter shows";
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(Noun(names), ShownNames(names),
                   names.size() == 1 ? " is" : " are", " in use by ", holders,
                   "; nothing was deleted; ", advice),
      std::move(details));
}

absl::Status QuotaOfCaps(const std::string& counter,
                         absl::Span<const std::string> rules) {
  const auto shown = rules.subspan(0, std::min(rules.size(), kShownNames));
  const bool one = rules.size() == 1;
  std::string subject =
      absl::StrCat(one ? "rule " : "rules ", absl::StrJoin(shown, ", "));
  if (rules.size() > shown.size()) {
    absl::StrAppend(&subject, " and ", rules.size() - shown.size(), " more");
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(subject, one ? " decides" : " decide",
                   " about packets once counter ", ShownNames({counter}),
                   " is over its quota, and would decide about all of them "
                   "without one; nothing was changed; delete ",
                   one ? "that rule" : "those rules", " first"),
      ErrorDetails{.reason = "QUOTA_OF_CAPS",
                   .metadata = {{"counter", ShownName(counter)},
                                {"rules", absl::StrJoin(shown, ",")},
                                {"rule_count", absl::StrCat(rules.size())}}});
}

absl::Status AboutCounter(const absl::Status& status, const std::string& name) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return CountersMissing({name});
    case absl::StatusCode::kAlreadyExists:
      return CountersExist({name});
    default:
      return status;
  }
}

}  // namespace nfmeter::accounting
