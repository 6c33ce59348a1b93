// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/counter/counter_service.h"

#include "base/error.h"
#include "base/status_macros.h"
#include "security/access/access.h"
#include "service/counter/validate_counter.h"
#include "service/gate/counter_message.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"

namespace nfmeter::service {
namespace {

// An answer repeats what the request says of a counter, and adds about this
// much: the time of reading, the etag and the numbers.
constexpr size_t kAddedBytes = 64;

// The one counter of a batch of one, or why it failed.
template <typename Response>
absl::Status OnlyCounter(const absl::StatusOr<accounting::CounterBatch>& batch,
                         Response* response) {
  NFM_RETURN_IF_ERROR(batch.status());
  if (!batch->failures.empty()) return batch->failures[0].status;
  ToProto(batch->counters[0], response->mutable_counter());
  return absl::OkStatus();
}

template <typename Response>
absl::Status AllCounters(const absl::StatusOr<accounting::CounterBatch>& batch,
                         Response* response) {
  NFM_RETURN_IF_ERROR(batch.status());
  ToProto(batch->counters, response->mutable_counters());
  ToProto(batch->failures, response->mutable_failures());
  return absl::OkStatus();
}

const std::string& ObjectName(const accounting::Counter& counter) {
  return counter.object.name;
}

}  // namespace

CounterService::CounterService(Gate& gate, accounting::Counters& counters,
                               accounting::CounterEditor& counter_editor,
                               RequestCache& requests,
                               QuotaStreams& quota_streams,
                               const Limits& limits)
    : GatedService(gate),
      counters_(counters),
      counter_editor_(counter_editor),
      requests_(requests),
      quota_streams_(quota_streams),
      limits_(limits) {
  Unary("CreateCounter", &CounterService::CreateCounter);
  Unary("BatchCreateCounters", &CounterService::BatchCreateCounters);
  Unary("GetCounter", &CounterService::GetCounter);
  Unary("BatchGetCounters", &CounterService::BatchGetCounters);
  Unary("ListCounters", &CounterService::ListCounters);
  Unary("UpdateCounter", &CounterService::UpdateCounter);
  Unary("ResetCounter", &CounterService::ResetCounter);
  Unary("BatchResetCounters", &CounterService::BatchResetCounters);
  Unary("DeleteCounter", &CounterService::DeleteCounter);
  Unary("BatchDeleteCounters", &CounterService::BatchDeleteCounters);
  Stream("WatchQuotaEvents", &CounterService::WatchQuotaEvents);
}

template <typename Request>
absl::StatusOr<accounting::CounterDeletion> CounterService::ReadDeletion(
    const Call& call, const Request& request,
    absl::Span<const accounting::CounterTarget> targets) const {
  accounting::CounterDeletion deletion = {
      .validate_only = request.validate_only(),
      .delete_managed_rules = request.delete_managed_rules(),
      .patience = RulePatience(call, limits_)};
  if (!deletion.delete_managed_rules) return deletion;
  // The caller needs the rights to delete these rules one by one.
  const auto deleter = [&]() -> absl::StatusOr<Call> {
    Call deletes_rules = call;
    NFM_ASSIGN_OR_RETURN(
        deletes_rules.caller,
        gate().authorizer().AuthorizeAgain(
            *call.caller,
            *security::FindMethod("nfmeter.v1.RuleService/DeleteRule")));
    NFM_RETURN_IF_ERROR(
        CheckScope(deletes_rules, targets, &accounting::CounterTarget::name));
    return deletes_rules;
  }();
  if (!deleter.ok()) {
    return Annotate(deleter.status(), "delete_managed_rules");
  }
  deletion.counting_rules_only = !deleter->MayDecide();
  return deletion;
}

absl::Status CounterService::CreateCounter(
    const Call& call, const v1::CreateCounterRequest& request,
    v1::CreateCounterResponse* response) {
  FieldErrors errors;
  accounting::Counter counter =
      ReadNewCounter(request.counter(), "counter", errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, {counter.object.name}));
  return Mutate(
      call, requests_, "CreateCounter", request, response,
      [&]() -> absl::Status {
        std::vector<accounting::Counter> counters = {std::move(counter)};
        NFM_ASSIGN_OR_RETURN(
            counters,
            counter_editor_.Create(std::move(counters), request.validate_only(),
                                   call.scope()));
        ToProto(counters[0], response->mutable_counter());
        return absl::OkStatus();
      });
}

