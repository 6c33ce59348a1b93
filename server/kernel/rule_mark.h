// SPDX-License-Identifier: GPL-3.0-or-later
// How the comment of a rule says that nfmeter made it.
#ifndef NFMETER_KERNEL_RULE_MARK_H_
#define NFMETER_KERNEL_RULE_MARK_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// The comment that marks a rule as ours: "nfmeter:ID", a space and the user's
// comment if there is one.
std::string RuleMark(absl::string_view id, absl::string_view comment);

struct ParsedRuleMark {
  absl::string_view id;
  absl::string_view comment;
};

// Its parts; nullopt: the comment is somebody else's. Views into `comment`.
std::optional<ParsedRuleMark> ParseRuleMark(absl::string_view comment);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_RULE_MARK_H_
