// SPDX-License-Identifier: Apache-2.0
// The streams that resume by themselves: Client's methods, and what is behind
// each.
#include "nfmeter/watch.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "client/src/columns.h"
#include "client/src/connection.h"
#include "client/src/proto_time.h"
#include "client/src/resuming_stream.h"
#include "client/src/snapshot_table.h"
#include "client/src/status_macros.h"
#include "nfmeter/client.h"

namespace nfmeter {
namespace {

using client_internal::ChunkOrder;
using client_internal::Connection;
using client_internal::ResumingStream;
using client_internal::SnapshotTable;

// --- Snapshots

// What the server takes when the request leaves them empty; see
// WatchSnapshotsRequest.
constexpr absl::Duration kDefaultInterval = absl::Seconds(1);
constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(10);

absl::Duration OrDefault(const google::protobuf::Duration& duration,
                         absl::Duration value) {
  const absl::Duration given = FromProto(duration);
  return given > absl::ZeroDuration() ? given : value;
}

v1::WatchSnapshotsRequest WithView(v1::WatchSnapshotsRequest request) {
  if (request.view() == v1::SNAPSHOT_VIEW_UNSPECIFIED) {
    request.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
  }
  return request;
}

// How long a stream may be silent before it is taken for dead.
absl::Duration StallTimeout(const v1::WatchSnapshotsRequest& request,
                            const WatchOptions& options) {
  if (options.stall_timeout > absl::ZeroDuration()) {
    return options.stall_timeout;
  }
  absl::Duration silence = OrDefault(request.interval(), kDefaultInterval);
  if (request.changed_only()) {
    silence =
        std::max(silence, OrDefault(request.heartbeat(), kDefaultHeartbeat));
  }
  return 3 * silence + absl::Seconds(10);
}

// Collects the chunks of frames, asks new streams to go on after the last
// whole frame, and keeps the table.
class SnapshotStream final : public SnapshotWatch {
 public:
  SnapshotStream(std::shared_ptr<Connection> connection,
                 const v1::WatchSnapshotsRequest& request,
                 const WatchOptions& options)
      : stream_(std::move(connection), WithView(request), options,
                &v1::SnapshotService::Stub::AsyncWatchSnapshots,
                StallTimeout(request, options)) {}

  absl::StatusOr<SnapshotFrame> Next() override {
    if (!final_.ok()) return final_;
    final_ = ReadFrame();
    if (final_.ok()) final_ = table_.Apply(chunks_);
    if (!final_.ok()) return final_;
    return Finish();
  }
  void Cancel() override { stream_.Cancel(); }

 private:
  absl::Status ReadFrame();
  SnapshotFrame Finish();

  ResumingStream<v1::WatchSnapshotsRequest, v1::WatchSnapshotsResponse> stream_;
  SnapshotTable table_;
  absl::Status final_;  // not OK: what Next() returns from now on

  // The frame that is being received.
  ChunkOrder order_;
  SnapshotTable::Chunks chunks_;
  uint64_t missed_frames_ = 0;

  std::optional<uint64_t> last_epoch_;
  absl::Duration last_boottime_;
};

absl::Status SnapshotStream::ReadFrame() {
  chunks_.clear();
  missed_frames_ = 0;
  do {
    auto message = std::make_shared<v1::WatchSnapshotsResponse>();
    NFM_ASSIGN_OR_RETURN(const bool is_new_stream, stream_.Read(message.get()));
    if (is_new_stream) {
      table_.StartStream();
      order_ = ChunkOrder();
      chunks_.clear();
      missed_frames_ = 0;
    } else if (chunks_.empty() && message->frame().epoch() != last_epoch_) {
      table_.StartStream();  // its ids are of other counters
    }
    NFM_RETURN_IF_ERROR(order_.Accept(message->frame()));
    missed_frames_ = std::max(missed_frames_, message->missed_frames());
    const v1::SnapshotFrame* frame = &message->frame();
    chunks_.emplace_back(std::move(message), frame);
  } while (!order_.between_frames());
  return absl::OkStatus();
}

SnapshotFrame SnapshotStream::Finish() {
  const v1::SnapshotFrame& last = *chunks_.back();
  SnapshotFrame frame;
  frame.epoch = last.epoch();
  frame.sequence = last.sequence();
  frame.wall_time = FromProto(last.wall_time());
  frame.boottime = FromProto(last.boottime());
  frame.complete = last.complete();
  frame.rows = table_.rows();
  frame.changed = table_.changed();
  frame.removed = table_.removed();
  frame.missed_frames = missed_frames_;
  frame.reconnects = stream_.reconnects();
  if (last_epoch_.has_value()) {
    frame.epoch_changed = *last_epoch_ != frame.epoch;
    frame.elapsed =
        std::max(frame.boottime - last_boottime_, absl::ZeroDuration());
  }
  last_epoch_ = frame.epoch;
  last_boottime_ = frame.boottime;
  v1::SnapshotPosition& after = *stream_.request().mutable_resume_after();
  after.set_epoch(frame.epoch);
  after.set_sequence(frame.sequence);
  return frame;
}

// --- Streams of single messages

template <typename Item, typename Request, typename Response>
class MessageStream : public Watch<Item> {
 public:
  // See ResumingStream.
  template <typename Method>
  MessageStream(std::shared_ptr<Connection> connection, const Request& request,
                const WatchOptions& options, Method method)
      : stream_(std::move(connection), request, options, method) {}

