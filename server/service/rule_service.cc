#include "service/rule_service.h"

#include "absl/container/flat_hash_map.h"
#include "base/status_macros.h"
#include "service/convert_rule.h"
#include "service/request_checks.h"
#include "service/status.h"
#include "service/validate_rule.h"

namespace nfmeter::service {
namespace {

absl::Status TooManyChains(size_t count, size_t bound) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("there are ", count, " chains; one answer holds at most ",
                   bound, "; name a family and a table"),
      ErrorDetails{.reason = "TOO_MANY_CHAINS",
                   .metadata = {{"bound", absl::StrCat(bound)},
                                {"size", absl::StrCat(count)}}});
}

}  // namespace

RuleService::RuleService(accounting::Rules& rules, RequestCache& requests,
                         const Limits& limits)
    : rules_(rules), requests_(requests), limits_(limits) {}

grpc::Status RuleService::CreateRule(grpc::ServerContext* context,
                                     const v1::CreateRuleRequest* request,
                                     v1::CreateRuleResponse* response) {
  FieldErrors errors;
  std::vector<accounting::NewRule> rules = {
      ReadNewRule(request->rule(), "rule", errors)};
  const accounting::RuleChange change = {
      .placement = ReadPlacement(request->placement(), errors),
      .validate_only = request->validate_only(),
      .deadline = RuleDeadline(*context, limits_)};
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  return ToGrpcStatus(Mutate(context, requests_, "CreateRule", *request,
                             response, [&]() -> absl::Status {
                               NFM_ASSIGN_OR_RETURN(
                                   const std::vector<kernel::Rule> created,
                                   rules_.Create(std::move(rules), change));
                               ToProto(created[0], response->mutable_rule());
                               return absl::OkStatus();
                             }));
}

grpc::Status RuleService::BatchCreateRules(
    grpc::ServerContext* context, const v1::BatchCreateRulesRequest* request,
    v1::BatchCreateRulesResponse* response) {
  FieldErrors errors;
  const absl::Status size = CheckBatchSize("rules", request->rules_size(),
                                           limits_.max_batch_size, errors);
  if (!size.ok()) return ToGrpcStatus(size);
  std::vector<accounting::NewRule> rules =
      ReadNewRules(request->rules(), errors);
  const accounting::RuleChange change = {
      .placement = ReadPlacement(request->placement(), errors),
      .validate_only = request->validate_only(),
      .deadline = RuleDeadline(*context, limits_)};
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  return ToGrpcStatus(Mutate(context, requests_, "BatchCreateRules", *request,
                             response, [&]() -> absl::Status {
                               NFM_ASSIGN_OR_RETURN(
                                   const std::vector<kernel::Rule> created,
                                   rules_.Create(std::move(rules), change));
                               ToProto(created, response->mutable_rules());
                               return absl::OkStatus();
                             }));
}

grpc::Status RuleService::GetRule(grpc::ServerContext* /*context*/,
                                  const v1::GetRuleRequest* request,
                                  v1::GetRuleResponse* response) {
  FieldErrors errors;
  CheckRuleId(request->id(), "id", errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const absl::StatusOr<kernel::Rule> rule = rules_.Get(request->id());
  if (!rule.ok()) return ToGrpcStatus(rule.status());
  ToProto(*rule, response->mutable_rule());
  return grpc::Status::OK;
}

grpc::Status RuleService::ListRules(grpc::ServerContext* /*context*/,
                                    const v1::ListRulesRequest* request,
                                    v1::ListRulesResponse* response) {
  FieldErrors errors;
  const accounting::RuleQuery query = {
      .filter = ReadRuleFilter(request->filter(), errors),
      .page_size = ReadPageSize(request->page_size(), limits_, errors),
      .page_token = request->page_token()};
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const absl::StatusOr<accounting::RulePage> page = rules_.List(query);
  if (!page.ok()) return ToGrpcStatus(page.status());
  ToProto(page->rules, response->mutable_rules());
  response->set_next_page_token(page->next_page_token);
  response->set_total_size(static_cast<int32_t>(page->total_size));
  return grpc::Status::OK;
}

grpc::Status RuleService::DeleteRule(grpc::ServerContext* context,
                                     const v1::DeleteRuleRequest* request,
                                     v1::DeleteRuleResponse* response) {
  FieldErrors errors;
  CheckRuleId(request->id(), "id", errors);
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const accounting::RuleChange change = {
      .validate_only = request->validate_only(),
      .deadline = RuleDeadline(*context, limits_)};
  return ToGrpcStatus(Mutate(context, requests_, "DeleteRule", *request,
                             response, [&]() -> absl::Status {
                               NFM_ASSIGN_OR_RETURN(
                                   const std::vector<kernel::Rule> deleted,
                                   rules_.Delete({request->id()}, change));
                               ToProto(deleted[0], response->mutable_rule());
                               return absl::OkStatus();
                             }));
}

grpc::Status RuleService::BatchDeleteRules(
    grpc::ServerContext* context, const v1::BatchDeleteRulesRequest* request,
    v1::BatchDeleteRulesResponse* response) {
  FieldErrors errors;
  const absl::Status size = CheckBatchSize("ids", request->ids_size(),
                                           limits_.max_batch_size, errors);
  if (!size.ok()) return ToGrpcStatus(size);
  const std::vector<std::string> ids = ReadRuleIds(request->ids(), errors);
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const accounting::RuleChange change = {
      .validate_only = request->validate_only(),
      .deadline = RuleDeadline(*context, limits_)};
  return ToGrpcStatus(Mutate(context, requests_, "BatchDeleteRules", *request,
                             response, [&]() -> absl::Status {
                               NFM_ASSIGN_OR_RETURN(
                                   const std::vector<kernel::Rule> deleted,
                                   rules_.Delete(ids, change));
                               ToProto(deleted, response->mutable_rules());
                               return absl::OkStatus();
                             }));
}

grpc::Status RuleService::ListChains(grpc::ServerContext* /*context*/,
                                     const v1::ListChainsRequest* request,
                                     v1::ListChainsResponse* response) {
  FieldErrors errors;
  const std::optional<kernel::Family> family =
      ReadFamily(request->family(), "family", errors);
  const std::optional<kernel::Table> table =
      ReadTable(request->table(), "table", errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const absl::StatusOr<std::vector<accounting::ChainSummary>> chains =
      rules_.ListChains(family, table);
  if (!chains.ok()) return ToGrpcStatus(chains.status());
  if (chains->size() > limits_.max_page_size) {
    return ToGrpcStatus(TooManyChains(chains->size(), limits_.max_page_size));
  }
  for (const accounting::ChainSummary& chain : *chains) {
    ToProto(chain, response->add_chains());
  }
  return grpc::Status::OK;
}

}  // namespace nfmeter::service
