// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/counter/quota_stream.h"

#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "service/gate/counter_message.h"
#include "service/gate/message_bytes.h"
#include "service/gate/request_checks.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

constexpr char kKind[] = "quota_events";

using accounting::QuotaEvent;

v1::QuotaEventKind ToProto(QuotaEvent::Kind kind) {
  switch (kind) {
    case QuotaEvent::Kind::kStanding:
      return v1::QUOTA_EVENT_KIND_STANDING;
    case QuotaEvent::Kind::kCrossed:
      return v1::QUOTA_EVENT_KIND_CROSSED;
    case QuotaEvent::Kind::kRecovered:
      return v1::QUOTA_EVENT_KIND_RECOVERED;
    case QuotaEvent::Kind::kThreshold:
      return v1::QUOTA_EVENT_KIND_THRESHOLD;
    case QuotaEvent::Kind::kSynced:
      break;
  }
  return v1::QUOTA_EVENT_KIND_SYNCED;
}

// Sends the events of one subscription.
class QuotaStream final : public MessageStream {
 public:
  explicit QuotaStream(const accounting::Counters& counters)
      : counters_(counters) {}

  void Begin(std::unique_ptr<accounting::QuotaHub::Subscription> subscription) {
    {
      absl::MutexLock lock(&mutex_);
      if (!ended_) subscription_.swap(subscription);
    }
    if (subscription == nullptr) Wake();
  }

 private:
  std::optional<Message> Next() override {
    absl::StatusOr<std::optional<QuotaEvent>> event = std::nullopt;
    {
      absl::MutexLock lock(&mutex_);
      if (subscription_ != nullptr) event = subscription_->Take();
    }
    if (!event.ok()) {
      End(event.status());
      return std::nullopt;
    }
    if (!event->has_value()) return std::nullopt;
    return Message{MakeMessage(**event)};
  }

  void OnEnded() override {
    std::unique_ptr<accounting::QuotaHub::Subscription> dropped;
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    dropped.swap(subscription_);
  }

  grpc::ByteBuffer MakeMessage(const QuotaEvent& event) const {
    v1::WatchQuotaEventsResponse response;
    response.set_kind(ToProto(event.kind));
    if (event.kind != QuotaEvent::Kind::kSynced) {
      // It may have been reset since, so its value is no measure of its total.
      service::ToProto(
          counters_.Describe(event.object, {event.time, absl::ZeroDuration()}),
          response.mutable_counter());
    }
    service::ToProto(event.time, response.mutable_time());
    response.set_missed_events(event.missed);
    response.set_threshold_percent(event.percent);
    return ToBytes(response);
  }

  const accounting::Counters& counters_;
  absl::Mutex mutex_;
  std::unique_ptr<accounting::QuotaHub::Subscription> subscription_
      ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

QuotaStreams::QuotaStreams(accounting::QuotaHub& hub,
                           const accounting::Counters& counters,
                           const accounting::LabelStore& labels,
                           StreamSet& streams,
                           std::function<absl::Status()> available)
    : hub_(hub),
      counters_(counters),
      labels_(labels),
      available_(std::move(available)),
      threads_("nfm-quota", 1),
      streams_(streams) {
  streams_.AddKind(kKind);
}

absl::Status QuotaStreams::Watch(const Call& call,
                                 const v1::WatchQuotaEventsRequest& request) {
  NFM_RETURN_IF_ERROR(available_());
  FieldErrors errors;
  accounting::CounterFilter filter =
      ReadCounterFilter(request.filter(), call.scope(), errors);
  NFM_RETURN_IF_ERROR(errors.ToStatus());
  auto stream = std::make_shared<QuotaStream>(counters_);
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  stream->Begin(hub_.Subscribe(
      [filter = std::move(filter), this](const std::string& name) {
        return filter.Matches(
            accounting::ShownName(name),
            filter.needs_labels() ? labels_.Get(name) : accounting::Labels());
      },
      [weak = std::weak_ptr(stream), this] {
        if (const auto shared = weak.lock()) shared->WakeOn(threads_);
      }));
  return absl::OkStatus();
}

}  // namespace nfmeter::service
