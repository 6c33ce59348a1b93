// SPDX-License-Identifier: GPL-3.0-or-later
// RuleService's requests -> the domain's structs. What is wrong goes into
// `errors`, all of it, and the result is then of no use.
#ifndef NFMETER_SERVICE_RULE_VALIDATE_RULE_H_
#define NFMETER_SERVICE_RULE_VALIDATE_RULE_H_

#include <string>
#include <vector>

#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rules.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "nfmeter/v1/rule.pb.h"
#include "service/gate/field_errors.h"

namespace nfmeter::service {

// A rule to make; `field` is the path of `rule`.
accounting::NewRule ReadNewRule(const v1::Rule& rule, const std::string& field,
                                FieldErrors& errors);

// Rules to make, no id twice.
std::vector<accounting::NewRule> ReadNewRules(
    const google::protobuf::RepeatedPtrField<v1::Rule>& rules,
    FieldErrors& errors);

// The id of an existing rule, ours or somebody else's.
void CheckRuleId(const std::string& id, const std::string& field,
                 FieldErrors& errors);

// Such ids, none twice.
std::vector<std::string> ReadRuleIds(
    const google::protobuf::RepeatedPtrField<std::string>& ids,
    FieldErrors& errors);

accounting::RuleFilter ReadRuleFilter(const v1::RuleFilter& filter,
                                      FieldErrors& errors);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_RULE_VALIDATE_RULE_H_
