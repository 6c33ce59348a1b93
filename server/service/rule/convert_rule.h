// SPDX-License-Identifier: GPL-3.0-or-later
// The domain's rules and chains -> RuleService's messages.
#ifndef NFMETER_SERVICE_RULE_CONVERT_RULE_H_
#define NFMETER_SERVICE_RULE_CONVERT_RULE_H_

#include <vector>

#include "accounting/rules/kept_rules.h"
#include "accounting/rules/rules.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "kernel/rule_types.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::service {

void ToProto(const kernel::Rule& rule, v1::Rule* proto);

void ToProto(const std::vector<kernel::Rule>& rules,
             google::protobuf::RepeatedPtrField<v1::Rule>* protos);

void ToProto(const accounting::ChainSummary& chain, v1::Chain* proto);

// DATA_LOSS, RULE_DAMAGED: a text is none of these.
accounting::KeptRules::Codec RuleCodec();

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_RULE_CONVERT_RULE_H_
