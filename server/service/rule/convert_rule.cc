// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/rule/convert_rule.h"

#include <string>

#include "accounting/common/counter_filter.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "service/match/match_message.h"
#include "service/rule/validate_rule.h"

namespace nfmeter::service {
namespace {

v1::Verdict VerdictToProto(kernel::Verdict verdict) {
  switch (verdict) {
    case kernel::Verdict::kContinue:
      return v1::VERDICT_CONTINUE;
    case kernel::Verdict::kAccept:
      return v1::VERDICT_ACCEPT;
    case kernel::Verdict::kDrop:
      return v1::VERDICT_DROP;
    case kernel::Verdict::kReturn:
      return v1::VERDICT_RETURN;
    case kernel::Verdict::kOther:
      break;
  }
  return v1::VERDICT_OTHER;
}

v1::CountingForm FormOf(const kernel::Rule& rule) {
  if (rule.counter.empty()) return v1::COUNTING_FORM_UNSPECIFIED;
  return rule.form == kernel::CountingForm::kTarget ? v1::COUNTING_FORM_TARGET
                                                    : v1::COUNTING_FORM_MATCH;
}

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

void ToProto(const kernel::Rule& rule, v1::Rule* proto) {
  proto->set_id(ValidUtf8(rule.id));
  proto->set_family(ToProto(rule.family));
  proto->set_table(std::string(kernel::TableName(rule.table)));
  proto->set_chain(EscapeName(rule.chain));
  ToProto(rule.match, proto->mutable_match());
  proto->set_counter(accounting::ShownName(rule.counter));
  proto->set_verdict(VerdictToProto(rule.verdict));
  proto->set_packets(rule.packets);
  proto->set_bytes(rule.bytes);
  proto->set_managed(rule.managed);
  proto->set_spec(ValidUtf8(rule.text));
  proto->set_target(EscapeName(rule.target));
  proto->set_position(rule.position);
  proto->set_counting_form(FormOf(rule));
  for (const std::string& name : rule.other_matches) {
    proto->add_other_matches(ValidUtf8(name));
  }
}

void ToProto(const std::vector<kernel::Rule>& rules,
             google::protobuf::RepeatedPtrField<v1::Rule>* protos) {
  protos->Reserve(static_cast<int>(rules.size()));
  for (const kernel::Rule& rule : rules) ToProto(rule, protos->Add());
}

void ToProto(const accounting::ChainSummary& summary, v1::Chain* proto) {
  proto->set_family(ToProto(summary.family));
  proto->set_table(std::string(kernel::TableName(summary.table)));
  proto->set_name(EscapeName(summary.chain.name));
  proto->set_builtin(summary.chain.builtin);
  proto->set_policy(ValidUtf8(summary.chain.policy));
  proto->set_packets(summary.chain.packets);
  proto->set_bytes(summary.chain.bytes);
  proto->set_references(summary.chain.references);
  proto->set_rule_count(static_cast<uint32_t>(summary.rule_count));
  proto->set_managed(summary.chain.name.compare(0, 4, "NFM-") == 0);
}

accounting::KeptRules::Codec RuleCodec() { return {WriteRule, ReadRule}; }

}  // namespace nfmeter::service