absl::Status CounterService::BatchCreateCounters(
    const Call& call, const v1::BatchCreateCountersRequest& request,
    v1::BatchCreateCountersResponse* response) {
  FieldErrors errors;
  NFM_RETURN_IF_ERROR(CheckBatchSize("counters", request.counters_size(),
                                     limits_.max_batch_size, errors));
  std::vector<accounting::Counter> counters =
      ReadNewCounters(request.counters(), errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, counters, ObjectName));
  NFM_RETURN_IF_ERROR(CheckAnswerSize(
      request.ByteSizeLong() + request.counters_size() * kAddedBytes,
      call.max_answer_bytes));
  return Mutate(call, requests_, "BatchCreateCounters", request, response,
                [&]() -> absl::Status {
                  NFM_ASSIGN_OR_RETURN(
                      counters, counter_editor_.Create(std::move(counters),
                                                       request.validate_only(),
                                                       call.scope()));
                  ToProto(counters, response->mutable_counters());
                  return absl::OkStatus();
                });
}

absl::Status CounterService::GetCounter(const Call& call,
                                        const v1::GetCounterRequest& request,
                                        v1::GetCounterResponse* response) {
  FieldErrors errors;
  const std::string name = ReadCounterName(request.name(), "name", errors);
  const absl::Duration max_staleness =
      ReadMaxStaleness(request.max_staleness(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, {name}));
  NFM_ASSIGN_OR_RETURN(const accounting::Counter counter,
                       counters_.Get(name, max_staleness));
  ToProto(counter, response->mutable_counter());
  return absl::OkStatus();
}

absl::Status CounterService::BatchGetCounters(
    const Call& call, const v1::BatchGetCountersRequest& request,
    v1::BatchGetCountersResponse* response) {
  FieldErrors errors;
  NFM_RETURN_IF_ERROR(CheckBatchSize("names", request.names_size(),
                                     limits_.max_batch_size, errors));
  const std::vector<std::string> names =
      ReadCounterNames(request.names(), errors);
  const absl::Duration max_staleness =
      ReadMaxStaleness(request.max_staleness(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, names));
  NFM_ASSIGN_OR_RETURN(const std::vector<accounting::Counter> counters,
                       counters_.GetMany(names, max_staleness));
  ToProto(counters, response->mutable_counters());
  return absl::OkStatus();
}

absl::Status CounterService::ListCounters(
    const Call& call, const v1::ListCountersRequest& request,
    v1::ListCountersResponse* response) {
  FieldErrors errors;
  const accounting::CounterQuery query = {
      .filter = ReadCounterFilter(request.filter(), call.scope(), errors),
      .page_size = ReadPageSize(request.page_size(), limits_, errors),
      .page_token = request.page_token(),
      .max_bytes = call.max_answer_bytes,
      .max_staleness = ReadMaxStaleness(request.max_staleness(), errors)};
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_ASSIGN_OR_RETURN(const accounting::CounterPage page,
                       counters_.List(query));
  ToProto(page.counters, response->mutable_counters());
  response->set_next_page_token(page.next_page_token);
  response->set_total_size(static_cast<int32_t>(page.total_size));
  return absl::OkStatus();
}

