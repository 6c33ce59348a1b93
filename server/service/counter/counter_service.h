// nfmeter.v1.CounterService.
#ifndef NFMETER_SERVICE_COUNTER_COUNTER_SERVICE_H_
#define NFMETER_SERVICE_COUNTER_COUNTER_SERVICE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/counters/counters.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "service/counter/quota_stream.h"
#include "service/gate/gate.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"

namespace nfmeter::service {

using CounterServiceMethods =
    WithMethods<v1::CounterService::Service,
                v1::CounterService::WithRawCallbackMethod_CreateCounter,
                v1::CounterService::WithRawCallbackMethod_BatchCreateCounters,
                v1::CounterService::WithRawCallbackMethod_GetCounter,
                v1::CounterService::WithRawCallbackMethod_BatchGetCounters,
                v1::CounterService::WithRawCallbackMethod_ListCounters,
                v1::CounterService::WithRawCallbackMethod_ResetCounter,
                v1::CounterService::WithRawCallbackMethod_BatchResetCounters,
                v1::CounterService::WithRawCallbackMethod_DeleteCounter,
                v1::CounterService::WithRawCallbackMethod_BatchDeleteCounters,
                v1::CounterService::WithRawCallbackMethod_WatchQuotaEvents>;

// Thread-safe. Does not own what it is given.
class CounterService final : public CounterServiceMethods {
 public:
  CounterService(Gate& gate, accounting::Counters& counters,
                 RequestCache& requests, QuotaStreams& quota_streams,
                 const Limits& limits);

  UnaryReactor* CreateCounter(CallContext* context, const Bytes* request,
                              Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/CreateCounter", this,
                       &CounterService::CreateCounter);
  }
  UnaryReactor* BatchCreateCounters(CallContext* context, const Bytes* request,
                                    Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/BatchCreateCounters", this,
                       &CounterService::BatchCreateCounters);
  }
  UnaryReactor* GetCounter(CallContext* context, const Bytes* request,
                           Bytes* response) override {
    return gate_.ServeAtOnce(context, request, response,
                             "nfmeter.v1.CounterService/GetCounter", this,
                             &CounterService::GetCounter);
  }
  UnaryReactor* BatchGetCounters(CallContext* context, const Bytes* request,
                                 Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/BatchGetCounters", this,
                       &CounterService::BatchGetCounters);
  }
  UnaryReactor* ListCounters(CallContext* context, const Bytes* request,
                             Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/ListCounters", this,
                       &CounterService::ListCounters);
  }
  UnaryReactor* ResetCounter(CallContext* context, const Bytes* request,
                             Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/ResetCounter", this,
                       &CounterService::ResetCounter);
  }
  UnaryReactor* BatchResetCounters(CallContext* context, const Bytes* request,
                                   Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/BatchResetCounters", this,
                       &CounterService::BatchResetCounters);
  }
  UnaryReactor* DeleteCounter(CallContext* context, const Bytes* request,
                              Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/DeleteCounter", this,
                       &CounterService::DeleteCounter);
  }
  UnaryReactor* BatchDeleteCounters(CallContext* context, const Bytes* request,
                                    Bytes* response) override {
    return gate_.Serve(context, request, response,
                       "nfmeter.v1.CounterService/BatchDeleteCounters", this,
                       &CounterService::BatchDeleteCounters);
  }
  StreamReactor* WatchQuotaEvents(CallContext* context,
                                  const Bytes* request) override {
    return gate_.Open(context, request,
                      "nfmeter.v1.CounterService/WatchQuotaEvents", this,
                      &CounterService::WatchQuotaEvents);
  }

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
  absl::StatusOr<StreamReactor*> WatchQuotaEvents(
      const Call& call, const v1::WatchQuotaEventsRequest& request);

  // How the caller may have a deletion of `targets` carried out.
  // PERMISSION_DENIED where rules are to go, too, and it may not delete those.
  template <typename Request>
  absl::StatusOr<accounting::CounterDeletion> ReadDeletion(
      const Call& call, const Request& request,
      absl::Span<const accounting::CounterTarget> targets) const;

  Gate& gate_;
  accounting::Counters& counters_;
  RequestCache& requests_;
  QuotaStreams& quota_streams_;
  const Limits limits_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_COUNTER_SERVICE_H_
