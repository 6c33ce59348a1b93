// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_mark.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "kernel/rule_law.h"

namespace nfmeter::kernel {
namespace {

constexpr absl::string_view kPrefix = "nfmeter:";

}  // namespace

std::string RuleMark(absl::string_view id, absl::string_view comment) {
  return absl::StrCat(kPrefix, id, comment.empty() ? "" : " ", comment);
}

std::optional<ParsedRuleMark> ParseRuleMark(absl::string_view comment) {
  if (!absl::ConsumePrefix(&comment, kPrefix)) return std::nullopt;
  const size_t space = std::min(comment.find(' '), comment.size());
  const absl::string_view id = comment.substr(0, space);
  if (!IsRuleId(id)) return std::nullopt;
  return ParsedRuleMark{id,
                        comment.substr(std::min(space + 1, comment.size()))};
}

}  // namespace nfmeter::kernel
