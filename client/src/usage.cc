// SPDX-License-Identifier: Apache-2.0
// Client's methods of usage, and UsageCollector.
#include "nfmeter/usage.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "client/src/connection.h"
#include "client/src/pages.h"
#include "client/src/status_macros.h"
#include "client/src/usage_stream.h"
#include "nfmeter/client.h"

namespace nfmeter {

using client_internal::AllPages;
using client_internal::Pages;
using client_internal::UsageStream;

absl::StatusOr<v1::ListUsageResponse> Client::ListUsage(
    const v1::ListUsageRequest& request, const CallOptions& options) {
  return AllPages(*connection_, connection_->usage(),
                  &v1::UsageService::Stub::ListUsage, request, options);
}

absl::Status Client::ListUsagePages(
    const v1::ListUsageRequest& request,
    const std::function<bool(const v1::ListUsageResponse&)>& page,
    const CallOptions& options) {
  return Pages(*connection_, connection_->usage(),
               &v1::UsageService::Stub::ListUsage, request, page, options);
}

absl::StatusOr<v1::ListGapsResponse> Client::ListGaps(
    const v1::ListGapsRequest& request, const CallOptions& options) {
  return AllPages(*connection_, connection_->usage(),
                  &v1::UsageService::Stub::ListGaps, request, options);
}

absl::Status Client::ListGapPages(
    const v1::ListGapsRequest& request,
    const std::function<bool(const v1::ListGapsResponse&)>& page,
    const CallOptions& options) {
  return Pages(*connection_, connection_->usage(),
               &v1::UsageService::Stub::ListGaps, request, page, options);
}

absl::StatusOr<v1::ListConsumersResponse> Client::ListConsumers(
    const CallOptions& options) {
  return connection_->Unary(connection_->usage(),
                            &v1::UsageService::Stub::ListConsumers,
                            v1::ListConsumersRequest(), options);
}

absl::Status Client::DeleteConsumer(absl::string_view name,
                                    const CallOptions& options) {
  v1::DeleteConsumerRequest request;
  request.set_name(std::string(name));
  return connection_
      ->Unary<v1::DeleteConsumerResponse>(
          connection_->usage(), &v1::UsageService::Stub::DeleteConsumer,
          request, options)
      .status();
}

std::unique_ptr<UsageCollector> Client::CollectUsage(
    const v1::CollectUsageStart& start, const CollectOptions& options) {
  return std::make_unique<UsageCollector>(
      std::make_unique<UsageStream>(connection_, start, options));
}

UsageCollector::UsageCollector(std::unique_ptr<UsageStream> stream)
    : stream_(std::move(stream)) {}

UsageCollector::~UsageCollector() = default;

absl::StatusOr<CollectedRecord> UsageCollector::Next() {
  return stream_->Next();
}

void UsageCollector::Acknowledge(const v1::UsagePosition& position) {
  stream_->Acknowledge(position);
}

absl::Status UsageCollector::Run(const Store& store) {
  for (;;) {
    NFM_ASSIGN_OR_RETURN(const CollectedRecord collected, Next());
    NFM_RETURN_IF_ERROR(store(collected));
    Acknowledge(collected.record.position());
  }
}

void UsageCollector::Cancel() { stream_->Cancel(); }

}  // namespace nfmeter
