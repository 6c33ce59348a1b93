// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/flow/flow_streams.h"

#include <optional>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
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

FlowStreams::FlowStreams(accounting::FlowHub& hub, StreamSet& streams)
    : hub_(hub), threads_("nfm-flow-send", 2), streams_(streams) {
  streams_.AddKind(kKind);
}

absl::Status FlowStreams::List(const Call& call,
                               const FlowListRequest& request) {
  auto stream = std::make_shared<FlowListStream>(
      threads_, FlowNotices(call, /*shortened=*/false));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  stream->Begin(
      hub_.List(request.filter, request.max_staleness, stream->Waker()));
  return absl::OkStatus();
}

absl::Status FlowStreams::Watch(const Call& call,
                                const FlowWatchRequest& request) {
  auto stream = std::make_shared<FlowWatchStream>(
      threads_, request, FlowNotices(call, request.shortened));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  stream->Begin(hub_.Watch(request.query, request.interval, stream->Waker()));
  return absl::OkStatus();
}

}  // namespace nfmeter::service
