// SPDX-License-Identifier: Apache-2.0
// The batch methods of Client.
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/src/batch.h"
#include "client/src/connection.h"
#include "client/src/status.h"
#include "google/rpc/status.pb.h"
#include "nfmeter/client.h"
#include "nfmeter/errors.h"

namespace nfmeter {
namespace {

using client_internal::ClientError;
using client_internal::Connection;
using client_internal::ProgressSentence;
using client_internal::SendBatch;
using client_internal::ShiftIndexes;
using client_internal::WithMessage;
using google::protobuf::RepeatedPtrField;

// Moves all of `from` to the end of `to`.
template <typename Item>
void Append(RepeatedPtrField<Item>* from, RepeatedPtrField<Item>* to) {
  if (to->empty()) {
    to->Swap(from);
    return;
  }
  to->Add(std::make_move_iterator(from->begin()),
          std::make_move_iterator(from->end()));
}

// Batches that return the error of a part.
template <typename Response, typename Stub, typename Request, typename Item,
          typename Result>
absl::StatusOr<Response> AllOrError(
    Connection& connection,
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, RepeatedPtrField<Item>* (Request::*items)(),
    absl::string_view items_name,
    RepeatedPtrField<Result>* (Response::*results)(),
    const CallOptions& options, const BatchProgress& progress) {
  Response all;
  const size_t total = (const_cast<Request&>(request).*items)()->size();
  const absl::Status status = SendBatch<Response>(
      connection, request, items,
      [&](const Request& part, const CallOptions& part_options) {
        return connection.Unary(method, part, part_options);
      },
      options, progress,
      [&](Response response, size_t) {
        Append((response.*results)(), (all.*results)());
        if constexpr (requires { all.mutable_notices(); }) {
          Append(response.mutable_notices(), all.mutable_notices());
        }
      },
      [&](absl::Status failure, size_t offset) {
        if (offset == 0) return failure;
        failure = ShiftIndexes(failure, items_name, offset);
        return WithMessage(failure, ProgressSentence(failure, offset, total));
      });
  if (!status.ok()) return status;
  return all;
}

google::rpc::Status ToProto(const absl::Status& status) {
  google::rpc::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(std::string(status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    auto* detail = proto.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(value));
  });
  return proto;
}

// Of each item, whether `failure`, of the part that begins at `first`, is about
// it. A failure that names none of them is about all.
std::vector<bool> Concerned(const absl::Status& failure,
                            const RepeatedPtrField<std::string>& names,
                            int first) {
  const std::map<std::string, std::string> metadata = ErrorMetadata(failure);
  const auto listed = metadata.find("counters");
  const absl::flat_hash_set<absl::string_view> named =
      listed == metadata.end() ? absl::flat_hash_set<absl::string_view>()
                               : absl::StrSplit(listed->second, ',');
  std::vector<bool> concerned(names.size());
  bool any = false;
  for (int i = first; i < names.size(); ++i) {
    concerned[i] = named.contains(names[i]);
    any |= concerned[i];
  }
  return any ? concerned : std::vector<bool>(names.size(), true);
}

absl::Status NotTried(const absl::Status& failure) {
  return ClientError(
      absl::StatusCode::kAborted, reason::kNotTried,
      absl::StrCat("not tried, as others of the batch were refused: ",
                   std::string(failure.message())),
      "Repeat it without those.");
}

// Batches whose answers must not get lost: after the first part, an error
// becomes the failure of all items that were not carried out.
template <typename Response, typename Request>
absl::StatusOr<Response> AnswersAndFailures(
    Connection& connection,
    grpc::Status (v1::CounterService::Stub::*method)(grpc::ClientContext*,
                                                     const Request&, Response*),
    const Request& request, const CallOptions& options,
    const BatchProgress& progress) {
  Response all;
  const absl::Status status = SendBatch<Response>(
      connection, request, &Request::mutable_names,
      [&](const Request& part, const CallOptions& part_options) {
        return connection.Unary(method, part, part_options);
      },
      options, progress,
      [&](Response response, size_t offset) {
        for (v1::BatchFailure& failure : *response.mutable_failures()) {
          failure.set_index(failure.index() + offset);
        }
        Append(response.mutable_counters(), all.mutable_counters());
        Append(response.mutable_failures(), all.mutable_failures());
      },
      [&](absl::Status failure, size_t offset) {
        if (offset == 0) return failure;
        const google::rpc::Status refused =
            ToProto(ShiftIndexes(failure, "names", offset));
        const google::rpc::Status not_tried = ToProto(NotTried(failure));
        const std::vector<bool> concerned =
            Concerned(failure, request.names(), offset);
        for (int i = offset; i < request.names_size(); ++i) {
          v1::BatchFailure* item = all.add_failures();
          item->set_index(i);
          item->set_name(request.names(i));
          *item->mutable_status() = concerned[i] ? refused : not_tried;
        }
        return absl::OkStatus();
      },
      client_internal::kSlowPartItems);
  if (!status.ok()) return status;
  return all;
}

}  // namespace

