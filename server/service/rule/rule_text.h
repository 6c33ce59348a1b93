// SPDX-License-Identifier: GPL-3.0-or-later
// Rules as the store of kept rules has them: messages of the API.
#ifndef NFMETER_SERVICE_RULE_RULE_TEXT_H_
#define NFMETER_SERVICE_RULE_RULE_TEXT_H_

#include "accounting/rules/kept_rules.h"

namespace nfmeter::service {

// DATA_LOSS, RULE_DAMAGED: a text is none of these.
accounting::KeptRules::Codec RuleCodec();

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_RULE_RULE_TEXT_H_
