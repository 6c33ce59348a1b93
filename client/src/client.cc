// SPDX-License-Identifier: Apache-2.0
#include "nfmeter/client.h"

#include <functional>
#include <utility>

#include "client/src/connection.h"
#include "client/src/status_macros.h"

namespace nfmeter {
namespace {

using client_internal::CheckText;
using client_internal::Connection;

// How often a list of rules is begun again because they changed meanwhile.
constexpr int kListRestarts = 3;

// Calls `method` page by page, until `page` returns false or there is no more.
// DATA_LOSS: the server gave the same page twice.
template <typename Response, typename Stub, typename Request>
absl::Status Pages(Connection& connection,
                   grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                const Request&, Response*),
                   Request request,
                   const std::function<bool(const Response&)>& page,
                   const CallOptions& options) {
  for (;;) {
    NFM_ASSIGN_OR_RETURN(const auto response,
                         connection.Unary(method, request, options));
    if (!page(response) || response.next_page_token().empty()) {
      return absl::OkStatus();
    }
    if (response.next_page_token() == request.page_token()) {
      return absl::DataLossError(
          "the server gave the same page token twice; the list would never "
          "end");
    }
    request.set_page_token(response.next_page_token());
  }
}

// All pages in one answer.
template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> AllPages(
    Connection& connection,
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, const CallOptions& options) {
  Response all;
  const absl::Status status =
      Pages(connection, method, request,
            std::function<bool(const Response&)>([&](const Response& page) {
              all.MergeFrom(page);
              return true;
            }),
            options);
  if (!status.ok()) return status;
  all.clear_next_page_token();
  return all;
}

// The object in an answer of a short form.
template <typename Response, typename Object>
absl::StatusOr<Object> Take(absl::StatusOr<Response> response,
                            Object* (Response::*object)()) {
  if (!response.ok()) return response.status();
  return std::move(*((*response).*object)());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(
    const ClientOptions& options) {
  NFM_ASSIGN_OR_RETURN(auto connection, Connection::Open(options));
  return std::make_unique<Client>(std::move(connection));
}

Client::Client(std::shared_ptr<Connection> connection)
    : connection_(std::move(connection)) {}

Client::~Client() = default;

const std::string& Client::address() const {
  return connection_->address().target;
}

absl::StatusOr<v1::Counter> Client::CreateCounter(absl::string_view name,
                                                  const CallOptions& options) {
  v1::CreateCounterRequest request;
  request.mutable_counter()->set_name(std::string(name));
  return Take(CreateCounter(request, options),
              &v1::CreateCounterResponse::mutable_counter);
}

absl::StatusOr<v1::CreateCounterResponse> Client::CreateCounter(
    const v1::CreateCounterRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::CounterService::Stub::CreateCounter, request,
                            options);
}

absl::StatusOr<v1::Counter> Client::GetCounter(absl::string_view name,
                                               const CallOptions& options) {
  v1::GetCounterRequest request;
  request.set_name(std::string(name));
  return Take(GetCounter(request, options),
              &v1::GetCounterResponse::mutable_counter);
}

absl::StatusOr<v1::GetCounterResponse> Client::GetCounter(
    const v1::GetCounterRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::CounterService::Stub::GetCounter, request,
                            options);
}

absl::StatusOr<v1::UpdateCounterResponse> Client::UpdateCounter(
    const v1::UpdateCounterRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::CounterService::Stub::UpdateCounter, request,
                            options);
}

absl::StatusOr<v1::Counter> Client::ResetCounter(absl::string_view name,
                                                 const CallOptions& options) {
  v1::ResetCounterRequest request;
  request.set_name(std::string(name));
  return Take(ResetCounter(request, options),
              &v1::ResetCounterResponse::mutable_counter);
}

absl::StatusOr<v1::ResetCounterResponse> Client::ResetCounter(
    const v1::ResetCounterRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::CounterService::Stub::ResetCounter, request,
                            options);
}

absl::StatusOr<v1::Counter> Client::DeleteCounter(absl::string_view name,
                                                  const CallOptions& options) {
  v1::DeleteCounterRequest request;
  request.set_name(std::string(name));
  return Take(DeleteCounter(request, options),
              &v1::DeleteCounterResponse::mutable_counter);
}

