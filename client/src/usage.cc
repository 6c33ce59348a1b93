// SPDX-License-Identifier: Apache-2.0
// Client's methods of usage but CollectUsage(), see usage_stream.cc.
#include "nfmeter/usage.h"

#include <string>

#include "absl/status/status.h"
#include "client/src/connection.h"
#include "client/src/pages.h"
#include "client/src/status_macros.h"
#include "nfmeter/client.h"

namespace nfmeter {

using client_internal::AllPages;
using client_internal::Pages;

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

}  // namespace nfmeter
