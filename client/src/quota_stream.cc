// SPDX-License-Identifier: Apache-2.0
#include "client/src/quota_stream.h"

#include <utility>

namespace nfmeter::client_internal {

QuotaStream::QuotaStream(std::shared_ptr<Connection> connection,
                         const v1::WatchQuotaEventsRequest& request,
                         const WatchOptions& options)
    : request_(request),
      stream_(connection, options, absl::InfiniteDuration(),
              [this, connection](grpc::ClientContext* context,
                                 grpc::CompletionQueue* queue, void* tag) {
                return connection->counters()->AsyncWatchQuotaEvents(
                    context, request_, queue, tag);
              }),
      final_(CheckText(request)) {}

absl::StatusOr<QuotaEvent> QuotaStream::Next() {
  if (!final_.ok()) return final_;
  QuotaEvent event;
  const absl::StatusOr<bool> is_new_stream = stream_.Read(&event.event);
  if (!is_new_stream.ok()) {
    final_ = is_new_stream.status();
    return final_;
  }
  if (*is_new_stream) streams_ = streams_.has_value() ? *streams_ + 1 : 0;
  event.reconnects = *streams_;
  if (event.event.has_counter()) {
    const bool is_first = told_.insert(event.event.counter().name()).second;
    event.repeated = !is_first && event.reconnects > 0 &&
                     event.event.kind() == v1::QUOTA_EVENT_KIND_STANDING;
  }
  return event;
}

}  // namespace nfmeter::client_internal
