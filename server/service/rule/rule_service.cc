// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/rule/rule_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "accounting/common/counter_errors.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"
#include "service/match/read_match.h"
#include "service/rule/convert_rule.h"
#include "service/rule/validate_rule.h"

namespace nfmeter::service {
namespace {

// An answer repeats what the request says of a rule, says it again as
// iptables-save prints it, and adds about this much: an id, names of options.
constexpr size_t kAddedBytes = 160;
// The size of a long rule. How long a deleted one is, is known only once it has
// been read.
constexpr size_t kDeletedBytes = 512;

absl::Status TooManyChains(size_t count, size_t bound) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("there are ", count, " chains; one answer holds at most ",
                   bound, "; name a family and a table"),
      BoundDetails("TOO_MANY_CHAINS", bound, {{"size", absl::StrCat(count)}}));
}

// All callers share one space of ids, and who asks for an id that is taken
// learns of that rule. So callers with counter prefixes may choose only ids
// that begin with one of these.
absl::Status CheckIds(const Call& call,
                      absl::Span<const accounting::NewRule> rules) {
  std::vector<std::string> outside;
  for (const accounting::NewRule& rule : rules) {
    if (!rule.spec.id.empty() && !call.scope().Contains(rule.spec.id)) {
      outside.push_back(rule.spec.id);
    }
  }
  if (outside.empty()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat(call.caller->principal,
                   " may choose only ids of rules that ", "start with ",
                   absl::StrJoin(call.scope().prefixes, " or "), "; not ",
                   accounting::ShownNames(outside),
                   "; without an id the server chooses one"),
      ErrorDetails{.reason = "RULE_ID_NOT_PERMITTED",
                   .metadata = {{"rules", accounting::ShownNames(outside)}}});
}

absl::Status CheckNewRules(const Call& call,
                           absl::Span<const accounting::NewRule> rules) {
  NFM_RETURN_IF_ERROR(CheckIds(call, rules));
  NFM_RETURN_IF_ERROR(CheckScope(
      call, rules, [](const accounting::NewRule& rule) -> const std::string& {
        return rule.spec.counter;
      }));
  const auto decides = [](const accounting::NewRule& rule) {
    return rule.spec.verdict != kernel::Verdict::kContinue;
  };
  if (call.MayDecide() || std::none_of(rules.begin(), rules.end(), decides)) {
    return absl::OkStatus();
  }
  return accounting::VerdictNotPermitted();
}

}  // namespace

RuleService::RuleService(Gate& gate, accounting::Rules& rules,
                         accounting::RuleEditor& editor, RequestCache& requests,
                         const Limits& limits)
    : GatedService(gate),
      rules_(rules),
      editor_(editor),
      requests_(requests),
      limits_(limits) {
  Unary("CreateRule", &RuleService::CreateRule);
  Unary("BatchCreateRules", &RuleService::BatchCreateRules);
  Unary("GetRule", &RuleService::GetRule);
  Unary("ListRules", &RuleService::ListRules);
  Unary("DeleteRule", &RuleService::DeleteRule);
  Unary("BatchDeleteRules", &RuleService::BatchDeleteRules);
  Unary("ListChains", &RuleService::ListChains);
}

template <typename Request>
accounting::RuleChange RuleService::ReadChange(const Call& call,
                                               const Request& request) const {
  return {.validate_only = request.validate_only(),
          .patience = RulePatience(call, limits_),
          .scope = call.scope(),
          .counting_only = !call.MayDecide()};
}

template <typename Response>
void RuleService::TellNotices(const Call& call,
                              const accounting::ChangedRules& changed,
                              Response* response) {
  // Notices tell of the rules of others.
  if (!call.scope().has_all()) return;
  for (std::string& notice : editor_.FirstNotices(changed)) {
    response->add_notices(std::move(notice));
  }
}

absl::Status RuleService::CreateRule(const Call& call,
                                     const v1::CreateRuleRequest& request,
                                     v1::CreateRuleResponse* response) {
  FieldErrors errors;
  std::vector<accounting::NewRule> rules = {
      ReadNewRule(request.rule(), "rule", errors)};
  accounting::RuleChange change = ReadChange(call, request);
  change.placement = ReadPlacement(request.placement(), "placement", errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckNewRules(call, rules));
  return Mutate(
      call, requests_, "CreateRule", request, response, [&]() -> absl::Status {
        NFM_ASSIGN_OR_RETURN(const accounting::ChangedRules created,
                             editor_.Create(std::move(rules), change));
        ToProto(created.rules[0], response->mutable_rule());
        TellNotices(call, created, response);
        return absl::OkStatus();
      });
}

