// SPDX-License-Identifier: GPL-3.0-or-later
// A match as a text that tells it from all others.
#ifndef NFMETER_ACCOUNTING_PLANS_MATCH_TEXT_H_
#define NFMETER_ACCOUNTING_PLANS_MATCH_TEXT_H_

#include <string>

#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// Equal for equal matches only, the same in every life of the server: for
// grouping, ordering and names. Not for people.
std::string MatchText(const kernel::RuleMatch& match);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_MATCH_TEXT_H_
