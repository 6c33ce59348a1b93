// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/rule/rule_text.h"

#include <string>

#include "base/error.h"
#include "base/status_macros.h"
#include "service/rule/convert_rule.h"
#include "service/rule/validate_rule.h"

namespace nfmeter::service {
namespace {

// What it takes to make the rule again.
std::string WriteRule(const kernel::Rule& rule) {
  v1::Rule message;
  ToProto(rule, &message);
  message.clear_packets();
  message.clear_bytes();
  message.clear_managed();
  message.clear_spec();
  message.clear_target();
  message.clear_position();
  return message.SerializeAsString();
}

absl::StatusOr<accounting::NewRule> ReadRule(absl::string_view text) {
  v1::Rule message;
  FieldErrors errors;
  if (!message.ParseFromArray(text.data(), static_cast<int>(text.size()))) {
    return MakeError(absl::StatusCode::kDataLoss, "RULE_DAMAGED",
                     "the rule can't be read from the store");
  }
  accounting::NewRule rule = ReadNewRule(message, "rule", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  rule.field.clear();
  // ReadNewRule() leaves it open, and the editor would choose.
  rule.spec.form = rule.form.value_or(kernel::CountingForm::kMatch);
  return rule;
}

}  // namespace

accounting::KeptRules::Codec RuleCodec() { return {WriteRule, ReadRule}; }

}  // namespace nfmeter::service