absl::StatusOr<v1::BatchCreateCountersResponse> Client::BatchCreateCounters(
    const v1::BatchCreateCountersRequest& request, const CallOptions& options,
    const BatchProgress& progress) {
  return AllOrError(
      *connection_, &v1::CounterService::Stub::BatchCreateCounters, request,
      &v1::BatchCreateCountersRequest::mutable_counters, "counters",
      &v1::BatchCreateCountersResponse::mutable_counters, options, progress);
}

absl::StatusOr<v1::BatchGetCountersResponse> Client::BatchGetCounters(
    const v1::BatchGetCountersRequest& request, const CallOptions& options,
    const BatchProgress& progress) {
  return AllOrError(*connection_, &v1::CounterService::Stub::BatchGetCounters,
                    request, &v1::BatchGetCountersRequest::mutable_names,
                    "names", &v1::BatchGetCountersResponse::mutable_counters,
                    options, progress);
}

absl::StatusOr<v1::BatchResetCountersResponse> Client::BatchResetCounters(
    const v1::BatchResetCountersRequest& request, const CallOptions& options,
    const BatchProgress& progress) {
  return AnswersAndFailures<v1::BatchResetCountersResponse>(
      *connection_, &v1::CounterService::Stub::BatchResetCounters, request,
      options, progress);
}

absl::StatusOr<v1::BatchDeleteCountersResponse> Client::BatchDeleteCounters(
    const v1::BatchDeleteCountersRequest& request, const CallOptions& options,
    const BatchProgress& progress) {
  return AnswersAndFailures<v1::BatchDeleteCountersResponse>(
      *connection_, &v1::CounterService::Stub::BatchDeleteCounters, request,
      options, progress);
}

absl::StatusOr<v1::BatchCreateRulesResponse> Client::BatchCreateRules(
    const v1::BatchCreateRulesRequest& request, const CallOptions& options,
    const BatchProgress& progress) {
  return AllOrError(*connection_, &v1::RuleService::Stub::BatchCreateRules,
                    request, &v1::BatchCreateRulesRequest::mutable_rules,
                    "rules", &v1::BatchCreateRulesResponse::mutable_rules,
                    options, progress);
}

absl::StatusOr<v1::BatchDeleteRulesResponse> Client::BatchDeleteRules(
    const v1::BatchDeleteRulesRequest& request, const CallOptions& options,
    const BatchProgress& progress) {
  return AllOrError(*connection_, &v1::RuleService::Stub::BatchDeleteRules,
                    request, &v1::BatchDeleteRulesRequest::mutable_ids, "ids",
                    &v1::BatchDeleteRulesResponse::mutable_rules, options,
                    progress);
}

}  // namespace nfmeter
