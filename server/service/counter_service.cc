#include "service/counter_service.h"

#include "base/status_macros.h"
#include "service/convert_counter.h"
#include "service/request_checks.h"
#include "service/status.h"
#include "service/validate_counter.h"

namespace nfmeter::service {
namespace {

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

}  // namespace

CounterService::CounterService(accounting::Counters& counters,
                               RequestCache& requests,
                               QuotaStreams& quota_streams,
                               const Limits& limits)
    : counters_(counters),
      requests_(requests),
      quota_streams_(quota_streams),
      limits_(limits) {}

grpc::Status CounterService::CreateCounter(
    grpc::ServerContext* context, const v1::CreateCounterRequest* request,
    v1::CreateCounterResponse* response) {
  FieldErrors errors;
  accounting::Counter counter =
      ReadNewCounter(request->counter(), "counter", errors);
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  return ToGrpcStatus(Mutate(
      context, requests_, "CreateCounter", *request, response,
      [&]() -> absl::Status {
        std::vector<accounting::Counter> counters = {std::move(counter)};
        NFM_ASSIGN_OR_RETURN(
            counters,
            counters_.Create(std::move(counters), request->validate_only()));
        ToProto(counters[0], response->mutable_counter());
        return absl::OkStatus();
      }));
}

grpc::Status CounterService::BatchCreateCounters(
    grpc::ServerContext* context, const v1::BatchCreateCountersRequest* request,
    v1::BatchCreateCountersResponse* response) {
  FieldErrors errors;
  const absl::Status size = CheckBatchSize("counters", request->counters_size(),
                                           limits_.max_batch_size, errors);
  if (!size.ok()) return ToGrpcStatus(size);
  std::vector<accounting::Counter> counters =
      ReadNewCounters(request->counters(), errors);
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  return ToGrpcStatus(Mutate(context, requests_, "BatchCreateCounters",
                             *request, response, [&]() -> absl::Status {
                               NFM_ASSIGN_OR_RETURN(
                                   counters,
                                   counters_.Create(std::move(counters),
                                                    request->validate_only()));
                               ToProto(counters, response->mutable_counters());
                               return absl::OkStatus();
                             }));
}

grpc::ServerUnaryReactor* CounterService::GetCounter(
    grpc::CallbackServerContext* context, const v1::GetCounterRequest* request,
    v1::GetCounterResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(
      ToGrpcStatus(ReadCounter(*request, response->mutable_counter())));
  return reactor;
}

absl::Status CounterService::ReadCounter(const v1::GetCounterRequest& request,
                                         v1::Counter* response) const {
  FieldErrors errors;
  const std::string name = ReadCounterName(request.name(), "name", errors);
  const absl::Duration max_staleness =
      ReadMaxStaleness(request.max_staleness(), errors);
  if (!errors.empty()) return errors.ToStatus();
  NFM_ASSIGN_OR_RETURN(const accounting::Counter counter,
                       counters_.Get(name, max_staleness));
  ToProto(counter, response);
  return absl::OkStatus();
}

grpc::Status CounterService::BatchGetCounters(
    grpc::ServerContext* /*context*/,
    const v1::BatchGetCountersRequest* request,
    v1::BatchGetCountersResponse* response) {
  FieldErrors errors;
  const absl::Status size = CheckBatchSize("names", request->names_size(),
                                           limits_.max_batch_size, errors);
  if (!size.ok()) return ToGrpcStatus(size);
  const std::vector<std::string> names =
      ReadCounterNames(request->names(), errors);
  const absl::Duration max_staleness =
      ReadMaxStaleness(request->max_staleness(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const absl::StatusOr<std::vector<accounting::Counter>> counters =
      counters_.GetMany(names, max_staleness);
  if (!counters.ok()) return ToGrpcStatus(counters.status());
  ToProto(*counters, response->mutable_counters());
  return grpc::Status::OK;
}

grpc::Status CounterService::ListCounters(
    grpc::ServerContext* /*context*/, const v1::ListCountersRequest* request,
    v1::ListCountersResponse* response) {
  FieldErrors errors;
  const accounting::CounterQuery query = {
      .filter = ReadCounterFilter(request->filter(), errors),
      .page_size = ReadPageSize(request->page_size(), limits_, errors),
      .page_token = request->page_token(),
      .max_staleness = ReadMaxStaleness(request->max_staleness(), errors)};
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const absl::StatusOr<accounting::CounterPage> page = counters_.List(query);
  if (!page.ok()) return ToGrpcStatus(page.status());
  ToProto(page->counters, response->mutable_counters());
  response->set_next_page_token(page->next_page_token);
  response->set_total_size(static_cast<int32_t>(page->total_size));
  return grpc::Status::OK;
}

grpc::Status CounterService::ResetCounter(
    grpc::ServerContext* context, const v1::ResetCounterRequest* request,
    v1::ResetCounterResponse* response) {
  FieldErrors errors;
  const accounting::CounterTarget target = {
      ReadCounterName(request->name(), "name", errors), request->etag()};
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  return ToGrpcStatus(
      Mutate(context, requests_, "ResetCounter", *request, response, [&] {
        return OnlyCounter(
            counters_.Reset({&target, 1}, request->validate_only()), response);
      }));
}

grpc::Status CounterService::BatchResetCounters(
    grpc::ServerContext* context, const v1::BatchResetCountersRequest* request,
    v1::BatchResetCountersResponse* response) {
  FieldErrors errors;
  const absl::Status size = CheckBatchSize("names", request->names_size(),
                                           limits_.max_batch_size, errors);
  if (!size.ok()) return ToGrpcStatus(size);
  const std::vector<accounting::CounterTarget> targets =
      ReadCounterTargets(request->names(), errors);
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  return ToGrpcStatus(
      Mutate(context, requests_, "BatchResetCounters", *request, response, [&] {
        return AllCounters(counters_.Reset(targets, request->validate_only()),
                           response);
      }));
}

grpc::Status CounterService::DeleteCounter(
    grpc::ServerContext* context, const v1::DeleteCounterRequest* request,
    v1::DeleteCounterResponse* response) {
  FieldErrors errors;
  const accounting::CounterTarget target = {
      ReadCounterName(request->name(), "name", errors), request->etag()};
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const accounting::CounterDeletion deletion = {
      .validate_only = request->validate_only(),
      .delete_managed_rules = request->delete_managed_rules(),
      .deadline = RuleDeadline(*context, limits_)};
  return ToGrpcStatus(
      Mutate(context, requests_, "DeleteCounter", *request, response, [&] {
        return OnlyCounter(counters_.Delete({&target, 1}, deletion), response);
      }));
}

grpc::Status CounterService::BatchDeleteCounters(
    grpc::ServerContext* context, const v1::BatchDeleteCountersRequest* request,
    v1::BatchDeleteCountersResponse* response) {
  FieldErrors errors;
  const absl::Status size = CheckBatchSize("names", request->names_size(),
                                           limits_.max_batch_size, errors);
  if (!size.ok()) return ToGrpcStatus(size);
  const std::vector<accounting::CounterTarget> targets =
      ReadCounterTargets(request->names(), errors);
  CheckRequestId(request->request_id(), errors);
  if (!errors.empty()) return ToGrpcStatus(errors.ToStatus());
  const accounting::CounterDeletion deletion = {
      .validate_only = request->validate_only(),
      .delete_managed_rules = request->delete_managed_rules(),
      .deadline = RuleDeadline(*context, limits_)};
  return ToGrpcStatus(Mutate(
      context, requests_, "BatchDeleteCounters", *request, response, [&] {
        return AllCounters(counters_.Delete(targets, deletion), response);
      }));
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* CounterService::WatchQuotaEvents(
    grpc::CallbackServerContext* /*context*/, const grpc::ByteBuffer* request) {
  return quota_streams_.Watch(request);
}

}  // namespace nfmeter::service
