// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.CounterService.
#ifndef NFMETER_SERVICE_COUNTER_COUNTER_SERVICE_H_
#define NFMETER_SERVICE_COUNTER_COUNTER_SERVICE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "service/counter/quota_stream.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"

namespace nfmeter::service {

// Thread-safe. Does not own what it is given.
class CounterService final : public GatedService<v1::CounterService> {
 public:
  CounterService(Gate& gate, accounting::Counters& counters,
                 accounting::CounterEditor& counter_editor,
                 RequestCache& requests, QuotaStreams& quota_streams,
                 const Limits& limits);

 private:
  absl::Status CreateCounter(const Call& call,
                             const v1::CreateCounterRequest& request,
                             v1::CreateCounterResponse* response);
  absl::Status BatchCreateCounters(
      const Call& call, const v1::BatchCreateCountersRequest& request,
      v1::BatchCreateCountersResponse* response);
  absl::Status GetCounter(const Call& call,
                          const v1::GetCounterRequest& request,
                          v1::GetCounterResponse* response);
  absl::Status BatchGetCounters(const Call& call,
                                const v1::BatchGetCountersRequest& request,
                                v1::BatchGetCountersResponse* response);
  absl::Status ListCounters(const Call& call,
                            const v1::ListCountersRequest& request,
                            v1::ListCountersResponse* response);
  absl::Status UpdateCounter(const Call& call,
                             const v1::UpdateCounterRequest& request,
                             v1::UpdateCounterResponse* response);
  absl::Status ResetCounter(const Call& call,
                            const v1::ResetCounterRequest& request,
                            v1::ResetCounterResponse* response);
  absl::Status BatchResetCounters(const Call& call,
                                  const v1::BatchResetCountersRequest& request,
                                  v1::BatchResetCountersResponse* response);
  absl::Status DeleteCounter(const Call& call,
                             const v1::DeleteCounterRequest& request,
                             v1::DeleteCounterResponse* response);
  absl::Status BatchDeleteCounters(
      const Call& call, const v1::BatchDeleteCountersRequest& request,
      v1::BatchDeleteCountersResponse* response);
  absl::Status WatchQuotaEvents(const Call& call,
                                const v1::WatchQuotaEventsRequest& request);

  // How the caller may have a deletion of `targets` carried out.
  // PERMISSION_DENIED where rules are to go, too, and it may not delete those.
  template <typename Request>
  absl::StatusOr<accounting::CounterDeletion> ReadDeletion(
      const Call& call, const Request& request,
      absl::Span<const accounting::CounterTarget> targets) const;

  accounting::Counters& counters_;
  accounting::CounterEditor& counter_editor_;
  RequestCache& requests_;
  QuotaStreams& quota_streams_;
  const Limits limits_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_COUNTER_SERVICE_H_