absl::StatusOr<v1::DeleteCounterResponse> Client::DeleteCounter(
    const v1::DeleteCounterRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::CounterService::Stub::DeleteCounter, request,
                            options);
}

absl::StatusOr<std::vector<v1::Counter>> Client::ListCounters(
    absl::string_view name_glob, const CallOptions& options) {
  v1::ListCountersRequest request;
  request.mutable_filter()->set_name_glob(std::string(name_glob));
  NFM_ASSIGN_OR_RETURN(auto response, ListCounters(request, options));
  return std::vector<v1::Counter>(
      std::make_move_iterator(response.mutable_counters()->begin()),
      std::make_move_iterator(response.mutable_counters()->end()));
}

absl::StatusOr<v1::ListCountersResponse> Client::ListCounters(
    const v1::ListCountersRequest& request, const CallOptions& options) {
  return AllPages(*connection_, &v1::CounterService::Stub::ListCounters,
                  request, options);
}

absl::Status Client::ListCounterPages(
    const v1::ListCountersRequest& request,
    const std::function<bool(const v1::ListCountersResponse&)>& page,
    const CallOptions& options) {
  return Pages(*connection_, &v1::CounterService::Stub::ListCounters, request,
               page, options);
}

absl::StatusOr<v1::Rule> Client::CreateRule(const v1::Rule& rule,
                                            const CallOptions& options) {
  v1::CreateRuleRequest request;
  *request.mutable_rule() = rule;
  return Take(CreateRule(request, options),
              &v1::CreateRuleResponse::mutable_rule);
}

absl::StatusOr<v1::CreateRuleResponse> Client::CreateRule(
    const v1::CreateRuleRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::RuleService::Stub::CreateRule, request,
                            options);
}

absl::StatusOr<v1::Rule> Client::GetRule(absl::string_view id,
                                         const CallOptions& options) {
  v1::GetRuleRequest request;
  request.set_id(std::string(id));
  return Take(
      connection_->Unary(&v1::RuleService::Stub::GetRule, request, options),
      &v1::GetRuleResponse::mutable_rule);
}

absl::StatusOr<v1::Rule> Client::DeleteRule(absl::string_view id,
                                            const CallOptions& options) {
  v1::DeleteRuleRequest request;
  request.set_id(std::string(id));
  return Take(DeleteRule(request, options),
              &v1::DeleteRuleResponse::mutable_rule);
}

absl::StatusOr<v1::DeleteRuleResponse> Client::DeleteRule(
    const v1::DeleteRuleRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::RuleService::Stub::DeleteRule, request,
                            options);
}

absl::StatusOr<v1::ListRulesResponse> Client::ListRules(
    const v1::ListRulesRequest& request, const CallOptions& options) {
  for (int restarts = 0;; ++restarts) {
    auto all = AllPages(*connection_, &v1::RuleService::Stub::ListRules,
                        request, options);
    if (!absl::IsAborted(all.status()) || restarts == kListRestarts) return all;
  }
}

absl::Status Client::ListRulePages(
    const v1::ListRulesRequest& request,
    const std::function<bool(const v1::ListRulesResponse&)>& page,
    const CallOptions& options) {
  return Pages(*connection_, &v1::RuleService::Stub::ListRules, request, page,
               options);
}

absl::StatusOr<v1::ListChainsResponse> Client::ListChains(
    const v1::ListChainsRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::RuleService::Stub::ListChains, request,
                            options);
}

absl::StatusOr<v1::ApplyPlanResponse> Client::ApplyPlan(
    const v1::ApplyPlanRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::PlanService::Stub::ApplyPlan, request,
                            options);
}

absl::StatusOr<v1::GetPlanResponse> Client::GetPlan(
    absl::string_view name, const CallOptions& options) {
  v1::GetPlanRequest request;
  request.set_name(std::string(name));
  return connection_->Unary(&v1::PlanService::Stub::GetPlan, request, options);
}

absl::StatusOr<v1::ListPlansResponse> Client::ListPlans(
    const CallOptions& options) {
  return AllPages(*connection_, &v1::PlanService::Stub::ListPlans,
                  v1::ListPlansRequest(), options);
}

absl::StatusOr<v1::DeletePlanResponse> Client::DeletePlan(
    const v1::DeletePlanRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::PlanService::Stub::DeletePlan, request,
                            options);
}