  void Cancel() override { stream_.Cancel(); }

 protected:
  ResumingStream<Request, Response> stream_;
};

class QuotaStream final
    : public MessageStream<QuotaEvent, v1::WatchQuotaEventsRequest,
                           v1::WatchQuotaEventsResponse> {
 public:
  using MessageStream::MessageStream;

  absl::StatusOr<QuotaEvent> Next() override {
    QuotaEvent event;
    NFM_RETURN_IF_ERROR(stream_.Read(&event.event).status());
    event.reconnects = stream_.reconnects();
    if (event.event.has_counter()) {
      const bool is_first = told_.insert(event.event.counter().name()).second;
      event.repeated = !is_first && event.reconnects > 0 &&
                       event.event.kind() == v1::QUOTA_EVENT_KIND_STANDING;
    }
    return event;
  }

 private:
  absl::flat_hash_set<std::string> told_;  // names of counters
};

class FlowStream final : public MessageStream<FlowFrame, v1::WatchFlowsRequest,
                                              v1::WatchFlowsResponse> {
 public:
  using MessageStream::MessageStream;

  absl::StatusOr<FlowFrame> Next() override {
    FlowFrame frame;
    NFM_ASSIGN_OR_RETURN(const bool is_new_stream, stream_.Read(&frame.frame));
    frame.reconnects = stream_.reconnects();
    frame.gap = is_new_stream && frame.reconnects > 0;
    return frame;
  }
};

class PlanStream final
    : public MessageStream<v1::PlanStatus, v1::WatchPlanStatusRequest,
                           v1::WatchPlanStatusResponse> {
 public:
  using MessageStream::MessageStream;

  absl::StatusOr<v1::PlanStatus> Next() override {
    v1::WatchPlanStatusResponse response;
    NFM_RETURN_IF_ERROR(stream_.Read(&response).status());
    return std::move(*response.mutable_status());
  }
};

}  // namespace

const CounterRow* SnapshotFrame::Find(absl::string_view name) const {
  for (const CounterRow& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::unique_ptr<SnapshotWatch> Client::WatchSnapshots(
    const v1::WatchSnapshotsRequest& request, const WatchOptions& options) {
  return std::make_unique<SnapshotStream>(connection_, request, options);
}

std::unique_ptr<QuotaWatch> Client::WatchQuotaEvents(
    const v1::WatchQuotaEventsRequest& request, const WatchOptions& options) {
  return std::make_unique<QuotaStream>(
      connection_, request, options,
      &v1::CounterService::Stub::AsyncWatchQuotaEvents);
}

std::unique_ptr<FlowWatch> Client::WatchFlows(
    const v1::WatchFlowsRequest& request, const WatchOptions& options) {
  return std::make_unique<FlowStream>(connection_, request, options,
                                      &v1::FlowService::Stub::AsyncWatchFlows);
}

std::unique_ptr<PlanWatch> Client::WatchPlanStatus(
    absl::string_view name, const WatchOptions& options) {
  v1::WatchPlanStatusRequest request;
  request.set_name(std::string(name));
  return std::make_unique<PlanStream>(
      connection_, request, options,
      &v1::PlanService::Stub::AsyncWatchPlanStatus);
}

}  // namespace nfmeter
