// SPDX-License-Identifier: GPL-3.0-or-later
// CounterService.WatchQuotaEvents, as a raw callback stream.
#ifndef NFMETER_SERVICE_COUNTER_QUOTA_STREAM_H_
#define NFMETER_SERVICE_COUNTER_QUOTA_STREAM_H_

#include <functional>

#include "absl/status/status.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/quotas/quota_hub.h"
#include "nfmeter/v1/counter.pb.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

// All streams of quota events. Thread-safe. Must be destroyed after the gRPC
// server. Does not own what it is given.
class QuotaStreams {
 public:
  // While `available` says anything but OK, every stream ends with it.
  QuotaStreams(accounting::QuotaHub& hub, const accounting::Counters& counters,
               const accounting::LabelStore& labels, StreamSet& streams,
               std::function<absl::Status()> available);

  // For CounterService.WatchQuotaEvents.
  absl::Status Watch(const Call& call,
                     const v1::WatchQuotaEventsRequest& request);

 private:
  accounting::QuotaHub& hub_;
  const accounting::Counters& counters_;
  const accounting::LabelStore& labels_;
  const std::function<absl::Status()> available_;
  WorkThreads threads_;
  StreamSet& streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_QUOTA_STREAM_H_
