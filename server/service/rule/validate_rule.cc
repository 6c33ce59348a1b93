// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/rule/validate_rule.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernel/rule_law.h"
#include "service/gate/request_checks.h"
#include "service/match/read_match.h"

namespace nfmeter::service {
namespace {

using kernel::Family;
using kernel::Table;

kernel::Verdict ReadVerdict(v1::Verdict verdict, const std::string& field,
                            FieldErrors& errors) {
  switch (verdict) {
    case v1::VERDICT_UNSPECIFIED:
    case v1::VERDICT_CONTINUE:
      return kernel::Verdict::kContinue;
    case v1::VERDICT_ACCEPT:
      return kernel::Verdict::kAccept;
    case v1::VERDICT_RETURN:
      return kernel::Verdict::kReturn;
    case v1::VERDICT_DROP:
      return kernel::Verdict::kDrop;
    default:
      errors.Add(field, absl::StrCat(verdict,
                                     " can't be chosen; CONTINUE, ACCEPT, "
                                     "DROP or RETURN"));
      return kernel::Verdict::kContinue;
  }
}

std::optional<kernel::CountingForm> ReadForm(v1::CountingForm form,
                                             const std::string& field,
                                             FieldErrors& errors) {
  switch (form) {
    case v1::COUNTING_FORM_UNSPECIFIED:
      return std::nullopt;
    case v1::COUNTING_FORM_MATCH:
      return kernel::CountingForm::kMatch;
    case v1::COUNTING_FORM_TARGET:
      return kernel::CountingForm::kTarget;
    default:
      errors.Add(field, absl::StrCat(form, " is neither MATCH nor TARGET"));
      return std::nullopt;
  }
}

// The family asked for, or that of addresses and protocol, or IPv4.
Family ChooseFamily(std::optional<Family> wanted,
                    const kernel::RuleMatch& match) {
  const auto is_ipv6 = [](const auto& prefix) {
    return prefix.has_value() && prefix->value.family == Family::kIpv6;
  };
  const bool any_ipv6 = is_ipv6(match.source) || is_ipv6(match.destination) ||
                        (match.protocol.has_value() &&
                         match.protocol->value == kernel::kProtocolIcmpv6);
  return wanted.value_or(any_ipv6 ? Family::kIpv6 : Family::kIpv4);
}

// Adds what kernel/rule_law.h finds wrong, except in fields that could not be
// read and have an error already.
void CheckLaw(const accounting::NewRule& rule, FieldErrors& errors) {
  kernel::RuleSpec spec = rule.spec;
  spec.form = rule.form.value_or(kernel::CountingForm::kMatch);
  for (const kernel::RuleFault& fault :
       kernel::FaultsOfRule(spec, rule.family, rule.table)) {
    std::string field = absl::StrCat(rule.field, ".", fault.field);
    if (!errors.Has(field)) errors.Add(std::move(field), fault.description);
  }
}

}  // namespace

accounting::NewRule ReadNewRule(const v1::Rule& rule, const std::string& field,
                                FieldErrors& errors) {
  const auto path = [&](absl::string_view name) {
    return absl::StrCat(field, ".", name);
  };
  accounting::NewRule read;
  read.field = field;
  read.spec.id = rule.id();
  read.table =
      ReadTable(rule.table(), path("table"), errors).value_or(Table::kFilter);
  read.spec.chain = ReadName(rule.chain(), path("chain"), errors);
  read.spec.match = ReadMatch(rule.match(), path("match"), errors);
  read.family = ChooseFamily(ReadFamily(rule.family(), path("family"), errors),
                             read.spec.match);
  read.spec.counter = ReadCounterName(rule.counter(), path("counter"), errors);
  read.spec.verdict = ReadVerdict(rule.verdict(), path("verdict"), errors);
  read.form = ReadForm(rule.counting_form(), path("counting_form"), errors);
  CheckLaw(read, errors);
  return read;
}

std::vector<accounting::NewRule> ReadNewRules(
    const google::protobuf::RepeatedPtrField<v1::Rule>& rules,
    FieldErrors& errors) {
  std::vector<accounting::NewRule> read;
  read.reserve(rules.size());
  Repeats repeats("rules", ".id", rules.size());
  for (int i = 0; i < rules.size(); ++i) {
    read.push_back(ReadNewRule(rules[i], Indexed("rules", i), errors));
    repeats.Check(rules[i].id(), i, errors);
  }
  return read;
}

void CheckRuleId(const std::string& id, const std::string& field,
                 FieldErrors& errors) {
  if (id.empty()) {
    errors.Add(field, "is empty; name a rule by its id");
    return;
  }
  const bool foreign = id.size() > 1 && id[0] == '~';
  if (!kernel::IsRuleId(foreign ? absl::string_view(id).substr(1) : id)) {
    errors.Add(field,
               absl::StrCat(Quoted(id), " is not the id of a rule: 1 to ",
                            kernel::kRuleIdMaxBytes,
                            " of [a-z0-9-], after '~' for rules "
                            "of others"));
  }
}

std::vector<std::string> ReadRuleIds(
    const google::protobuf::RepeatedPtrField<std::string>& ids,
    FieldErrors& errors) {
  Repeats repeats("ids", "", ids.size());
  for (int i = 0; i < ids.size(); ++i) {
    CheckRuleId(ids[i], Indexed("ids", i), errors);
    repeats.Check(ids[i], i, errors);
  }
  return {ids.begin(), ids.end()};
}

accounting::RuleFilter ReadRuleFilter(const v1::RuleFilter& filter,
                                      FieldErrors& errors) {
  CheckGlob(filter.counter_glob(), "filter.counter_glob", errors);
  return {.family = ReadFamily(filter.family(), "filter.family", errors),
          .table = ReadTable(filter.table(), "filter.table", errors),
          .chain = ReadName(filter.chain(), "filter.chain", errors),
          .counter_glob = filter.counter_glob(),
          .managed_only = filter.managed_only()};
}

}  // namespace nfmeter::service