absl::Status RuleService::BatchCreateRules(
    const Call& call, const v1::BatchCreateRulesRequest& request,
    v1::BatchCreateRulesResponse* response) {
  FieldErrors errors;
  NFM_RETURN_IF_ERROR(CheckBatchSize("rules", request.rules_size(),
                                     limits_.max_batch_size, errors));
  std::vector<accounting::NewRule> rules =
      ReadNewRules(request.rules(), errors);
  accounting::RuleChange change = ReadChange(call, request);
  change.placement = ReadPlacement(request.placement(), "placement", errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckNewRules(call, rules));
  NFM_RETURN_IF_ERROR(CheckAnswerSize(
      2 * request.ByteSizeLong() + request.rules_size() * kAddedBytes,
      call.max_answer_bytes));
  return Mutate(call, requests_, "BatchCreateRules", request, response,
                [&]() -> absl::Status {
                  NFM_ASSIGN_OR_RETURN(
                      const accounting::ChangedRules created,
                      editor_.Create(std::move(rules), change));
                  ToProto(created.rules, response->mutable_rules());
                  TellNotices(call, created, response);
                  return absl::OkStatus();
                });
}

absl::Status RuleService::GetRule(const Call& call,
                                  const v1::GetRuleRequest& request,
                                  v1::GetRuleResponse* response) {
  FieldErrors errors;
  CheckRuleId(request.id(), "id", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_ASSIGN_OR_RETURN(const kernel::Rule rule,
                       rules_.Get(request.id(), call.scope()));
  ToProto(rule, response->mutable_rule());
  return absl::OkStatus();
}

absl::Status RuleService::ListRules(const Call& call,
                                    const v1::ListRulesRequest& request,
                                    v1::ListRulesResponse* response) {
  FieldErrors errors;
  accounting::RuleQuery query = {
      .filter = ReadRuleFilter(request.filter(), errors),
      .page_size = ReadPageSize(request.page_size(), limits_, errors),
      .page_token = request.page_token(),
      .max_bytes = call.max_answer_bytes};
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  query.filter.scope = call.scope();
  NFM_ASSIGN_OR_RETURN(const accounting::RulePage page, rules_.List(query));
  ToProto(page.rules, response->mutable_rules());
  response->set_next_page_token(page.next_page_token);
  response->set_total_size(static_cast<int32_t>(page.total_size));
  return absl::OkStatus();
}

absl::Status RuleService::DeleteRule(const Call& call,
                                     const v1::DeleteRuleRequest& request,
                                     v1::DeleteRuleResponse* response) {
  FieldErrors errors;
  CheckRuleId(request.id(), "id", errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  const accounting::RuleChange change = ReadChange(call, request);
  return Mutate(call, requests_, "DeleteRule", request, response,
                [&]() -> absl::Status {
                  NFM_ASSIGN_OR_RETURN(const accounting::ChangedRules deleted,
                                       editor_.Delete({request.id()}, change));
                  ToProto(deleted.rules[0], response->mutable_rule());
                  TellNotices(call, deleted, response);
                  return absl::OkStatus();
                });
}

absl::Status RuleService::BatchDeleteRules(
    const Call& call, const v1::BatchDeleteRulesRequest& request,
    v1::BatchDeleteRulesResponse* response) {
  FieldErrors errors;
  NFM_RETURN_IF_ERROR(CheckBatchSize("ids", request.ids_size(),
                                     limits_.max_batch_size, errors));
  const std::vector<std::string> ids = ReadRuleIds(request.ids(), errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  const accounting::RuleChange change = ReadChange(call, request);
  NFM_RETURN_IF_ERROR(CheckAnswerSize(request.ids_size() * kDeletedBytes,
                                      call.max_answer_bytes));
  return Mutate(call, requests_, "BatchDeleteRules", request, response,
                [&]() -> absl::Status {
                  NFM_ASSIGN_OR_RETURN(const accounting::ChangedRules deleted,
                                       editor_.Delete(ids, change));
                  ToProto(deleted.rules, response->mutable_rules());
                  TellNotices(call, deleted, response);
                  return absl::OkStatus();
                });
}

absl::Status RuleService::ListChains(const Call& /*call*/,
                                     const v1::ListChainsRequest& request,
                                     v1::ListChainsResponse* response) {
  FieldErrors errors;
  const std::optional<kernel::Family> family =
      ReadFamily(request.family(), "family", errors);
  const std::optional<kernel::Table> table =
      ReadTable(request.table(), "table", errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_ASSIGN_OR_RETURN(const std::vector<accounting::ChainSummary> chains,
                       rules_.ListChains(family, table));
  if (chains.size() > limits_.max_page_size) {
    return TooManyChains(chains.size(), limits_.max_page_size);
  }
  for (const accounting::ChainSummary& chain : chains) {
    ToProto(chain, response->add_chains());
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::service
