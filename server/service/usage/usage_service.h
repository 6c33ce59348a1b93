// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.UsageService.
#ifndef NFMETER_SERVICE_USAGE_USAGE_SERVICE_H_
#define NFMETER_SERVICE_USAGE_USAGE_SERVICE_H_

#include "absl/status/status.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/stream_set.h"
#include "service/usage/collect_stream.h"

namespace nfmeter::service {

// Thread-safe. Does not own what it is given. Must be destroyed after the gRPC
// server.
class UsageService final : public GatedService<v1::UsageService> {
 public:
  UsageService(Gate& gate, accounting::Ledger& ledger,
               const accounting::LabelStore& labels, StreamSet& streams,
               const Limits& limits);

  // Ends all streams, and those to come.

 private:
  absl::Status CollectUsage(const Call& call,
                            const v1::CollectUsageRequest& request);
  absl::Status ListUsage(const Call& call, const v1::ListUsageRequest& request,
                         v1::ListUsageResponse* response);
  absl::Status ListGaps(const Call& call, const v1::ListGapsRequest& request,
                        v1::ListGapsResponse* response);
  absl::Status ListConsumers(const Call& call,
                             const v1::ListConsumersRequest& request,
                             v1::ListConsumersResponse* response);
  absl::Status DeleteConsumer(const Call& call,
                              const v1::DeleteConsumerRequest& request,
                              v1::DeleteConsumerResponse* response);

  accounting::Ledger& ledger_;
  const accounting::LabelStore& labels_;
  const Limits limits_;
  CollectStreams streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_USAGE_USAGE_SERVICE_H_
