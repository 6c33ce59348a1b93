// CounterService.WatchQuotaEvents, as a raw callback stream.
#ifndef NFMETER_SERVICE_QUOTA_STREAM_H_
#define NFMETER_SERVICE_QUOTA_STREAM_H_

#include <memory>

#include "absl/status/status.h"
#include "accounting/label_store.h"
#include "accounting/quota_hub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "service/stream_budget.h"
#include "service/stream_set.h"
#include "service/stream_threads.h"

namespace nfmeter::service {

// All streams of quota events. Thread-safe. Must be destroyed after the gRPC
// server. Does not own what it is given.
class QuotaStreams {
 public:
  // When `available` is not OK, every stream ends with it.
  QuotaStreams(accounting::QuotaHub& hub, const accounting::LabelStore& labels,
               StreamBudget& budget, absl::Status available = absl::OkStatus());

  // Answers one call of WithRawCallbackMethod_WatchQuotaEvents.
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(
      const grpc::ByteBuffer* request);

  // Ends all streams, and new ones at once, with UNAVAILABLE and reason
  // SERVER_SHUTDOWN.
  void Shutdown();

 private:
  accounting::QuotaHub& hub_;
  const accounting::LabelStore& labels_;
  const absl::Status available_;
  StreamThreads threads_;
  StreamSet streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_QUOTA_STREAM_H_
