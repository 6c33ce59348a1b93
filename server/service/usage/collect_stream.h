// SPDX-License-Identifier: GPL-3.0-or-later
// UsageService.CollectUsage.
#ifndef NFMETER_SERVICE_USAGE_COLLECT_STREAM_H_
#define NFMETER_SERVICE_USAGE_COLLECT_STREAM_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "nfmeter/v1/usage.pb.h"
#include "security/access/authorizer.h"
#include "service/gate/call.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

class CollectStream;

// All streams of records, at most one a consumer. Thread-safe. Must be
// destroyed after the gRPC server. Does not own what it is given.
class CollectStreams {
 public:
  CollectStreams(accounting::Ledger& ledger,
                 const accounting::LabelStore& labels, StreamSet& streams);

  // For UsageService.CollectUsage; see usage.proto.
  absl::Status Collect(const Call& call,
                       const v1::CollectUsageRequest& request);

  bool IsConnected(absl::string_view consumer) const;
  // Ends the consumer's stream, if there is one.
  void End(absl::string_view consumer, const absl::Status& status);

 private:
  accounting::Ledger& ledger_;
  const accounting::LabelStore& labels_;
  WorkThreads threads_;
  StreamSet& streams_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::weak_ptr<CollectStream>, std::less<>> by_consumer_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_USAGE_COLLECT_STREAM_H_