absl::Status CounterService::UpdateCounter(
    const Call& call, const v1::UpdateCounterRequest& request,
    v1::UpdateCounterResponse* response) {
  FieldErrors errors;
  accounting::CounterUpdate update = ReadCounterUpdate(request, errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, {update.target.name}));
  update.counting_only = !call.MayDecide();
  update.scope = call.scope();
  update.patience = RulePatience(call, limits_);
  return Mutate(call, requests_, "UpdateCounter", request, response,
                [&]() -> absl::Status {
                  NFM_ASSIGN_OR_RETURN(const accounting::Counter counter,
                                       counter_editor_.Update(update));
                  ToProto(counter, response->mutable_counter());
                  return absl::OkStatus();
                });
}

absl::Status CounterService::ResetCounter(
    const Call& call, const v1::ResetCounterRequest& request,
    v1::ResetCounterResponse* response) {
  FieldErrors errors;
  const accounting::CounterTarget target = {
      ReadCounterName(request.name(), "name", errors), request.etag()};
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, {target.name}));
  return Mutate(call, requests_, "ResetCounter", request, response, [&] {
    return OnlyCounter(
        counter_editor_.Reset({&target, 1}, request.validate_only()), response);
  });
}

absl::Status CounterService::BatchResetCounters(
    const Call& call, const v1::BatchResetCountersRequest& request,
    v1::BatchResetCountersResponse* response) {
  FieldErrors errors;
  NFM_RETURN_IF_ERROR(CheckBatchSize("names", request.names_size(),
                                     limits_.max_batch_size, errors));
  const std::vector<accounting::CounterTarget> targets =
      ReadCounterTargets(request.names(), errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(
      CheckScope(call, targets, &accounting::CounterTarget::name));
  NFM_RETURN_IF_ERROR(
      CheckAnswerSize(counters_.AnswerBytes(targets), call.max_answer_bytes));
  return Mutate(call, requests_, "BatchResetCounters", request, response, [&] {
    return AllCounters(counter_editor_.Reset(targets, request.validate_only()),
                       response);
  });
}

absl::Status CounterService::DeleteCounter(
    const Call& call, const v1::DeleteCounterRequest& request,
    v1::DeleteCounterResponse* response) {
  FieldErrors errors;
  const accounting::CounterTarget target = {
      ReadCounterName(request.name(), "name", errors), request.etag()};
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(CheckScope(call, {target.name}));
  NFM_ASSIGN_OR_RETURN(const accounting::CounterDeletion deletion,
                       ReadDeletion(call, request, {&target, 1}));
  return Mutate(call, requests_, "DeleteCounter", request, response, [&] {
    return OnlyCounter(counter_editor_.Delete({&target, 1}, deletion),
                       response);
  });
}

absl::Status CounterService::BatchDeleteCounters(
    const Call& call, const v1::BatchDeleteCountersRequest& request,
    v1::BatchDeleteCountersResponse* response) {
  FieldErrors errors;
  NFM_RETURN_IF_ERROR(CheckBatchSize("names", request.names_size(),
                                     limits_.max_batch_size, errors));
  const std::vector<accounting::CounterTarget> targets =
      ReadCounterTargets(request.names(), errors);
  CheckRequestId(request.request_id(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  NFM_RETURN_IF_ERROR(
      CheckScope(call, targets, &accounting::CounterTarget::name));
  NFM_ASSIGN_OR_RETURN(const accounting::CounterDeletion deletion,
                       ReadDeletion(call, request, targets));
  NFM_RETURN_IF_ERROR(
      CheckAnswerSize(counters_.AnswerBytes(targets), call.max_answer_bytes));
  return Mutate(call, requests_, "BatchDeleteCounters", request, response, [&] {
    return AllCounters(counter_editor_.Delete(targets, deletion), response);
  });
}

absl::Status CounterService::WatchQuotaEvents(
    const Call& call, const v1::WatchQuotaEventsRequest& request) {
  return quota_streams_.Watch(call, request);
}

}  // namespace nfmeter::service