absl::StatusOr<v1::ExportPlanResponse> Client::ExportPlan(
    absl::string_view name, const CallOptions& options) {
  v1::ExportPlanRequest request;
  request.set_name(std::string(name));
  return connection_->Unary(&v1::PlanService::Stub::ExportPlan, request,
                            options);
}

absl::StatusOr<v1::PlanStatus> Client::GetPlanStatus(
    absl::string_view name, const CallOptions& options) {
  v1::GetPlanStatusRequest request;
  request.set_name(std::string(name));
  return Take(connection_->Unary(&v1::PlanService::Stub::GetPlanStatus, request,
                                 options),
              &v1::GetPlanStatusResponse::mutable_status);
}

absl::StatusOr<v1::SummarizeFlowsResponse> Client::SummarizeFlows(
    const v1::SummarizeFlowsRequest& request, const CallOptions& options) {
  return connection_->Unary(&v1::FlowService::Stub::SummarizeFlows, request,
                            options);
}

absl::StatusOr<v1::ListFlowsResponse> Client::ListFlows(
    const v1::ListFlowsRequest& request, const CallOptions& options) {
  NFM_RETURN_IF_ERROR(CheckText(request));
  const auto stub = connection_->stub<v1::FlowService::Stub>();
  v1::ListFlowsResponse all;
  const absl::Status status =
      connection_->Call(options, [&](grpc::ClientContext* context) {
        all.Clear();
        const auto reader = stub->ListFlows(context, request);
        v1::ListFlowsResponse chunk;
        while (reader->Read(&chunk)) {
          for (v1::Flow& flow : *chunk.mutable_flows()) {
            *all.add_flows() = std::move(flow);
          }
          if (chunk.has_reading())
            chunk.mutable_reading()->Swap(all.mutable_reading());
        }
        return reader->Finish();
      });
  if (!status.ok()) return status;
  if (!all.has_reading()) {
    return absl::DataLossError("the list of flows ended early");
  }
  return all;
}

absl::StatusOr<v1::ListUsageResponse> Client::ListUsage(
    const v1::ListUsageRequest& request, const CallOptions& options) {
  return AllPages(*connection_, &v1::UsageService::Stub::ListUsage, request,
                  options);
}

absl::Status Client::ListUsagePages(
    const v1::ListUsageRequest& request,
    const std::function<bool(const v1::ListUsageResponse&)>& page,
    const CallOptions& options) {
  return Pages(*connection_, &v1::UsageService::Stub::ListUsage, request, page,
               options);
}

absl::StatusOr<v1::ListGapsResponse> Client::ListGaps(
    const v1::ListGapsRequest& request, const CallOptions& options) {
  return AllPages(*connection_, &v1::UsageService::Stub::ListGaps, request,
                  options);
}

absl::Status Client::ListGapPages(
    const v1::ListGapsRequest& request,
    const std::function<bool(const v1::ListGapsResponse&)>& page,
    const CallOptions& options) {
  return Pages(*connection_, &v1::UsageService::Stub::ListGaps, request, page,
               options);
}

absl::StatusOr<v1::ListConsumersResponse> Client::ListConsumers(
    const CallOptions& options) {
  return connection_->Unary(&v1::UsageService::Stub::ListConsumers,
                            v1::ListConsumersRequest(), options);
}

absl::Status Client::DeleteConsumer(absl::string_view name,
                                    const CallOptions& options) {
  v1::DeleteConsumerRequest request;
  request.set_name(std::string(name));
  return connection_
      ->Unary<v1::DeleteConsumerResponse>(
          &v1::UsageService::Stub::DeleteConsumer, request, options)
      .status();
}

absl::Status UsageCollector::Run(const Store& store) {
  for (;;) {
    NFM_ASSIGN_OR_RETURN(const CollectedRecord collected, Next());
    NFM_RETURN_IF_ERROR(store(collected));
    Acknowledge(collected.record.position());
  }
}

absl::StatusOr<v1::Node> Client::GetNode(const CallOptions& options) {
  return Take(connection_->Unary(&v1::NodeService::Stub::GetNode,
                                 v1::GetNodeRequest(), options),
              &v1::GetNodeResponse::mutable_node);
}

}  // namespace nfmeter
