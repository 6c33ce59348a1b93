// SPDX-License-Identifier: Apache-2.0
// The streams that resume by themselves: Client's methods, and what is behind
// each.
#include "nfmeter/watch.h"

#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "client/src/connection.h"
#include "client/src/resuming_stream.h"
#include "client/src/snapshot_stream.h"
#include "client/src/status_macros.h"
#include "nfmeter/client.h"

namespace nfmeter {
namespace client_internal {

class QuotaStream : public ResumingStream<v1::WatchQuotaEventsRequest,
                                          v1::WatchQuotaEventsResponse> {
 public:
  using ResumingStream::ResumingStream;

  absl::flat_hash_set<std::string> told;  // names of counters
};

class FlowStream
    : public ResumingStream<v1::WatchFlowsRequest, v1::WatchFlowsResponse> {
 public:
  using ResumingStream::ResumingStream;
};

class PlanStream : public ResumingStream<v1::WatchPlanStatusRequest,
                                         v1::WatchPlanStatusResponse> {
 public:
  using ResumingStream::ResumingStream;
};

}  // namespace client_internal

using client_internal::Connection;

const CounterRow* SnapshotFrame::Find(absl::string_view name) const {
  for (const CounterRow& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::unique_ptr<SnapshotWatch> Client::WatchSnapshots(
    const v1::WatchSnapshotsRequest& request, const WatchOptions& options) {
  return std::make_unique<SnapshotWatch>(
      std::make_unique<client_internal::SnapshotStream>(connection_, request,
                                                        options));
}

SnapshotWatch::SnapshotWatch(
    std::unique_ptr<client_internal::SnapshotStream> stream)
    : stream_(std::move(stream)) {}
SnapshotWatch::~SnapshotWatch() = default;
absl::StatusOr<SnapshotFrame> SnapshotWatch::Next() { return stream_->Next(); }
void SnapshotWatch::Cancel() { stream_->Cancel(); }

std::unique_ptr<QuotaWatch> Client::WatchQuotaEvents(
    const v1::WatchQuotaEventsRequest& request, const WatchOptions& options) {
  return std::make_unique<QuotaWatch>(
      std::make_unique<client_internal::QuotaStream>(
          connection_, request, options, &Connection::counters,
          &v1::CounterService::Stub::AsyncWatchQuotaEvents));
}

QuotaWatch::QuotaWatch(std::unique_ptr<client_internal::QuotaStream> stream)
    : stream_(std::move(stream)) {}
QuotaWatch::~QuotaWatch() = default;

absl::StatusOr<QuotaEvent> QuotaWatch::Next() {
  QuotaEvent event;
  NFM_RETURN_IF_ERROR(stream_->Read(&event.event).status());
  event.reconnects = stream_->reconnects();
  if (event.event.has_counter()) {
    const bool is_first =
        stream_->told.insert(event.event.counter().name()).second;
    event.repeated = !is_first && event.reconnects > 0 &&
                     event.event.kind() == v1::QUOTA_EVENT_KIND_STANDING;
  }
  return event;
}

void QuotaWatch::Cancel() { stream_->Cancel(); }

std::unique_ptr<FlowWatch> Client::WatchFlows(
    const v1::WatchFlowsRequest& request, const WatchOptions& options) {
  return std::make_unique<FlowWatch>(
      std::make_unique<client_internal::FlowStream>(
          connection_, request, options, &Connection::flows,
          &v1::FlowService::Stub::AsyncWatchFlows));
}

FlowWatch::FlowWatch(std::unique_ptr<client_internal::FlowStream> stream)
    : stream_(std::move(stream)) {}
FlowWatch::~FlowWatch() = default;

absl::StatusOr<FlowFrame> FlowWatch::Next() {
  FlowFrame frame;
  NFM_ASSIGN_OR_RETURN(const bool is_new_stream, stream_->Read(&frame.frame));
  frame.reconnects = stream_->reconnects();
  frame.gap = is_new_stream && frame.reconnects > 0;
  return frame;
}

void FlowWatch::Cancel() { stream_->Cancel(); }

std::unique_ptr<PlanWatch> Client::WatchPlanStatus(
    absl::string_view name, const WatchOptions& options) {
  v1::WatchPlanStatusRequest request;
  request.set_name(std::string(name));
  return std::make_unique<PlanWatch>(
      std::make_unique<client_internal::PlanStream>(
          connection_, request, options, &Connection::plans,
          &v1::PlanService::Stub::AsyncWatchPlanStatus));
}

PlanWatch::PlanWatch(std::unique_ptr<client_internal::PlanStream> stream)
    : stream_(std::move(stream)) {}
PlanWatch::~PlanWatch() = default;

absl::StatusOr<v1::PlanStatus> PlanWatch::Next() {
  v1::WatchPlanStatusResponse response;
  NFM_RETURN_IF_ERROR(stream_->Read(&response).status());
  return std::move(*response.mutable_status());
}

void PlanWatch::Cancel() { stream_->Cancel(); }

}  // namespace nfmeter
