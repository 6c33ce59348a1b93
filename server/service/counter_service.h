// nfmeter.v1.CounterService over accounting::Counters.
#ifndef NFMETER_SERVICE_COUNTER_SERVICE_H_
#define NFMETER_SERVICE_COUNTER_SERVICE_H_

#include "accounting/counters.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "service/limits.h"
#include "service/quota_stream.h"
#include "service/request_cache.h"

namespace nfmeter::service {

// GetCounter is answered on gRPC's own threads, as it never waits; there are as
// many of those as processors, so that all that may wait (for a lane, for the
// disk) has threads of the synchronous API.
using CounterServiceMethods = v1::CounterService::WithCallbackMethod_GetCounter<
    v1::CounterService::WithRawCallbackMethod_WatchQuotaEvents<
        v1::CounterService::Service>>;

// Thread-safe. Does not own what it is given.
class CounterService final : public CounterServiceMethods {
 public:
  CounterService(accounting::Counters& counters, RequestCache& requests,
                 QuotaStreams& quota_streams, const Limits& limits);

  grpc::Status CreateCounter(grpc::ServerContext* context,
                             const v1::CreateCounterRequest* request,
                             v1::CreateCounterResponse* response) override;
  grpc::Status BatchCreateCounters(
      grpc::ServerContext* context,
      const v1::BatchCreateCountersRequest* request,
      v1::BatchCreateCountersResponse* response) override;
  grpc::ServerUnaryReactor* GetCounter(
      grpc::CallbackServerContext* context,
      const v1::GetCounterRequest* request,
      v1::GetCounterResponse* response) override;
  grpc::Status BatchGetCounters(
      grpc::ServerContext* context, const v1::BatchGetCountersRequest* request,
      v1::BatchGetCountersResponse* response) override;
  grpc::Status ListCounters(grpc::ServerContext* context,
                            const v1::ListCountersRequest* request,
                            v1::ListCountersResponse* response) override;
  grpc::Status ResetCounter(grpc::ServerContext* context,
                            const v1::ResetCounterRequest* request,
                            v1::ResetCounterResponse* response) override;
  grpc::Status BatchResetCounters(
      grpc::ServerContext* context,
      const v1::BatchResetCountersRequest* request,
      v1::BatchResetCountersResponse* response) override;
  grpc::Status DeleteCounter(grpc::ServerContext* context,
                             const v1::DeleteCounterRequest* request,
                             v1::DeleteCounterResponse* response) override;
  grpc::Status BatchDeleteCounters(
      grpc::ServerContext* context,
      const v1::BatchDeleteCountersRequest* request,
      v1::BatchDeleteCountersResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchQuotaEvents(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;

 private:
  absl::Status ReadCounter(const v1::GetCounterRequest& request,
                           v1::Counter* response) const;

  accounting::Counters& counters_;
  RequestCache& requests_;
  QuotaStreams& quota_streams_;
  const Limits limits_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_COUNTER_SERVICE_H_
