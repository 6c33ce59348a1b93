// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/flow/flow_service.h"

#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "service/flow/flow_request.h"
#include "service/flow/flow_words.h"
#include "service/gate/message_bytes.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

constexpr char kKind[] = "flows";

// A stream whose messages come from a FlowListing or FlowWatch, which calls
// back on the hub's thread when there is more. It has the source from Begin()
// to OnEnded().
template <typename Source>
class FlowStream : public MessageStream,
                   public std::enable_shared_from_this<FlowStream<Source>> {
 public:
  explicit FlowStream(WorkThreads& threads) : threads_(threads) {}

  // The callback for the source.
  std::function<void()> Waker() {
    return [weak = this->weak_from_this()] {
      if (const auto shared = weak.lock()) shared->WakeOn(shared->threads_);
    };
  }

  void Begin(std::shared_ptr<Source> source) {
    {
      absl::MutexLock lock(&mutex_);
      if (!ended_) source_.swap(source);
    }
    // The stream has ended meanwhile.
    if (source != nullptr) return source->Cancel();
    WakeOn(threads_);
  }

 protected:
  std::shared_ptr<Source> source() {
    absl::MutexLock lock(&mutex_);
    return source_;
  }

 private:
  void OnEnded() final {
    std::shared_ptr<Source> dropped;
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
      dropped.swap(source_);
    }
    if (dropped != nullptr) dropped->Cancel();
  }

  WorkThreads& threads_;
  absl::Mutex mutex_;
  std::shared_ptr<Source> source_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class FlowListStream final : public FlowStream<accounting::FlowListing> {
 public:
  FlowListStream(WorkThreads& threads, FlowNotices notices)
      : FlowStream(threads), notices_(std::move(notices)) {}

 private:
  std::optional<Message> Next() override {
    const auto listing = source();
    if (listing == nullptr) return std::nullopt;
    v1::ListFlowsResponse response;
    if (const accounting::FlowChunk chunk = listing->Take()) {
      for (const auto& flow : *chunk) ToProto(flow, response.add_flows());
      return Message{ToBytes(response)};
    }
    const auto end = listing->End();
    if (!end.has_value()) return std::nullopt;
    if (!end->ok()) {
      End(end->status());
      return std::nullopt;
    }
    ToProto(**end, notices_.Of(**end), response.mutable_reading());
    return Message{ToBytes(response), /*last=*/true};
  }

  const FlowNotices notices_;
};

class FlowWatchStream final : public FlowStream<accounting::FlowWatch> {
 public:
  FlowWatchStream(WorkThreads& threads, const FlowWatchRequest& request,
                  FlowNotices notices)
      : FlowStream(threads),
        grouping_(request.query.grouping),
        notices_(std::move(notices)) {}

 private:
  std::optional<Message> Next() override {
    const auto watch = source();
    if (watch == nullptr) return std::nullopt;
    if (const auto frame = watch->Take()) return Message{EncodeFrame(*frame)};
    if (const auto end = watch->End()) End(*end);
    return std::nullopt;
  }

  grpc::ByteBuffer EncodeFrame(const accounting::FlowFrame& frame) const {
    v1::WatchFlowsResponse response;
    ToProto(frame.ranking, grouping_, response.mutable_ranking());
    service::ToProto(frame.since.wall_time, response.mutable_since());
    ToProto(frame.until, notices_.Of(frame), response.mutable_reading());
    response.set_lower_bound(frame.losses.any());
    ToProto(frame.losses, response.mutable_losses());
    response.set_merged_frames(frame.merged_frames);
    ToProto(grouping_, response.mutable_grouping());
    return ToBytes(response);
  }

  const accounting::FlowGrouping grouping_;
  const FlowNotices notices_;
};

}  // namespace

FlowService::FlowService(Gate& gate, accounting::FlowHub& hub,
                         const Limits& limits, StreamSet& streams)
    : GatedService(gate),
      hub_(hub),
      limits_(limits),
      threads_("nfm-flow-send", 2),
      streams_(streams) {
  streams_.AddKind(kKind);
  Stream("ListFlows", &FlowService::ListFlows);
  Unary("SummarizeFlows", &FlowService::SummarizeFlows);
  Stream("WatchFlows", &FlowService::WatchFlows);
}

absl::Status FlowService::ListFlows(const Call& call,
                                    const v1::ListFlowsRequest& request) {
  NFM_ASSIGN_OR_RETURN(const FlowListRequest list,
                       ReadFlowList(request, call.caller->flows));
  auto stream = std::make_shared<FlowListStream>(
      threads_, FlowNotices(call, /*shortened=*/false));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  stream->Begin(hub_.List(list.filter, list.max_staleness, stream->Waker()));
  return absl::OkStatus();
}

absl::Status FlowService::SummarizeFlows(
    const Call& call, const v1::SummarizeFlowsRequest& request,
    v1::SummarizeFlowsResponse* response) {
  NFM_ASSIGN_OR_RETURN(const FlowSummaryRequest asked,
                       ReadFlowSummary(request, call.caller->flows, limits_));
  NFM_ASSIGN_OR_RETURN(const accounting::FlowHub::Summary summary,
                       hub_.Summarize(asked.query, asked.max_staleness));
  ToProto(summary->ranking, asked.query.grouping, response->mutable_ranking());
  ToProto(summary->reading,
          FlowNotices(call, asked.shortened).Of(summary->reading),
          response->mutable_reading());
  ToProto(asked.query.grouping, response->mutable_grouping());
  return absl::OkStatus();
}

absl::Status FlowService::WatchFlows(const Call& call,
                                     const v1::WatchFlowsRequest& request) {
  NFM_ASSIGN_OR_RETURN(const FlowWatchRequest watch,
                       ReadFlowWatch(request, call.caller->flows, limits_));
  auto stream = std::make_shared<FlowWatchStream>(
      threads_, watch, FlowNotices(call, watch.shortened));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  stream->Begin(hub_.Watch(watch.query, watch.interval, stream->Waker()));
  return absl::OkStatus();
}

}  // namespace nfmeter::service
