// SPDX-License-Identifier: GPL-3.0-or-later
// CounterService.WatchQuotaEvents, as a raw callback stream.
#ifndef NFMETER_SERVICE_COUNTER_QUOTA_STREAM_H_
#define NFMETER_SERVICE_COUNTER_QUOTA_STREAM_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/counters/label_store.h"
#include "accounting/quotas/quota_hub.h"
#include "nfmeter/v1/counter.pb.h"
#include "service/gate/gate.h"
#include "service/gate/stream_budget.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

// All streams of quota events. Thread-safe. Must be destroyed after the gRPC
// server. Does not own what it is given.
class QuotaStreams {
 public:
  // While `available` says anything but OK, every stream ends with it.
  QuotaStreams(accounting::QuotaHub& hub, const accounting::LabelStore& labels,
               StreamBudget& budget,
               std::function<absl::Status()> available = nullptr);

  // For CounterService.WatchQuotaEvents.
  absl::Status Watch(const Call& call,
                     const v1::WatchQuotaEventsRequest& request);

  // Ends all streams, and new ones at once, with UNAVAILABLE and reason
  // SERVER_SHUTDOWN.
  void Shutdown();

  // See StreamSet.
  void AuthorizeAgain(const security::Authorizer& authorizer) {
    streams_.AuthorizeAgain(authorizer);
  }

 private:
  accounting::QuotaHub& hub_;
  const accounting::LabelStore& labels_;
  const std::function<absl::Status()> available_;  // null: always
  WorkThreads threads_;
  StreamSet streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_QUOTA_STREAM_H_
