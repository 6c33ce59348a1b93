// SPDX-License-Identifier: GPL-3.0-or-later
// The rules of FakeRuleTable as text.
#ifndef NFMETER_KERNEL_FAKE_FAKE_RULE_TEXT_H_
#define NFMETER_KERNEL_FAKE_FAKE_RULE_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// A line like those of iptables-save for a rule of ours: good enough to show
// and to compare, not to feed to iptables.
std::string FakeRuleText(const RuleSpec& rule);

// The same for a rule of an owned chain; for one that looks into a map of
// `maps` a line for each element.
std::string FakeOwnedRuleText(absl::string_view chain, const OwnedRule& rule);
std::vector<std::string> FakeOwnedRuleTexts(absl::string_view chain,
                                            const OwnedRule& rule,
                                            absl::Span<const OwnedMap> maps);

// A foreign rule from such a line: chain, counter, target and comment are read
// from it, its other matches are named.
Rule FakeForeignRule(absl::string_view text);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_RULE_TEXT_H_
